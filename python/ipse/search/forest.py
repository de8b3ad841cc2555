"""The search forest: ask for leaves, evaluate them however you like, tell what came out."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ipse import _core
from ipse.search.rules import SearchRules

_UNLIMITED = 2**62


class Leaves(NamedTuple):
    """Leaves that wait for an evaluation, arrays of length L.

    ``ticket`` (int64) names a leaf when it is told; ``tree``, ``parent`` (node id, -1 at the
    root), ``action`` (index among the parent's children, -1 at the root), ``node`` (-1, or the id
    of the node that is evaluated again at ``max_depth``) and ``depth`` are int32; ``value`` is
    the value that the parent's expansion gave the leaf, float32.
    """

    ticket: NDArray[np.int64]
    tree: NDArray[np.int32]
    parent: NDArray[np.int32]
    action: NDArray[np.int32]
    node: NDArray[np.int32]
    depth: NDArray[np.int32]
    value: NDArray[np.float32]


class RootStatistics(NamedTuple):
    """Of all trees: children's arrays (B, A), padded (0, nan, -inf) to the widest root; (B,)."""

    visits: NDArray[np.int32]
    values: NDArray[np.float32]
    priors: NDArray[np.float32]
    root_visits: NDArray[np.int32]
    root_values: NDArray[np.float32]
    num_children: NDArray[np.int32]


class Counters(NamedTuple):
    """Of all trees, each (B,) int64."""

    simulations: NDArray[np.int64]
    collisions: NDArray[np.int64]
    nodes: NDArray[np.int64]
    edges: NDArray[np.int64]
    pending: NDArray[np.int64]


