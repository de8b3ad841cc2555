"""Tree search: a forest of trees stepped together, its rules, and what finished trees teach.

See docs/tree.md.
"""

from ipse.search.export import to_graphviz, to_html, to_networkx
from ipse.search.files import load_forest, save_forest
from ipse.search.forest import Counters, Leaves, RootStatistics, SearchForest
from ipse.search.rewards import ProcessRewards, correct_paths, path_to, process_rewards
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
from ipse.search.solutions import Table, best_path, policy_set, table, value_set, visit_set

__all__ = [
    "Counters",
    "Leaves",
    "ProcessRewards",
    "RootStatistics",
    "SearchForest",
    "SearchRules",
    "Table",
    "alphazero",
    "best_path",
    "correct_paths",
    "greedy",
    "lightzero",
    "load_forest",
    "mcts_star",
    "mctx_gumbel",
    "mctx_muzero",
    "muzero_general",
    "open_spiel_puct",
    "open_spiel_uct",
    "path_to",
    "policy_set",
    "process_rewards",
    "save_forest",
    "table",
    "to_graphviz",
    "to_html",
    "to_networkx",
    "value_set",
    "visit_set",
]
