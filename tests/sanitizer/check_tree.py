"""Drives the search forest over ragged trees under the sanitizers; called by check_core.py."""

import itertools
from typing import Any

import _core
import numpy as np

RULES: list[dict[str, Any]] = [
    {"dirichlet_fraction": 0.25},
    {"normalisation": "tree", "unvisited": "walk_mean", "clamp": True, "visit_offset": 1},
    {"selection": "gumbel", "num_simulations": 30, "num_considered": 4},
    {"selection": "uct", "backup": "weighted", "first_visit_bonus": 1.0, "ties": "random"},
    {"selection": "uct", "backup": "max", "max_depth": 3},
    {"max_nodes": 9, "ties": "random"},
]


def grow(forest: Any, generator: np.random.Generator, width: int, waves: int, limit: int) -> None:
    """Waves of leaves told in random order, some cancelled, some left open."""
    for _ in range(waves):
        tickets, *places = forest.select(width, limit, 3)
        count = len(tickets)
        order = generator.permutation(count)
        cancelled, told = order[: count // 8], order[count // 8 : count - count // 8]
        forest.cancel(tickets[cancelled])
        children = generator.integers(0, 7, len(told)).astype(np.int32)
        edges = int(children.sum())
        mask = generator.random(edges) < 0.8
        mask[np.cumsum(children)[children > 0] - 1] = True
        told_children = {
            "num_children": children,
            "logits": generator.standard_normal(edges).astype(np.float32),
            "mask": mask,
            "child_values": generator.random(edges).astype(np.float32),
            "rewards": generator.random(len(told)).astype(np.float32),
            "terminal": generator.random(len(told)) < 0.1,
            "to_play": generator.integers(0, 2, len(told)).astype(np.int32),
            "rollouts": np.where(generator.random(len(told)) < 0.5, np.nan, 0.5),
        }
        values = generator.random(len(told)).astype(np.float32)
        forest.tell(tickets[told], values, told_children, 3)
        assert all(len(place) == count for place in places)


def check_tree(generator: np.random.Generator) -> None:
    for rules, num_trees, width in itertools.product(RULES, (1, 40), (1, 5)):
        forest = _core.SearchForest(num_trees, rules)
        limit = 30 if rules.get("selection") == "gumbel" else 200
        grow(forest, generator, width, 30, limit)
        copy = _core.SearchForest(num_trees, rules)
        for tree in range(num_trees):
            copy.restore(tree, forest.arrays(tree))
            widths = forest.root_statistics()["num_children"]
            if widths[tree] > 0:
                action = int(generator.integers(0, widths[tree]))
                ids = forest.reroot(tree, action)
                assert len(ids) == len(copy.arrays(tree)["parent"])
        grow(forest, generator, width, 5, limit)
        grow(copy, generator, width, 5, limit)
        assert copy.counters()[2].sum() > num_trees // 2
    check_process_rewards(generator)


def check_process_rewards(generator: np.random.Generator) -> None:
    for count in (0, 1, 2, 300):
        parents = (generator.random(count) * np.arange(count)).astype(np.int64)
        parents[:1] = -1
        ended, correct = generator.random((2, count)) < 0.5
        _, _, values = _core.process_rewards(parents, ended, correct)
        known = values[~np.isnan(values)]
        assert ((known >= 0) & (known <= 1)).all()