class SearchForest:
    """Many search trees stepped together.

    A tree begins empty: its first leaf is the root. ``ask`` walks down from the roots and hands
    out leaves with a ticket each; ``tell`` takes what an evaluator says of them, in any order,
    in any grouping; ``cancel`` takes tickets back. A ticket that was told or cancelled is passed
    over when it is told again. Results depend neither on the number of threads nor on the other
    trees: random numbers are keyed by seed, tree key, node and draw.

    Args:
        num_trees: B, at least 1.
        rules: see :class:`SearchRules` and the presets beside it.
        keys: (B,) integers that stand for the trees in random numbers; default 0 ... B - 1.
        num_threads: 0 is the OpenMP default; small waves run on one thread in any case.

    Raises:
        ValueError: for rules out of range.

    Memory:
        48 bytes a node and 16 an edge; 2 more an edge once several leaves of a tree are asked
        for at once. ``memory_bytes`` measures it.
    """

    def __init__(
        self,
        num_trees: int,
        rules: SearchRules | None = None,
        *,
        keys: ArrayLike | None = None,
        num_threads: int = 0,
    ) -> None:
        self.rules = SearchRules() if rules is None else rules
        self.num_trees = num_trees
        self.num_threads = num_threads
        self._core = _core.SearchForest(num_trees, asdict(self.rules))
        if keys is not None:
            self._core.set_keys(np.asarray(keys, np.int64))

    def ask(self, width: int = 1, *, limit: int | None = None) -> Leaves:
        """Up to ``width`` leaves of every tree, at most one for each leaf position.

        A walk that ends on a terminal node is backed up at once and yields no leaf; one that
        meets a leaf already asked for ends the tree's turn (a collision).

        Args:
            width: walks in each tree. Several leaves of one tree widen the search: keep it
                small against the number of simulations.
            limit: no walk begins in a tree with so many simulations behind it or in flight.

        Returns:
            The leaves, ordered by tree and ticket; possibly none.
        """
        most = _UNLIMITED if limit is None else limit
        return Leaves(*self._core.select(width, most, self.num_threads))

    def tell(self, tickets: ArrayLike, values: ArrayLike, **children: Any) -> int:
        """What an evaluator says of leaves: their value and their children.

        Args:
            tickets: (L,) of ``ask``.
            values: (L,) finite, for the player to move at the leaf.
            **children: all optional, None where left out:

                - ``priors`` (L, A), or flat beside ``num_children``: each leaf's sum to 1;
                - ``logits`` instead of priors, -inf where an action is masked;
                - ``num_children`` (L,): for leaves that differ, uniform if no priors come;
                - ``mask``: True where an action is allowed, in the shape of the priors;
                - ``child_values``: in that shape, what the children are worth before a visit
                  (UCT, MCTS*);
                - ``rewards``, ``discounts`` (L,): of the edge that leads to the leaf;
                - ``terminal`` (L,): the leaf has no children and its value is its outcome;
                - ``to_play`` (L,): the player to move, by default that of the parent. Where it
                  changes, values change sign;
                - ``rollouts`` (L,): best value of a rollout from the best child, or nan (MCTS*).

        Returns:
            How many of the tickets were still open.

        Raises:
            ValueError: for tickets never issued, wrong lengths, values that are not finite,
                priors that do not sum to 1; nothing is changed then.
            MemoryError: nothing is changed either.
        """
        return self._core.tell(
            np.asarray(tickets), np.asarray(values, np.float32), children, self.num_threads
        )

    def cancel(self, tickets: ArrayLike) -> None:
        """Takes leaves back: their visits in flight are undone, another walk may find them."""
        self._core.cancel(np.asarray(tickets, np.int64))

    def advance(self, tree: int, action: int) -> NDArray[np.int32]:
        """Makes the subtree below an action of the root the tree; its open tickets are cancelled.

        Simulations count from 0 again, and root noise is drawn anew.

        Returns:
            The new id of every old node, -1 where it is gone.
        """
        return self._core.reroot(tree, action)

    @property
    def is_full(self) -> bool:
        """Whether every tree has ``max_nodes`` nodes, those pending included."""
        counters = self.counters()
        return bool(np.all(counters.nodes + counters.pending >= self.rules.max_nodes))

    def root(self) -> RootStatistics:
        """Statistics of all roots."""
        return RootStatistics(**self._core.root_statistics())

    def counters(self) -> Counters:
        """Simulations, collisions, nodes, edges and open tickets of every tree."""
        return Counters(*self._core.counters())

    def visit_policy(self) -> NDArray[np.float32]:
        """(B, A): the share of visits of the roots' actions; uniform where there are none."""
        visits, _, priors, *_ = self.root()
        total = visits.sum(axis=1, keepdims=True)
        allowed = priors > -np.inf
        uniform = allowed / np.maximum(allowed.sum(axis=1, keepdims=True), 1)
        return np.where(total > 0, visits / np.maximum(total, 1), uniform).astype(np.float32)

    def gumbel_policy(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The action Gumbel MuZero plays (B,), and its improved policy (B, A), a training target.

        Raises:
            ValueError: unless ``selection`` is ``"gumbel"`` and every tree has its root.
        """
        statistics = self.root()
        actions = np.zeros(self.num_trees, np.int32)
        policy = np.zeros(statistics.visits.shape, np.float32)
        for tree, count in enumerate(statistics.num_children):
            gumbel, sigmas = self._core.root_gumbel(tree)
            logits = statistics.priors[tree, :count]
            visits = statistics.visits[tree, :count]
            scores = np.maximum(-1e9, gumbel + (logits - logits.max()) + sigmas)
            scores[(visits != visits.max()) | np.isneginf(logits)] = -np.inf
            actions[tree] = scores.argmax()
            improved = logits + sigmas
            improved = np.exp(improved - improved.max())
            policy[tree, :count] = improved / improved.sum()
        return actions, policy

    def set_root_gumbel(self, tree: int, gumbel: ArrayLike) -> None:
        """The Gumbel variables of a tree's root instead of drawn ones; before its root is told."""
        self._core.set_root_gumbel(tree, np.asarray(gumbel, np.float32))

    def arrays(self, tree: int) -> dict[str, NDArray[Any]]:
        """Everything in one tree: nodes in order of creation, edges node after node."""
        return self._core.arrays(tree)

    def memory_bytes(self) -> int:
        """Bytes held by all trees."""
        return self._core.memory_bytes()

    def state_dict(self) -> dict[str, Any]:
        """Rules and all trees, open tickets included."""
        return {
            "rules": asdict(self.rules),
            "trees": [self.arrays(tree) for tree in range(self.num_trees)],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues where ``state_dict`` was taken; tickets that were open then are open again.

        Raises:
            ValueError: for other rules, another number of trees, or arrays that make no tree.
        """
        name = "forest.load_state_dict"
        if state["rules"] != asdict(self.rules):
            raise ValueError(f"{name}: rules must be those of the forest, got {state['rules']}")
        if len(state["trees"]) != self.num_trees:
            raise ValueError(
                f"{name}: state must have {self.num_trees} trees, got {len(state['trees'])}"
            )
        restored = _core.SearchForest(self.num_trees, asdict(self.rules))
        for tree, arrays in enumerate(state["trees"]):
            restored.restore(tree, arrays)
        self._core = restored
