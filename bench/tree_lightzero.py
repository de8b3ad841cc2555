"""LightZero's MuZero tree (C++ behind Cython) on the table of states of bench/tree_peers.py.

`pip install --no-deps LightZero` is enough: only its compiled tree is loaded, not the package.
"""

import importlib.util
from collections.abc import Callable
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from bench.tree_peers import STATES, World
from ipse.search import SearchForest, lightzero

DISCOUNT = 0.997


@cache
def tree_module() -> ModuleType | None:
    """The compiled tree; None where LightZero is not installed."""
    package = importlib.util.find_spec("lzero")
    for folder in package.submodule_search_locations or [] if package else []:
        for suffix in EXTENSION_SUFFIXES:
            path = Path(folder, "mcts", "ctree", "ctree_muzero", f"mz_tree{suffix}")
            if path.exists():
                spec = importlib.util.spec_from_file_location("mz_tree", path)
                assert spec is not None
                assert spec.loader is not None
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
    return None


def lightzero_search(world: World, starts: np.ndarray, simulations: int) -> np.ndarray:
    """Visits of the roots (B, A) after a search as LightZero runs its own."""
    tree: Any = tree_module()
    batch = len(starts)
    to_play, zeros = [-1] * batch, [0.0] * batch
    roots = tree.Roots(batch, [list(range(world.actions))] * batch)
    roots.prepare_no_noise(zeros, world.logits[starts].tolist(), to_play)
    ranges = tree.MinMaxStatsList(batch)
    ranges.set_delta(0.01)
    states = np.empty((simulations + 1, batch), np.int32)
    states[0] = starts
    for node in range(1, simulations + 1):
        results = tree.ResultsWrapper(num=batch)
        depth, place, actions, to_play = tree.batch_traverse(
            roots, 19652, 1.25, DISCOUNT, ranges, results, to_play
        )
        now = states[node] = (states[depth, place] * world.actions + actions + 1) % STATES
        values, logits = world.values[now].tolist(), world.logits[now].tolist()
        tree.batch_backpropagate(node, DISCOUNT, zeros, values, logits, ranges, results, to_play)
    return np.asarray(roots.get_distributions())


def forest_search(world: World, starts: np.ndarray, simulations: int, threads: int) -> np.ndarray:
    """The same search by the forest with LightZero's rules."""
    rules = lightzero(
        dirichlet_fraction=0.0, discount=DISCOUNT, ties="random", max_nodes=simulations + 1
    )
    forest = SearchForest(len(starts), rules, num_threads=threads)
    states = np.empty((len(starts), simulations + 1), np.int32)
    leaves = forest.ask()
    states[:, 0] = starts
    forest.tell(leaves.ticket, world.values[starts], priors=world.priors[starts])
    for node in range(1, simulations + 1):
        leaves = forest.ask()
        now = (states[leaves.tree, leaves.parent] * world.actions + leaves.action + 1) % STATES
        states[:, node] = now
        forest.tell(leaves.ticket, world.values[now], priors=world.priors[now])
    return forest.root().visits


def largest_difference(world: World, simulations: int = 50, trees: int = 2048) -> float:
    """Of the mean visits of two sets of trees from one root, in standard errors.

    A node's first walk ties between all its actions and both draw one, from different
    generators: single trees differ, their distribution must not.
    """
    starts = np.full(trees, 5, np.int32)
    both: list[Callable[[], np.ndarray]] = [
        lambda: lightzero_search(world, starts, simulations),
        lambda: forest_search(world, starts, simulations, 0),
    ]
    visits = [search().astype(np.float64) for search in both]
    error = np.sqrt(sum(v.var(axis=0) for v in visits) / trees) + 1e-3
    return float((np.abs(visits[0].mean(axis=0) - visits[1].mean(axis=0)) / error).max())
