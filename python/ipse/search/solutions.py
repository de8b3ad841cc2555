"""A searched tree as a flat table, best paths through it, and training sets from it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ipse.search.forest import SearchForest
from ipse.search.rewards import ProcessRewards, path_to


class Table(NamedTuple):
    """Nodes of a tree in order of creation, then the children that were never visited.

    Arrays of length N; a parent comes before its children. ``node`` is the id in the forest, -1
    for a child without node; ``value`` is that of the player to move for nodes and, for the
    others, what their parent's expansion gave; ``q`` is reward + discount * value as the parent
    sees it.
    """

    parent: NDArray[np.int64]
    action: NDArray[np.int64]
    node: NDArray[np.int64]
    depth: NDArray[np.int64]
    visits: NDArray[np.int64]
    value: NDArray[np.float32]
    q: NDArray[np.float32]
    prior: NDArray[np.float32]
    terminal: NDArray[np.bool_]
    expanded: NDArray[np.bool_]


def table(forest: SearchForest, tree: int = 0) -> Table:
    """One tree of a forest as a :class:`Table`."""
    arrays = forest.arrays(tree)
    count = len(arrays["parent"])
    owner = np.repeat(np.arange(count), arrays["num_children"])
    starts = np.cumsum(arrays["num_children"]) - arrays["num_children"]
    action = np.arange(len(owner)) - starts[owner]
    child = arrays["edge_child"]
    bare = child < 0
    q = np.zeros(count, np.float32)
    prior = np.ones(count, np.float32)
    q[child[~bare]] = arrays["edge_value"][~bare]
    prior[child[~bare]] = arrays["edge_prior"][~bare]
    if count:
        q[0] = arrays["value"][0]
    extra = int(bare.sum())
    return Table(
        parent=np.concatenate([arrays["parent"], owner[bare]]).astype(np.int64),
        action=np.concatenate([arrays["action"], action[bare]]).astype(np.int64),
        node=np.concatenate([np.arange(count), np.full(extra, -1)]).astype(np.int64),
        depth=np.concatenate([arrays["depth"], arrays["depth"][owner[bare]] + 1]).astype(np.int64),
        visits=np.concatenate([arrays["visits"], arrays["edge_visits"][bare]]).astype(np.int64),
        value=np.concatenate([arrays["value"], arrays["edge_value"][bare]]).astype(np.float32),
        q=np.concatenate([q, arrays["edge_value"][bare]]).astype(np.float32),
        prior=np.concatenate([prior, arrays["edge_prior"][bare]]).astype(np.float32),
        terminal=np.concatenate([arrays["terminal"], np.zeros(extra, bool)]),
        expanded=np.concatenate([arrays["num_children"] > 0, np.zeros(extra, bool)]),
    )


def best_path(found: Table, *, by: str = "value") -> list[int]:
    """Rows of a table from the root to the solution to answer with.

    Args:
        found: of :func:`table`.
        by: ``"value"``: to the row of highest value that was not expanded, the deepest and then
            the last among equals (ReST-MCTS*); ``"visits"``: the most visited child at every
            node, the first among equals.

    Raises:
        ValueError: for an empty tree or another ``by``.
    """
    if len(found.parent) == 0:
        raise ValueError("best_path: the tree must have a root, got an empty one")
    if by == "value":
        leaves = np.flatnonzero(~found.expanded)
        order = np.lexsort((leaves, found.depth[leaves], found.value[leaves]))
        return path_to(found.parent, int(leaves[order[-1]]))
    if by != "visits":
        raise ValueError(f"best_path: by must be 'value' or 'visits', got {by!r}")
    path = [0]
    while True:
        children = np.flatnonzero(found.parent == path[-1])
        children = children[np.argsort(found.action[children])]
        if not len(children) or not found.visits[children].any():
            return path
        path.append(int(children[found.visits[children].argmax()]))


def value_set(rewards: ProcessRewards) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows and targets to train a value model on; the root and unlabelled rows are left out."""
    rows = np.flatnonzero(~np.isnan(rewards.value))
    return rows.astype(np.int64), rewards.value[rows]


def policy_set(
    found: Table, ended: ArrayLike, correct: ArrayLike, *, least_value: float = 0.0
) -> list[list[int]]:
    """Paths to right answers to train a policy on, each from the root's child to the leaf.

    Args:
        found: of :func:`table`.
        ended: (N,) bool, rows that finish a solution.
        correct: (N,) bool, those that are right.
        least_value: solutions whose value is below it are left out.
    """
    keep = np.asarray(ended, bool) & np.asarray(correct, bool) & (found.value >= least_value)
    return [path_to(found.parent, int(leaf))[1:] for leaf in np.flatnonzero(keep)]


def visit_set(
    forest: SearchForest, tree: int = 0, *, least_visits: int = 1
) -> list[tuple[int, NDArray[np.float32], float]]:
    """(node, visit policy, value) of all nodes whose children were visited often enough."""
    arrays = forest.arrays(tree)
    ends = np.cumsum(arrays["num_children"])
    samples = []
    for node, (count, end) in enumerate(zip(arrays["num_children"], ends, strict=True)):
        visits = arrays["edge_visits"][end - count : end]
        if count and visits.sum() >= max(least_visits, 1):
            policy = (visits / visits.sum()).astype(np.float32)
            samples.append((node, policy, float(arrays["value"][node])))
    return samples
