"""A forest in a file: resumable in the middle, refused when damaged."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ipse.search import (
    SearchForest,
    SearchRules,
    load_forest,
    mcts_star,
    mctx_gumbel,
    mctx_muzero,
    save_forest,
)
from tests.tree_cases import PathBook, hashed, search, tell_told

RULES = [mctx_muzero(seed=2), mctx_gumbel(60), mcts_star(ties="random", seed=9)]


def tell(forest: SearchForest, leaves: Any, book: PathBook, rules: SearchRules) -> None:
    told = []
    for index, tree in enumerate(leaves.tree):
        path = book.of(leaves, index)
        told.append(hashed(int(tree), rules)(path))
        book.paths[int(tree)].append(path)
    tell_told(forest, leaves, told)


@pytest.mark.parametrize("rules", RULES, ids=lambda rules: rules.selection)
@pytest.mark.parametrize("width", [1, 4])
def test_a_resumed_search_ends_like_an_uninterrupted_one(
    tmp_path: Path, rules: SearchRules, width: int
) -> None:
    forest = SearchForest(3, rules)
    book = search(forest, lambda tree, path: hashed(tree, rules)(path), 20, width)
    leaves = forest.ask(width)
    save_forest(forest, tmp_path / "forest.npz")
    resumed = load_forest(tmp_path / "forest.npz")
    assert resumed.rules == rules
    copy = PathBook(3)
    copy.paths = [list(paths) for paths in book.paths]
    for each, paths in ((forest, book), (resumed, copy)):
        tell(each, leaves, paths, rules)
        search(each, lambda tree, path: hashed(tree, rules)(path), 50, width, paths)
    for tree in range(3):
        for name, array in forest.arrays(tree).items():
            np.testing.assert_array_equal(array, resumed.arrays(tree)[name], err_msg=name)


def test_a_new_forest_can_be_saved(tmp_path: Path) -> None:
    save_forest(SearchForest(2), tmp_path / "empty.npz")
    assert load_forest(tmp_path / "empty.npz").counters().nodes.tolist() == [0, 0]


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    forest = SearchForest(2, RULES[0])
    search(forest, lambda tree, path: hashed(tree, RULES[0])(path), 20)
    path = tmp_path / "forest.npz"
    save_forest(forest, path)
    assert [file.name for file in tmp_path.iterdir()] == ["forest.npz"]
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"no forest", flipped(content)):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"^load_forest: .*(damaged|version)"):
            load_forest(path)
    np.savez(path, header=np.frombuffer(b'{"format": "ipse search forest", "version": 9}', "u1"))
    with pytest.raises(ValueError, match=r"must be version 1 .* got version 9"):
        load_forest(path)


def flipped(content: bytes) -> bytes:
    """One bit of an array's data changed: the checksum tells."""
    place = len(content) // 3
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("parent", lambda a: a[::-1]),
        ("parent", lambda a: a + 1),
        ("action", lambda a: a + 100),
        ("visits", lambda a: -a),
        ("value", lambda a: a * np.nan),
        ("value", lambda a: a[:-1]),
        ("num_children", lambda a: a * 0),
        ("edge_child", lambda a: a + 1),
        ("edge_child", lambda a: np.where(a >= 0, -1, a)),
        ("edge_visits", lambda a: a - 1000),
        ("edge_prior", lambda a: a * np.nan),
        ("pending", lambda a: a + 10_000),
        ("pending", lambda a: a[:, :3]),
        ("counters", lambda a: a[:2]),
        ("counters", lambda a: a * 0),
    ],
)
def test_arrays_that_make_no_tree_are_refused(name: str, change: Any) -> None:
    forest = SearchForest(1, RULES[0])
    search(forest, lambda _, path: hashed(1, RULES[0])(path), 20)
    while not len(forest.ask(3).ticket):
        pass
    state = forest.state_dict()
    state["trees"][0][name] = change(state["trees"][0][name])
    with pytest.raises(ValueError, match=r"^forest\.restore: the arrays make no tree: "):
        forest.load_state_dict(state)
    del state["trees"][0][name]
    with pytest.raises(ValueError, match="is missing"):
        forest.load_state_dict(state)


def test_states_of_other_forests_are_refused() -> None:
    state = SearchForest(2, RULES[0]).state_dict()
    with pytest.raises(ValueError, match="state must have 3 trees, got 2"):
        SearchForest(3, RULES[0]).load_state_dict(state)
    with pytest.raises(ValueError, match="rules must be those of the forest"):
        SearchForest(2, RULES[1]).load_state_dict(state)
