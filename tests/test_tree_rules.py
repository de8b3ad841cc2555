"""Every rule of the forest against the plain reference."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipse.search import (
    SearchForest,
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
from tests.reference.tree import Node, ReferenceTree, considered_visits
from tests.tree_cases import hashed, search

SIMULATIONS = 50
RULES = {
    "mctx_muzero": mctx_muzero(dirichlet_fraction=0.0),
    "mctx_gumbel": mctx_gumbel(SIMULATIONS, num_considered=4),
    "gumbel_raw": mctx_gumbel(SIMULATIONS, mixed_value=False, rescale_values=False, c_visit=20.0),
    "muzero_general": muzero_general(dirichlet_fraction=0.0, ties="first"),
    "lightzero": lightzero(dirichlet_fraction=0.0),
    "open_spiel_puct": open_spiel_puct(),
    "open_spiel_uct": open_spiel_uct(),
    "alphazero_parent": alphazero(dirichlet_fraction=0.0, unvisited="parent"),
    "mcts_star": mcts_star(),
    "mcts_star_paper": mcts_star(0.4, 0.8, log_factor=1.0, rollout_weight=0.3),
    "greedy": greedy(),
    "minimax": open_spiel_uct(backup="max"),
    "shallow": mctx_muzero(dirichlet_fraction=0.0, max_depth=3),
}


def compare(node: Node, arrays: dict[str, np.ndarray], index: int, starts: np.ndarray) -> None:
    """The node and everything below it: visits exactly, values to rounding."""
    assert arrays["visits"][index] == node.visits
    np.testing.assert_allclose(arrays["value"][index], node.value, rtol=1e-4, atol=1e-5)
    block = slice(starts[index], starts[index] + len(node.prior))
    np.testing.assert_array_equal(arrays["edge_visits"][block], node.edge_visits)
    for action, child in enumerate(arrays["edge_child"][block]):
        assert (child >= 0) == (action in node.children)
        if child >= 0:
            compare(node.children[action], arrays, int(child), starts)


@pytest.mark.parametrize("name", RULES)
@given(seed=st.integers(0, 2**32 - 1), most=st.integers(1, 9), ends=st.booleans())
def test_a_search_is_the_reference_search(name: str, seed: int, most: int, ends: bool) -> None:
    rules = RULES[name]
    evaluate = hashed(seed, rules, most, ends)
    gumbel = np.random.default_rng(seed).gumbel(size=most).astype(np.float32)
    reference = ReferenceTree(rules, evaluate, gumbel)
    forest = SearchForest(1, rules)
    if rules.selection == "gumbel":
        forest.set_root_gumbel(0, gumbel)
    search(forest, lambda _, path: evaluate(path), SIMULATIONS)
    for _ in range(SIMULATIONS):
        reference.simulate()
    arrays = forest.arrays(0)
    starts = np.concatenate([[0], np.cumsum(arrays["num_children"])])
    compare(reference.root, arrays, 0, starts)


@pytest.mark.parametrize(
    ("considered", "simulations", "expected"),
    [
        (8, 24, [0] * 8 + [1] * 4 + [2] * 4 + [3, 3, 4, 4, 5, 5, 6, 6]),
        (8, 2, [0, 0]),
        (1, 4, [0, 1, 2, 3]),
    ],
)
def test_the_reference_halves_as_the_paper(
    considered: int, simulations: int, expected: list[int]
) -> None:
    assert considered_visits(considered, simulations) == expected


def test_two_players_through_to_play_are_a_discount_of_minus_one() -> None:
    rules = mctx_muzero(dirichlet_fraction=0.0)
    evaluate = hashed(3, rules)

    def signed(_: int, path: tuple[int, ...]) -> dict[str, Any]:
        return {**evaluate(path), "discount": -1.0}

    def players(_: int, path: tuple[int, ...]) -> dict[str, Any]:
        return {**evaluate(path), "discount": 1.0, "to_play": len(path) % 2}

    found = []
    for told in (signed, players):
        forest = SearchForest(1, rules)
        search(forest, told, 100)
        found.append(forest.root())
    for first, second in zip(*found, strict=True):
        np.testing.assert_array_equal(first, second)


def test_random_ties_are_fair_and_seeded() -> None:
    rules = SearchRules(ties="random", c_init=0.0, c_base=np.inf)

    def first_choices(seed: int) -> np.ndarray:
        forest = SearchForest(600, dataclasses.replace(rules, seed=seed))
        leaves = forest.ask()
        forest.tell(leaves.ticket, np.zeros(600), num_children=np.full(600, 3))
        return forest.ask().action

    chosen = first_choices(1)
    np.testing.assert_array_equal(chosen, first_choices(1))
    assert (chosen != first_choices(2)).any()
    assert np.bincount(chosen, minlength=3).min() > 150  # 200 expected, deviation 12


def test_ties_go_to_the_lowest_index() -> None:
    forest = SearchForest(2, SearchRules())
    forest.tell(forest.ask().ticket, [0.0, 0.0], num_children=[7, 3])
    np.testing.assert_array_equal(forest.ask().action, [0, 0])
