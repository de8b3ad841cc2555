"""What holds for every search: counts add up, nothing leaks, nobody's neighbours matter."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipse.search import SearchForest, SearchRules, lightzero, mcts_star, mctx_gumbel, mctx_muzero
from tests.tree_cases import PathBook, hashed, search, tell_told

RULES = {
    "puct": mctx_muzero(seed=3),
    "random": SearchRules(ties="random", dirichlet_fraction=0.5, c_base=np.inf),
    "gumbel": mctx_gumbel(40, num_considered=4),
    "mcts_star": mcts_star(ties="random"),
    "lightzero": lightzero(),
}
EVERY_RULE = pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
SEEDS = st.integers(0, 2**31)


def evaluators(seeds: list[int], rules: SearchRules) -> Any:
    each = [hashed(seed, rules) for seed in seeds]
    return lambda tree, path: each[tree](path)


def assert_same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    """The same bits, but for the counters, which know the tree's key."""
    assert first.keys() == second.keys()
    for name in first.keys() - {"counters"}:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


@EVERY_RULE
@given(seed=SEEDS, width=st.integers(1, 9))
def test_counts_add_up(rules: SearchRules, seed: int, width: int) -> None:
    forest = SearchForest(2, rules)
    search(forest, evaluators([seed, seed + 1], rules), 40, width)
    assert forest.counters().simulations.tolist() == [40, 40]
    assert forest.counters().pending.tolist() == [0, 0]
    for tree in range(2):
        arrays = forest.arrays(tree)
        owner = np.repeat(np.arange(len(arrays["parent"])), arrays["num_children"])
        below = np.bincount(owner, arrays["edge_visits"], minlength=len(arrays["parent"]))
        rolled = 1 if rules.backup == "weighted" else 0
        expanded = np.flatnonzero(arrays["num_children"])
        # A node's own evaluation, once. MCTS* counts a rollout as a visit of the child, which
        # may have been this node before it existed, or hang below it.
        spare = arrays["visits"][expanded] - below[expanded]
        assert ((spare >= 1 - rolled) & (spare <= 1 + rolled)).all()
        children = arrays["edge_child"]
        known = children >= 0
        np.testing.assert_array_equal(
            arrays["visits"][children[known]], arrays["edge_visits"][known]
        )
        assert (arrays["parent"][1:] < np.arange(1, len(arrays["parent"]))).all()


@EVERY_RULE
@given(seed=SEEDS, width=st.integers(1, 6))
def test_cancelling_undoes_everything(rules: SearchRules, seed: int, width: int) -> None:
    evaluate = evaluators([seed], rules)
    forest = SearchForest(1, rules)
    book = search(forest, evaluate, 15, width)
    before = forest.arrays(0)
    first = forest.ask(width)
    # Walks that end on terminal nodes are backed up at once; without them nothing may change.
    if forest.counters().simulations[0] == 15:
        forest.cancel(first.ticket)
        assert_same(before, forest.arrays(0))
        again = forest.ask(width)
        np.testing.assert_array_equal(first.parent, again.parent)
        np.testing.assert_array_equal(first.action, again.action)
    assert book is not None


@EVERY_RULE
@given(seed=SEEDS)
def test_a_tree_knows_nothing_of_its_batch(rules: SearchRules, seed: int) -> None:
    seeds = [seed, seed + 5, seed + 9]
    together = SearchForest(3, rules, keys=[4, 5, 6])
    search(together, evaluators(seeds, rules), 30)
    turned = SearchForest(3, rules, keys=[6, 4, 5])
    search(turned, evaluators([seeds[2], seeds[0], seeds[1]], rules), 30)
    alone = SearchForest(1, rules, keys=[5])
    search(alone, evaluators([seeds[1]], rules), 30)
    for tree in range(3):
        assert_same(together.arrays(tree), turned.arrays((tree + 1) % 3))
    assert_same(together.arrays(1), alone.arrays(0))


@EVERY_RULE
def test_threads_do_not_matter(rules: SearchRules) -> None:
    """Enough trees and leaves for several threads to be used."""

    def run(threads: int) -> SearchForest:
        forest = SearchForest(700, rules, num_threads=threads)
        generator = np.random.default_rng(0)
        for _ in range(12):
            leaves = forest.ask(3, limit=30)
            count = len(leaves.ticket)
            order = generator.permutation(count)
            forest.tell(
                leaves.ticket[order],
                generator.random(count)[order],
                num_children=generator.integers(1, 7, count)[order],
                terminal=(generator.random(count) < 0.1)[order],
            )
        return forest

    one, many = run(1), run(4)
    assert one.counters().simulations.sum() > 10_000
    for tree in range(700):
        assert_same(one.arrays(tree), many.arrays(tree))


@given(seed=SEEDS, width=st.integers(2, 8), data=st.data())
def test_the_order_of_tells_does_not_matter(seed: int, width: int, data: st.DataObject) -> None:
    """One by one in any order: the same tree up to node ids and the rounding of means."""
    rules = mctx_muzero(seed=1)
    evaluate = hashed(seed, rules, most=8)
    found = []
    for shuffled in (False, True):
        forest = SearchForest(1, rules)
        book = search(forest, lambda _, path: evaluate(path), 10)
        leaves = forest.ask(width)
        places = list(range(len(leaves.ticket)))
        if shuffled:
            places = data.draw(st.permutations(places))
        for place in places:
            one = type(leaves)(*(field[place : place + 1] for field in leaves))
            tell_told(forest, one, [evaluate(book.of(one, 0))])
            book.paths[0].append(book.of(one, 0))
        found.append((by_path(forest, book), forest.root()))
    (first, first_root), (second, second_root) = found
    assert first.keys() == second.keys()
    for path, (visits, value) in first.items():
        assert second[path][0] == visits
        np.testing.assert_allclose(second[path][1], value, atol=1e-6)
    np.testing.assert_array_equal(first_root.visits, second_root.visits)


def by_path(forest: SearchForest, book: PathBook) -> dict[tuple[int, ...], tuple[int, float]]:
    arrays = forest.arrays(0)
    return {
        path: (int(arrays["visits"][node]), float(arrays["value"][node]))
        for node, path in enumerate(book.paths[0])
    }


def test_memory_is_what_the_docstring_says() -> None:
    rules = mctx_muzero(dirichlet_fraction=0.0)
    forest = SearchForest(1, rules)
    rows = np.full((1, 50), 0.02, np.float32)
    while len((leaves := forest.ask(limit=3000)).ticket):
        forest.tell(leaves.ticket, [0.0], priors=rows)
    counters = forest.counters()
    exact = 48 * counters.nodes[0] + 16 * counters.edges[0]
    # Growth by half leaves at most so much unused.
    assert exact <= forest.memory_bytes() <= 1.5 * exact + 4096
