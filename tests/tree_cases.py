"""Drives a SearchForest with evaluators that know a leaf by its path."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ipse.search import Leaves, SearchForest, SearchRules
from tests.tree_models import child_state, fraction, logits_of, reward_of, value_of

Path = tuple[int, ...]
Evaluate = Callable[[Path], dict[str, Any]]


class PathBook:
    """The path of every node of a forest, in the order in which nodes are told."""

    def __init__(self, num_trees: int) -> None:
        self.paths: list[list[Path]] = [[] for _ in range(num_trees)]

    def of(self, leaves: Leaves, index: int) -> Path:
        parent = int(leaves.parent[index])
        if parent < 0:
            return ()
        return (*self.paths[int(leaves.tree[index])][parent], int(leaves.action[index]))


def tell_told(
    forest: SearchForest, leaves: Leaves, told: list[dict[str, Any]], **extra: Any
) -> None:
    """One tell for all leaves, whose numbers of children may differ."""
    if not told:
        return
    gumbel = forest.rules.selection == "gumbel"
    flat = np.concatenate([np.asarray(t["prior"], np.float32) for t in told])
    values = [np.asarray(t.get("child_values", np.zeros(len(t["prior"])))) for t in told]
    forest.tell(
        leaves.ticket,
        [t["value"] for t in told],
        **{"logits" if gumbel else "priors": flat},
        num_children=[len(t["prior"]) for t in told],
        child_values=np.concatenate(values),
        rewards=[t.get("reward", 0.0) for t in told],
        discounts=[t.get("discount", forest.rules.discount) for t in told],
        terminal=[t.get("terminal", False) for t in told],
        to_play=[t.get("to_play", 0) for t in told],
        rollouts=[t.get("rollout", np.nan) for t in told],
        **extra,
    )


def search(
    forest: SearchForest,
    evaluate: Callable[[int, Path], dict[str, Any]],
    simulations: int,
    width: int = 1,
    book: PathBook | None = None,
) -> PathBook:
    """Searches until every tree has its simulations."""
    book = PathBook(forest.num_trees) if book is None else book
    while True:
        before = forest.counters().simulations.sum()
        leaves = forest.ask(width, limit=simulations)
        paths = [book.of(leaves, index) for index in range(len(leaves.ticket))]
        told = [evaluate(int(tree), path) for tree, path in zip(leaves.tree, paths, strict=True)]
        tell_told(forest, leaves, told)
        for index, path in enumerate(paths):
            if leaves.node[index] < 0:
                book.paths[int(leaves.tree[index])].append(path)
        if not paths and forest.counters().simulations.sum() == before:
            return book


def hashed(seed: int, rules: SearchRules, most: int = 5, ends: bool = True) -> Evaluate:
    """A random tree: ragged widths, some ends, rewards, child values and rollouts."""

    @np.errstate(over="ignore")  # hashes are meant to wrap around
    def evaluate(path: Path) -> dict[str, Any]:
        state = np.full((), seed, np.uint32)
        for action in path:
            state = child_state(state, np.uint32(action))
        width = 1 + int(fraction(state + np.uint32(1)) * most)
        if not path:
            width = most
        elif ends and fraction(state + np.uint32(2)) < 0.15:
            width = 0
        prior = logits_of(state, width)
        if rules.selection != "gumbel" and width:
            prior = np.exp(prior) / np.exp(prior).sum()
        told = {"prior": prior.astype(np.float32), "value": value_of(state)}
        told["reward"] = reward_of(state) if path else 0.0
        told["discount"] = np.float32(0.9)
        if rules.backup == "weighted":
            actions = np.arange(width, dtype=np.uint32)
            told["child_values"] = fraction(state + np.uint32(0x4000) + actions)
            told["reward"], told["discount"] = 0.0, 1.0
            told["value"] = fraction(state + np.uint32(5))
            if width and fraction(state + np.uint32(6)) < 0.7:
                told["rollout"] = fraction(state + np.uint32(7))
        return told

    return evaluate
