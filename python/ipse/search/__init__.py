"""Tree search: a forest of trees stepped together, its rules, and what finished trees teach.

See docs/tree.md.
"""

from ipse.search.forest import ForestFullError, Leaves, SearchForest
from ipse.search.rules import (
    SearchRules,
    alphazero,
    greedy,
    lightzero,
    mcts_star,
    mctx_gumbel,
    mctx_muzero,
    muzero_general,
    open_spiel_puct,
    open_spiel_uct,
)

__all__ = [
    "ForestFullError",
    "Leaves",
    "SearchForest",
    "SearchRules",
    "alphazero",
    "greedy",
    "lightzero",
    "mcts_star",
    "mctx_gumbel",
    "mctx_muzero",
    "muzero_general",
    "open_spiel_puct",
    "open_spiel_uct",
]
