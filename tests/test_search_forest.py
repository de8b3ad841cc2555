"""Ask, tell, cancel and advance: tickets, errors, bounds."""

import re

import numpy as np
import pytest

from ipse.search import SearchForest, SearchRules, mcts_star, mctx_muzero
from tests.tree_cases import hashed, search

PLAIN = mctx_muzero(dirichlet_fraction=0.0)


def started(num_trees: int = 2, actions: int = 3, rules: SearchRules = PLAIN) -> SearchForest:
    """A forest whose roots were told."""
    forest = SearchForest(num_trees, rules)
    forest.tell(forest.ask().ticket, np.zeros(num_trees), num_children=np.full(num_trees, actions))
    return forest


def test_a_told_ticket_is_passed_over() -> None:
    forest = started()
    leaves = forest.ask()
    assert forest.tell(leaves.ticket, [0.5, 0.25], num_children=[2, 2]) == 2
    before = forest.arrays(0)
    assert forest.tell(leaves.ticket, [0.9, 0.9], num_children=[2, 2]) == 0
    for name, array in forest.arrays(0).items():
        np.testing.assert_array_equal(array, before[name])


def test_one_ticket_twice_in_a_call_counts_once() -> None:
    forest = started()
    ticket = forest.ask().ticket[:1].repeat(2)
    assert forest.tell(ticket, [0.5, 0.7], num_children=[1, 1]) == 1
    assert forest.root().root_visits[0] == 2


def test_a_cancelled_ticket_is_found_again() -> None:
    forest = started(1)
    leaves = forest.ask()
    forest.cancel(leaves.ticket)
    assert forest.tell(leaves.ticket, [0.5], num_children=[1]) == 0
    again = forest.ask()
    assert again.action[0] == leaves.action[0]
    assert again.ticket[0] != leaves.ticket[0]


def test_leaves_of_one_tree_differ_and_collide() -> None:
    forest = started(1, actions=3)
    leaves = forest.ask(width=8)
    assert sorted(leaves.action) == [0, 1, 2]
    assert forest.counters().collisions[0] == 1
    assert len(forest.ask().ticket) == 0


def test_expand_then_backup_is_tell() -> None:
    told, stepped = started(1), started(1)
    leaves = told.ask()
    told.tell(leaves.ticket, [0.5], num_children=[2], rewards=[0.25])
    leaves = stepped.ask()
    core = stepped._core
    core.expand(leaves.ticket, {"num_children": [2], "rewards": [0.25]})
    assert len(stepped.ask().ticket) == 1  # another child: this one waits for its value
    stepped.cancel(stepped.arrays(0)["pending"][1:, 0])
    with pytest.raises(ValueError, match="is expanded already: back it up"):
        stepped.cancel(leaves.ticket)
    core.backup(leaves.ticket, np.array([0.5], np.float32))
    for name, array in told.arrays(0).items():
        if name != "counters":
            np.testing.assert_array_equal(array, stepped.arrays(0)[name])


def test_terminal_leaves_are_not_asked_again() -> None:
    forest = started(1, actions=1)
    forest.tell(forest.ask().ticket, [1.0], terminal=[True])
    assert len(forest.ask(width=5).ticket) == 0
    assert forest.counters().simulations[0] == 6
    assert forest.root().visits[0, 0] == 6


def test_limit_counts_what_is_in_flight() -> None:
    forest = started(3, actions=8)
    assert len(forest.ask(width=8, limit=5).ticket) == 15
    assert len(forest.ask(width=8, limit=5).ticket) == 0


def test_a_full_tree_yields_no_more_leaves() -> None:
    rules = mctx_muzero(dirichlet_fraction=0.0, max_nodes=4)
    forest = SearchForest(1, rules)
    evaluate = hashed(5, rules, ends=False)
    search(forest, lambda _, path: evaluate(path), 100)
    assert forest.counters().nodes[0] == 4
    assert forest.is_full


def test_masked_actions_are_never_taken() -> None:
    forest = SearchForest(1, mctx_muzero())
    mask = np.array([[True, False, True, False]])
    priors = np.array([[0.1, 0.4, 0.1, 0.4]])
    forest.tell(forest.ask().ticket, [0.0], priors=priors, mask=mask)
    for _ in range(20):
        leaves = forest.ask()
        forest.tell(leaves.ticket, [0.1], priors=priors, mask=mask)
    arrays = forest.arrays(0)
    assert (arrays["edge_visits"].reshape(-1, 4)[:, [1, 3]] == 0).all()
    assert np.isneginf(forest.root().priors[0, [1, 3]]).all()
    np.testing.assert_allclose(forest.root().priors[0, [0, 2]].sum(), 1, rtol=1e-6)


