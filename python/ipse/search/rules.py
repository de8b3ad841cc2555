"""The rules of a search, and presets that reproduce the searches of known libraries."""

import math
from dataclasses import dataclass
from typing import Any

_LARGEST_INT32 = 2**31 - 1


@dataclass(frozen=True)
class SearchRules:
    """How children are chosen, how values travel up and where chance enters.

    N is the number of visits of a node, n of a child, P a child's prior and
    ``q = reward + discount * value`` its value. The defaults are MuZero's PUCT as mctx has it,
    without noise.

    Args:
        selection: ``"puct"``: ``z + sqrt(N')(c_init + ln((N' + c_base + 1) / c_base)) P / (n + 1)``
            with ``N' = N - visit_offset`` and z the normalised q; ``"uct"``:
            ``q + exploration sqrt(log_factor ln N / n)``, at ``n = 0`` the value given at
            expansion ``+ first_visit_bonus``; ``"gumbel"``: sequential halving at the root,
            below it the child furthest behind the improved policy.
        normalisation: of q in PUCT. ``"siblings"``: over the node's own value and its visited
            children; ``"tree"``: over all values backed up in the tree; ``"none"``.
        smallest_range: floor of ``max - min`` when normalising.
        clamp: normalised values into [0, 1].
        unvisited: z of children without visits in PUCT. ``"lowest"``: 0; ``"parent"``: the node's
            value; ``"walk_mean"``: LightZero's mean of the visited children and of the node above.
        backup: ``"mean"`` of all returns, ``"max"`` over the visited children, or their
            ``"weighted"`` mean by visits (MCTS*: a node's own value is forgotten).
        ties: ``"first"`` takes the lowest index among equal scores, ``"random"`` a seeded draw.
        c_init, c_base, visit_offset: of PUCT; an infinite ``c_base`` leaves the logarithm out.
        exploration, log_factor, first_visit_bonus: of UCT.
        num_considered, num_simulations: of sequential halving.
        c_visit, c_scale, rescale_values, mixed_value, gumbel_scale: of Gumbel MuZero.
        dirichlet_alpha, dirichlet_fraction: noise mixed into the root's priors under PUCT or UCT.
        virtual_loss: taken from a child's (normalised) value times its share of visits in flight.
            0 only counts them. Under Gumbel visits in flight count as visits.
        rollout_weight: of a rollout's value in MCTS*.
        root_visits, root_value: what the root's own evaluation counts for in N and in its mean.
        discount: of every edge for which none is told.
        max_depth: edges from the root; a node at that depth is evaluated again when met, and the
            new value replaces the old one, as in mctx.
        max_nodes: of one tree. A full tree yields no more leaves.
        seed: of everything random, together with the tree's key, the node and the draw.
    """

    selection: str = "puct"
    normalisation: str = "siblings"
    smallest_range: float = 1e-8
    clamp: bool = False
    unvisited: str = "lowest"
    backup: str = "mean"
    ties: str = "first"
    c_init: float = 1.25
    c_base: float = 19652.0
    visit_offset: int = 0
    exploration: float = math.sqrt(2)
    log_factor: float = 1.0
    first_visit_bonus: float = math.inf
    num_considered: int = 16
    num_simulations: int = 32
    c_visit: float = 50.0
    c_scale: float = 0.1
    rescale_values: bool = True
    mixed_value: bool = True
    gumbel_scale: float = 1.0
    dirichlet_alpha: float = 0.3
    dirichlet_fraction: float = 0.0
    virtual_loss: float = 1.0
    rollout_weight: float = 0.5
    root_visits: int = 1
    root_value: bool = True
    discount: float = 1.0
    max_depth: int = _LARGEST_INT32
    max_nodes: int = 1 << 20
    seed: int = 0


def mctx_muzero(dirichlet_fraction: float = 0.25, **changes: Any) -> SearchRules:
    """``mctx.muzero_policy``, but ties go to the lowest index instead of to 1e-7 of noise."""
    return SearchRules(dirichlet_fraction=dirichlet_fraction, **changes)


def mctx_gumbel(num_simulations: int, **changes: Any) -> SearchRules:
    """``mctx.gumbel_muzero_policy``; ``num_considered`` is its max_num_considered_actions."""
    return SearchRules(selection="gumbel", num_simulations=num_simulations, **changes)


def muzero_general(**changes: Any) -> SearchRules:
    """werner-duvaud/muzero-general: tree-wide min-max, random choice among equal scores."""
    settings: dict[str, Any] = {
        "normalisation": "tree",
        "smallest_range": 0.0,
        "ties": "random",
        "root_visits": 0,
        "root_value": False,
        "dirichlet_fraction": 0.25,
    }
    return SearchRules(**{**settings, **changes})


def lightzero(**changes: Any) -> SearchRules:
    """LightZero's MuZero tree (ctree) in its deterministic mode.

    Not reproduced: the random choice among scores within 1e-6 of the best.
    """
    settings: dict[str, Any] = {
        "normalisation": "tree",
        "smallest_range": 0.01,
        "clamp": True,
        "unvisited": "walk_mean",
        "visit_offset": 1,
        "root_value": False,
        "dirichlet_fraction": 0.25,
    }
    return SearchRules(**{**settings, **changes})


def open_spiel_puct(exploration: float = 2.0, **changes: Any) -> SearchRules:
    """OpenSpiel's MCTSBot with PUCT; one of its simulations is the root's evaluation here.

    Not reproduced: the shuffling of children, the solver.
    """
    return SearchRules(
        normalisation="none", c_init=exploration, c_base=math.inf, **{"discount": 1.0, **changes}
    )


def open_spiel_uct(exploration: float = 2.0, **changes: Any) -> SearchRules:
    """OpenSpiel's MCTSBot with UCT; see :func:`open_spiel_puct`."""
    return SearchRules(selection="uct", exploration=exploration, **changes)


def alphazero(c_init: float = 1.25, **changes: Any) -> SearchRules:
    """AlphaZero: two players through ``to_play``, values in [-1, 1] as they are, root noise."""
    settings = {"normalisation": "none", "dirichlet_fraction": 0.25}
    return SearchRules(c_init=c_init, **{**settings, **changes})


def mcts_star(
    exploration: float = 0.7, first_visit_bonus: float = 1.0, **changes: Any
) -> SearchRules:
    """MCTS* of ReST-MCTS* (the code's ``sqrt(2 ln N / n)``); ``log_factor=1`` is the paper's.

    The code breaks exact ties at random: ``ties="random"``.
    """
    settings: dict[str, Any] = {"log_factor": 2.0, "backup": "weighted"}
    return SearchRules(
        selection="uct",
        exploration=exploration,
        first_visit_bonus=first_visit_bonus,
        **{**settings, **changes},
    )


def greedy(**changes: Any) -> SearchRules:
    """Always the child of highest value; children count for what their parent's expansion said."""
    settings: dict[str, Any] = {"exploration": 0.0, "first_visit_bonus": 0.0, "backup": "max"}
    return SearchRules(selection="uct", **{**settings, **changes})
