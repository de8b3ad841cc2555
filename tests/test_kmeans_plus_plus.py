"""kmeans_plus_plus: the picks of the definition, distinct, independent of the threads."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ipse import _core
from ipse.ops.cluster_formulas import split_mix
from tests.neighbours_cases import in_layout, layouts, randn, small_integers
from tests.reference import clusters as reference

OP = torch.ops.ipse.kmeans_plus_plus.default


@given(
    points=st.integers(1, 150),
    depth=st.integers(1, 20),
    share=st.floats(0, 1),
    layout=layouts,
    seed=st.integers(0, 2**64 - 1),
)
def test_matches_the_definition(
    points: int, depth: int, share: float, layout: str, seed: int
) -> None:
    count = max(1, round(share * points))
    x = in_layout(randn(points, depth, seed=seed % 1000, dtype=torch.float64), layout)
    core = np.empty(count, np.int64)
    _core.kmeans_plus_plus(x.numpy(), seed, core)
    assert core.tolist() == reference.kmeans_plus_plus(x, count, seed).tolist()


@given(points=st.integers(2, 60), seed=st.integers(0, 1000))
def test_picks_are_distinct_even_among_copies(points: int, seed: int) -> None:
    x = small_integers(points, 1, seed=seed)
    picks = OP(x, points, seed).tolist()
    assert sorted(picks) == list(range(points))
    different = len(x.unique())
    assert len(x[picks[:different]].unique()) == different


def test_random_numbers() -> None:
    numbers = split_mix(5)
    assert [next(numbers) for _ in range(4)] == reference.uniform(5, 4)
    assert sum(reference.uniform(0, 10000)) / 10000 == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_change_no_pick(dtype: type) -> None:
    x = randn(5000, 20, seed=0).numpy().astype(dtype)
    results = []
    for threads in (1, 2, 5):
        picks = np.empty(50, np.int64)
        _core.kmeans_plus_plus(x, 7, picks, threads)
        results.append(picks)
    assert all(np.array_equal(picks, results[0]) for picks in results)


def test_spreads_better_than_chance() -> None:
    x = randn(2000, 8, seed=0)
    picks = OP(x, 30, 0)
    seeded = reference.squared_distances(x, x[picks]).min(1).values.sum()
    random = reference.squared_distances(x, x[:30]).min(1).values.sum()
    assert seeded < 0.95 * random


def test_registration() -> None:
    x = randn(40, 4, seed=0)
    torch.library.opcheck(OP, (x, 5, 0))
    with torch._C._AutoDispatchBelowAutograd():
        keys = torch._C.DispatchKeySet(torch._C.DispatchKey.XLA)
        for points in (x.double(), small_integers(9, 1, seed=0).double()):
            assert torch.equal(OP.redispatch(keys, points, 9, 3), OP(points, 9, 3))


def test_messages() -> None:
    with pytest.raises(ValueError, match=r"^kmeans_plus_plus: count must be from 1 to"):
        OP(torch.zeros(3, 2), 4, 0)
    with pytest.raises(ValueError, match=r"indices must have shape \(K,\) with K from 1 to 3"):
        _core.kmeans_plus_plus(np.zeros((3, 2)), 0, np.zeros(4, np.int64))