def test_advance_keeps_the_subtree() -> None:
    forest = SearchForest(2, PLAIN)
    evaluate = hashed(8, PLAIN, ends=False)
    book = search(forest, lambda _, path: evaluate(path), 60)
    action = int(forest.root().visits[0].argmax())
    before, other = forest.arrays(0), forest.arrays(1)
    open_leaves = forest.ask()
    ids = forest.advance(0, action)
    after = forest.arrays(0)
    kept = np.flatnonzero(ids >= 0)
    assert [path[:1] for path in np.array(book.paths[0], object)[kept]] == [(action,)] * len(kept)
    for name in ("visits", "value", "raw_value", "num_children", "to_play"):
        np.testing.assert_array_equal(after[name], before[name][kept])
    np.testing.assert_array_equal(after["depth"], before["depth"][kept] - 1)
    np.testing.assert_array_equal(after["parent"][1:], ids[before["parent"][kept[1:]]])
    assert forest.counters().pending.tolist() == [0, 1]
    assert forest.tell(open_leaves.ticket[:1], [0.0], num_children=[1]) == 0
    np.testing.assert_array_equal(other["visits"], forest.arrays(1)["visits"])


def test_advance_to_an_unknown_child_starts_anew() -> None:
    forest = started(1)
    assert forest.advance(0, 2).tolist() == [-1]
    assert forest.counters().nodes[0] == 0
    assert forest.ask().parent[0] == -1


def test_root_noise_is_a_mixture_keyed_by_the_tree() -> None:
    def priors(keys: list[int], seed: int = 0) -> np.ndarray:
        rules = mctx_muzero(dirichlet_fraction=0.25, dirichlet_alpha=0.3, seed=seed)
        forest = SearchForest(len(keys), rules, keys=keys)
        told = np.tile(np.float32([0.7, 0.2, 0.1]), (len(keys), 1))
        forest.tell(forest.ask().ticket, np.zeros(len(keys)), priors=told)
        return forest.root().priors

    noise = (priors(list(range(4000))) - 0.75 * np.float32([0.7, 0.2, 0.1])) / 0.25
    np.testing.assert_allclose(noise.sum(axis=1), 1, atol=1e-5)
    assert noise.min() > -1e-6
    np.testing.assert_allclose(noise.mean(axis=0), 1 / 3, atol=0.025)  # deviation 0.0053
    # Variance of a Dirichlet component: (1/3)(2/3) / (3 alpha + 1).
    np.testing.assert_allclose(noise.var(axis=0), 2 / 9 / 1.9, rtol=0.06)
    np.testing.assert_array_equal(priors([5, 9])[::-1], priors([9, 5]))
    assert (priors([5]) != priors([5], seed=1)).any()


