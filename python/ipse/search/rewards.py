"""Process rewards: what a finished tree, with its answers checked, says of every step.

ReST-MCTS* (Zhang et al. 2024, arXiv 2406.03816): only final answers need a label; the steps'
values follow from the tree.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ipse import _core

SCHEMES = ("vm", "prm", "simple")


class ProcessRewards(NamedTuple):
    """Of every node of a tree, arrays (N,).

    ``value`` (float64): the target of a value model, nan where the tree gives none (at the root,
    too: no step leads there). ``reward`` (float64): what the step adds, w in the paper (scheme
    ``"vm"``; nan elsewhere). ``steps_left`` (int64): m, steps still missing to a right answer, -1
    where unknown. ``correct``: whether a right answer lies at or below the node.
    """

    value: NDArray[np.float64]
    reward: NDArray[np.float64]
    steps_left: NDArray[np.int64]
    correct: NDArray[np.bool_]


def process_rewards(
    parents: ArrayLike, ended: ArrayLike, correct: ArrayLike, *, scheme: str = "vm"
) -> ProcessRewards:
    """Infers the quality of all steps from the leaves that were checked.

    Args:
        parents: (N,) ids, -1 for the root, which is first; parents precede their children.
        ended: (N,) bool, the leaves that finish a solution.
        correct: (N,) bool, those of them whose answer is right.
        scheme: ``"vm"``: quality values ``v = max(0, v' + (1 - v') s / (m + 1))`` with v' the
            parent's value, s = 1 above a right answer and -1 elsewhere, wrong branches as far
            away as the last good node they left; ``"prm"``: 1 above a right answer, 0 above
            wrong ones only; ``"simple"``: along the shortest solution of depth K the k-th step
            is worth k / K, a step that leaves it at depth k is worth (k - 2) / K or 0.

    Returns:
        :class:`ProcessRewards`; all nan where no answer is right.

    Raises:
        ValueError: for arrays of different lengths, or parents out of order.

    Memory:
        A few arrays of length N; two sweeps over the nodes, no recursion.

    Source: arXiv 2406.03816, sections 3.1 and 3.2.
    """
    if scheme not in SCHEMES:
        raise ValueError(f"process_rewards: scheme must be one of {SCHEMES}, got {scheme!r}")
    parents = np.asarray(parents, np.int64)
    ended, correct = np.asarray(ended, bool), np.asarray(correct, bool)
    distances, hits, quality = _core.process_rewards(parents, ended, correct)
    nothing = np.full(len(parents), np.nan)
    if scheme == "vm":
        quality[:1] = np.nan
        above = np.concatenate([[np.nan], np.nan_to_num(quality)[parents[1:]]])[: len(parents)]
        step = (1 - above) / np.maximum(distances, 1)
        reward = np.where(distances > 0, np.where(hits, step, -step), np.nan)
        return ProcessRewards(quality, reward, distances - 1, hits)
    if scheme == "prm":
        value = np.where(_above(parents, ended), hits.astype(np.float64), np.nan)
        value[:1] = np.nan
        return ProcessRewards(value, nothing, distances - 1, hits)
    value = _along_solution(parents, ended & correct)
    return ProcessRewards(value, nothing, distances - 1, hits)


def path_to(parents: ArrayLike, node: int) -> list[int]:
    """The nodes from the root to a node, both included."""
    parents = np.asarray(parents)
    path = [node]
    while parents[path[-1]] >= 0:
        path.append(int(parents[path[-1]]))
    return path[::-1]


def correct_paths(parents: ArrayLike, ended: ArrayLike, correct: ArrayLike) -> list[list[int]]:
    """All paths from the root to a right answer, in the order of the answers' ids."""
    right = np.flatnonzero(np.asarray(ended, bool) & np.asarray(correct, bool))
    return [path_to(parents, int(leaf)) for leaf in right]


def _above(parents: NDArray[np.int64], marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Nodes at or above a marked one."""
    found = marked.copy()
    for node in range(len(parents) - 1, 0, -1):
        found[parents[node]] |= found[node]
    return found


def _along_solution(parents: NDArray[np.int64], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    value = np.full(len(parents), np.nan)
    paths = [path_to(parents, int(leaf)) for leaf in np.flatnonzero(right)]
    if not paths:
        return value
    route = min(paths, key=len)
    depth = len(route) - 1
    for place, node in enumerate(route):
        value[parents == node] = max(place - 1, 0) / max(depth, 1)
    for place, node in enumerate(route[1:], start=1):
        value[node] = place / depth
    return value
