"""Process rewards, paths and training sets of finished trees."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipse.search import (
    SearchForest,
    best_path,
    correct_paths,
    mcts_star,
    mctx_muzero,
    policy_set,
    process_rewards,
    table,
    value_set,
    visit_set,
)
from tests.reference.tree import process_values
from tests.tree_cases import hashed, search

# Root, A, B, Aa, Ab, Aa1, Aa2: all leaves ended, only A-a-1 right.
PARENTS = [-1, 0, 0, 1, 1, 3, 3]
ENDED = [False, False, True, False, True, True, True]
CORRECT = [False, False, False, False, False, True, False]


def test_the_reference_runs_fixture() -> None:
    found = process_rewards(PARENTS, ENDED, CORRECT)
    expected = [np.nan, 1 / 3, 0, 2 / 3, 1 / 9, 1, 0.5]
    np.testing.assert_allclose(found.value, expected, atol=1e-12)
    assert found.steps_left.tolist() == [3, 2, 3, 1, 2, 0, 1]
    hard = process_rewards(PARENTS, ENDED, CORRECT, scheme="prm")
    np.testing.assert_array_equal(hard.value, [np.nan, 1, 0, 1, 0, 1, 0])
    simple = process_rewards(PARENTS, ENDED, CORRECT, scheme="simple")
    np.testing.assert_allclose(simple.value, [np.nan, 1 / 3, 0, 2 / 3, 0, 1, 1 / 3])


def test_a_right_chain_rises_evenly() -> None:
    found = process_rewards([-1, 0, 1, 2, 3], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1])
    np.testing.assert_allclose(found.value[1:], [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(found.reward[1:], 0.25)


def test_a_wrong_branch_falls() -> None:
    """It leaves a four-step solution after two steps: 1/3, 1/9, 0."""
    parents = [-1, 0, 1, 2, 3, 2, 5, 6, 0]
    ended = [0, 0, 0, 0, 1, 0, 0, 1, 1]
    found = process_rewards(parents, ended, [0, 0, 0, 0, 1, 0, 0, 0, 0])
    np.testing.assert_allclose(found.value[5:], [1 / 3, 1 / 9, 0, 0], atol=1e-12)


def test_without_a_right_answer_nothing_is_said() -> None:
    for scheme in ("vm", "simple"):
        found = process_rewards([-1, 0, 0], [0, 1, 1], [0, 0, 0], scheme=scheme)
        assert np.isnan(found.value).all()
    assert value_set(process_rewards([-1, 0], [0, 1], [0, 0]))[0].size == 0


@st.composite
def finished(draw: st.DrawFn) -> tuple[list[int], list[bool], list[bool]]:
    count = draw(st.integers(1, 40))
    parents = [-1, *(draw(st.integers(0, node - 1)) for node in range(1, count))]
    inner = set(parents)
    ended = [node not in inner and draw(st.booleans()) for node in range(count)]
    correct = [draw(st.booleans()) for _ in range(count)]
    return parents, ended, correct


@given(tree=finished())
def test_sweeps_are_the_literal_algorithm(tree: tuple[list[int], list[bool], list[bool]]) -> None:
    found = process_rewards(*tree)
    expected = process_values(*tree)
    np.testing.assert_allclose(found.value[1:], expected[1:], atol=1e-12)
    known = ~np.isnan(found.value)
    assert ((found.value[known] >= 0) & (found.value[known] <= 1)).all()
    # |w| <= 1 - v of the parent
    above = np.nan_to_num(found.value)[np.maximum(tree[0], 0)]
    assert (np.abs(found.reward[known]) <= 1 - above[known] + 1e-12).all()


def test_wrong_arguments_are_refused() -> None:
    for arguments, message in [
        (([0, 0], [0, 1], [0, 1]), "parents must be -1 for the root"),
        (([-1, 1], [0, 1], [0, 1]), "got 1 at node 1"),
        (([-1, 0], [0], [0, 1]), "must have the length of parents, 2, got 1 and 2"),
    ]:
        with pytest.raises(ValueError, match=r"^process_rewards: ") as caught:
            process_rewards(*arguments)
        assert message in str(caught.value)
    with pytest.raises(ValueError, match="scheme must be one of"):
        process_rewards([-1], [0], [0], scheme="soft")


def test_tables_paths_and_training_sets() -> None:
    rules = mcts_star()
    forest = SearchForest(1, rules)
    search(forest, lambda _, path: hashed(4, rules)(path), 40)
    found = table(forest)
    arrays = forest.arrays(0)
    assert len(found.parent) == 1 + len(arrays["edge_child"])
    assert (found.parent[1:] < np.arange(1, len(found.parent))).all()
    np.testing.assert_array_equal(found.depth[1:], found.depth[found.parent[1:]] + 1)
    ended = ~found.expanded & (found.node >= 0)
    correct = found.value > 0.5
    paths = correct_paths(found.parent, ended, correct)
    assert [path[-1] for path in paths] == np.flatnonzero(ended & correct).tolist()
    assert all(path[0] == 0 for path in paths)
    best = best_path(found)
    assert found.value[best[-1]] == found.value[~found.expanded].max()
    kept = policy_set(found, ended, correct, least_value=0.8)
    assert kept == [path[1:] for path in paths if found.value[path[-1]] >= np.float32(0.8)]
    rows, targets = value_set(process_rewards(found.parent, ended, correct))
    assert len(rows) == len(targets) > 0


def test_visits_teach_a_policy() -> None:
    rules = mctx_muzero(dirichlet_fraction=0.0)
    forest = SearchForest(1, rules)
    search(forest, lambda _, path: hashed(4, rules)(path), 40)
    samples = visit_set(forest, least_visits=5)
    assert samples[0][0] == 0
    np.testing.assert_allclose(samples[0][1], forest.visit_policy()[0])
    path = best_path(table(forest), by="visits")
    assert table(forest).action[path[1]] == forest.root().visits[0].argmax()