@pytest.mark.parametrize(
    ("arguments", "children", "message"),
    [
        ([[0, 2**32], [0.0, np.nan]], {"num_children": [1, 1]}, "values must be finite, got nan"),
        ([[0, 2**32], [0.0]], {"num_children": [1, 1]}, "values must have 2 entries, got 1"),
        ([[0, 7], [0.0, 0.0]], {"num_children": [1, 1]}, "ticket 7 was never issued"),
        ([[-1], [0.0]], {"num_children": [1]}, "ticket -1 was never issued"),
        ([[2**40], [0.0]], {"num_children": [1]}, "was never issued"),
        ([[0], [0.0]], {}, "priors or num_children must be given at ticket 0"),
        ([[0], [0.0]], {"num_children": [-1]}, "num_children must be at least 0, got -1"),
        ([[0], [0.0]], {"priors": [[0.5, 0.4]]}, "priors must sum to 1, got 0.9"),
        ([[0], [0.0]], {"priors": [[1.5, -0.5]]}, "priors must be finite and at least 0"),
        ([[0], [0.0]], {"priors": [[np.nan, 1.0]]}, "priors must be finite"),
        ([[0], [0.0]], {"logits": [[np.nan, 1.0]]}, "logits must be finite or -inf, got nan"),
        ([[0], [0.0]], {"logits": [[-np.inf, -np.inf]]}, "every action is masked at ticket 0"),
        ([[0], [0.0]], {"num_children": [2], "mask": [False, False]}, "every action is masked"),
        ([[0], [0.0]], {"num_children": [2], "mask": [True]}, "mask must have 2 entries, got 1"),
        ([[0], [0.0]], {"num_children": [1], "rewards": [np.inf]}, "rewards must be finite"),
        ([[0], [0.0]], {"num_children": [1], "child_values": [np.nan]}, "child_values must be"),
        ([[0], [0.0]], {"num_children": [1], "rollouts": [np.inf]}, "rollouts must be finite"),
        ([[0], [0.0]], {"priors": [[1.0]], "logits": [[0.0]]}, "must not both be given"),
        ([[0], [0.0]], {"num_children": [1], "colour": [1]}, "there is no argument 'colour'"),
    ],
)
def test_wrong_tells_are_refused_and_change_nothing(
    arguments: list, children: dict, message: str
) -> None:
    forest = SearchForest(2, PLAIN)
    forest.ask()
    children = {
        name: np.asarray(value, np.float32) if name in ("priors", "logits") else value
        for name, value in children.items()
    }
    with pytest.raises(ValueError, match=r"^forest\.tell: ") as caught:
        forest.tell(*arguments, **children)
    assert message in str(caught.value)
    assert forest.counters().nodes.tolist() == [0, 0]
    assert forest.counters().pending.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"selection": "best"}, "selection must be one of 'puct', 'uct', 'gumbel', got 'best'"),
        ({"c_init": -1.0}, "c_init must be from 0.0 to"),
        ({"discount": float("nan")}, "discount must be from -1.0 to 1.0, got nan"),
        ({"dirichlet_fraction": 1.5}, "dirichlet_fraction must be from 0.0 to 1.0"),
        ({"max_nodes": 0}, "max_nodes must be from 1 to"),
        ({"num_considered": "many"}, "num_considered must be a number of its type"),
    ],
)
def test_wrong_rules_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=r"^SearchForest: ") as caught:
        SearchForest(1, SearchRules(**changes))
    assert message in str(caught.value)


def test_other_wrong_calls_are_refused() -> None:
    forest = started(2)
    for call, message in [
        (lambda: SearchForest(0), "num_trees must be from 1"),
        (lambda: forest.ask(width=0), "width must be from 1 to 4096, got 0"),
        (lambda: forest.cancel([99]), "forest.cancel: ticket 99 was never issued"),
        (lambda: forest.advance(2, 0), "tree must be from 0 to 1, got 2"),
        (lambda: forest.advance(0, 3), "action must be below the 3 actions at the root of tree 0"),
        (lambda: forest.arrays(-1), "tree must be from 0 to 1, got -1"),
        (lambda: SearchForest(2, keys=[1]), "keys must have one entry for each of the 2 trees"),
        (lambda: forest.gumbel_policy(), "selection must be 'gumbel'"),
    ]:
        with pytest.raises(ValueError, match=re.escape(message)):
            call()


def test_mcts_star_by_hand() -> None:
    """Three rounds on paper: c = 0.7, bonus 1, half of a rollout's value."""
    forest = SearchForest(1, mcts_star())
    root = forest.ask()
    forest.tell(root.ticket, [0.0], num_children=[2], child_values=[0.2, 0.6], rollouts=[1.0])
    # The rollout moved child 1 from 0.6 to 0.8; the root is its mean.
    np.testing.assert_allclose(forest.root().values[0], [0.2, 0.8], rtol=1e-6)
    np.testing.assert_allclose(forest.root().root_values[0], 0.8, rtol=1e-6)
    assert forest.root().root_visits[0] == 1
    # ln 1 = 0: child 1 scores 0.8, child 0 0.2 + 1.
    leaf = forest.ask()
    assert leaf.action[0] == 0
    np.testing.assert_allclose(leaf.value[0], 0.2, rtol=1e-6)
    forest.tell(leaf.ticket, [0.2], num_children=[1], child_values=[0.4], rollouts=[np.nan])
    # No child of the new node was visited: it keeps 0.2. The root: (0.2 + 0.8) / 2.
    np.testing.assert_allclose(forest.root().root_values[0], 0.5, rtol=1e-6)
    leaf = forest.ask()
    assert leaf.action[0] == 1  # equal counts: the value decides
    forest.tell(leaf.ticket, [0.8], num_children=[0])
    assert forest.root().visits[0].tolist() == [1, 2]
    np.testing.assert_allclose(forest.root().root_values[0], (0.2 + 2 * 0.8) / 3, rtol=1e-6)
