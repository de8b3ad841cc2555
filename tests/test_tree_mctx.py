"""The forest against trees recorded from mctx (tests/make_mctx_fixture.py)."""

from pathlib import Path

import numpy as np
import pytest

from ipse.search import SearchForest, mctx_gumbel, mctx_muzero
from tests.tree_models import (
    DISCOUNT,
    Case,
    StateStore,
    logits_of,
    reward_of,
    root_states,
    value_of,
)

FILE = Path(__file__).parent / "data" / "mctx.npz"
Record = dict[str, np.ndarray]


def recorded() -> dict[str, Record]:
    records: dict[str, Record] = {}
    with np.load(FILE) as arrays:
        for key in arrays.files:
            name, field = key.split("/")
            records.setdefault(name, {})[field] = arrays[key]
    return records


RECORDS = recorded()


def case_of(name: str) -> Case:
    policy, *numbers = name.split("-")
    return Case(policy, *(int(number) for number in numbers))


def run(case: Case, record: Record) -> SearchForest:
    if case.policy == "gumbel":
        rules = mctx_gumbel(case.simulations)
    else:
        depth = {"max_depth": case.max_depth} if case.max_depth else {}
        rules = mctx_muzero(dirichlet_fraction=0.0, **depth)
    forest = SearchForest(case.batch, rules)
    store = StateStore(root_states(case.batch, case.seed))
    if case.policy == "gumbel":
        for tree, gumbel in enumerate(record["gumbel"]):
            forest.set_root_gumbel(tree, gumbel)
    while len((leaves := forest.ask(limit=case.simulations)).ticket):
        with np.errstate(over="ignore"):
            states = store.of_leaves(leaves)
        forest.tell(
            leaves.ticket,
            value_of(states),
            logits=logits_of(states, case.actions),
            rewards=reward_of(states),
            discounts=np.full(len(states), DISCOUNT),
        )
    return forest


def test_the_grid_is_there() -> None:
    cases = [case_of(name) for name in RECORDS]
    for policy in ("muzero", "gumbel"):
        mine = [case for case in cases if case.policy == policy]
        assert {min(c.batch for c in mine), max(c.batch for c in mine)} == {1, 16}
        assert {min(c.actions for c in mine), max(c.actions for c in mine)} == {2, 32}
        assert {min(c.simulations for c in mine), max(c.simulations for c in mine)} == {1, 200}


@pytest.mark.parametrize("name", RECORDS)
def test_the_tree_is_that_of_mctx(name: str) -> None:
    """Every node, where it hangs and how often it was visited; values to rounding."""
    case, record = case_of(name), RECORDS[name]
    forest = run(case, record)
    root = forest.root()
    np.testing.assert_array_equal(root.visits, record["visits"])
    np.testing.assert_allclose(root.root_values, record["value"], atol=2e-6)
    visited = record["visits"] > 0
    np.testing.assert_allclose(root.values[visited], record["qvalues"][visited], atol=2e-6)
    for tree in range(case.batch):
        arrays = forest.arrays(tree)
        if case.max_depth:
            # mctx numbers a node by its simulation, so evaluations of known nodes leave gaps.
            made = record["node_visits"][tree] > 0
            np.testing.assert_array_equal(arrays["visits"], record["node_visits"][tree][made])
            continue
        np.testing.assert_array_equal(arrays["parent"], record["parents"][tree])
        np.testing.assert_array_equal(arrays["action"], record["actions"][tree])
        np.testing.assert_array_equal(arrays["visits"], record["node_visits"][tree])


@pytest.mark.parametrize("name", [name for name in RECORDS if name.startswith("gumbel")])
def test_gumbel_plays_and_teaches_as_mctx(name: str) -> None:
    case, record = case_of(name), RECORDS[name]
    actions, policy = run(case, record).gumbel_policy()
    np.testing.assert_array_equal(actions, record["action"])
    np.testing.assert_allclose(policy, record["weights"], atol=2e-5)
