"""Greedy k-centre: the picks of the definition, ties to the first, every distance right."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ipse import _core
from ipse.functional import farthest_point_coreset
from tests.neighbours_cases import in_layout, layouts, randn, small_integers
from tests.reference import clusters as reference

OP = torch.ops.ipse.farthest_points.default


@given(
    points=st.integers(1, 150),
    depth=st.integers(1, 20),
    share=st.floats(0, 1),
    exact=st.booleans(),
    layout=layouts,
    seed=st.integers(0, 1000),
)
def test_matches_the_definition(
    points: int, depth: int, share: float, exact: bool, layout: str, seed: int
) -> None:
    """With integers (and their negatives, so that the mean is 0) there are ties and copies."""
    if exact:
        half = small_integers(points, depth, seed=seed, dtype=torch.float64)
        x = torch.cat([half, -half])
    else:
        x = randn(points, depth, seed=seed, dtype=torch.float64)
    size = max(1, round(share * len(x)))
    start = seed % len(x)
    indices, distances = farthest_point_coreset(in_layout(x, layout), size, start=start)
    wanted = reference.farthest_points(x, start, size)
    assert torch.equal(indices, wanted[0])
    assert torch.allclose(distances, wanted[1], rtol=1e-12, atol=1e-12)


def test_covers_at_most_twice_as_far_as_possible() -> None:
    """Centres of separated blobs are a good cover; the greedy one may be twice as far."""
    centres = 100 * randn(10, 5, seed=0)
    noise = randn(500, 5, seed=1)
    x = centres[torch.arange(500) % 10] + noise
    picks = farthest_point_coreset(x, 10, seed=4).indices
    assert sorted((picks % 10).tolist()) == list(range(10))
    radius = reference.squared_distances(x, x[picks]).min(1).values.max().sqrt()
    assert radius <= 2 * noise.norm(dim=1).max()


def test_distances_never_rise_and_picks_differ() -> None:
    x = randn(300, 4, seed=0).repeat(2, 1)
    indices, distances = farthest_point_coreset(x, 600, seed=0)
    assert sorted(indices.tolist()) == list(range(600))
    assert distances[0] == torch.inf
    assert bool((distances.diff() <= 0).all())
    assert bool((distances[300:] == 0).all())


def test_seed_draws_the_start() -> None:
    x = randn(1000, 3, seed=0)
    starts = {int(farthest_point_coreset(x, 1, seed=seed).indices) for seed in range(20)}
    assert len(starts) > 10
    again = [farthest_point_coreset(x, 5, seed=3).indices for _ in range(2)]
    assert torch.equal(*again)


def test_threads_change_no_bit() -> None:
    x = randn(5000, 20, seed=0).numpy()
    results = []
    for threads in (1, 2, 5):
        indices, distances = np.empty(40, np.int64), np.empty((40, 1), np.float32)
        _core.farthest_points(x, 3, indices, distances, threads)
        results.append((indices, distances))
    for indices, distances in results[1:]:
        assert np.array_equal(indices, results[0][0])
        assert np.array_equal(distances, results[0][1])


def test_registration() -> None:
    x = randn(40, 4, seed=0)
    torch.library.opcheck(OP, (x, 3, 5))
    with torch._C._AutoDispatchBelowAutograd():
        keys = torch._C.DispatchKeySet(torch._C.DispatchKey.XLA)
        for points in (x.double(), small_integers(9, 1, seed=0).double()):
            for plain, native in zip(
                OP.redispatch(keys, points, 2, 9), OP(points, 2, 9), strict=True
            ):
                assert torch.allclose(plain.double(), native.double())


@pytest.mark.parametrize(
    ("x", "size", "start", "message"),
    [
        (torch.zeros(3, 2), 0, 0, "count must be from 1 to the 3 points, got 0"),
        (torch.zeros(3, 2), 4, 0, "count must be from 1 to the 3 points, got 4"),
        (torch.zeros(3, 2), 1, 3, "start must be from 0 to 2, got 3"),
        (torch.zeros(3, 2), 1, -1, "start must be from 0 to 2, got -1"),
        (torch.zeros(0, 2), 1, None, r"points must be \(N, D\)"),
        (torch.zeros(3), 1, None, r"points must be \(N, D\)"),
        (torch.full((3, 2), torch.nan), 1, None, "x must be finite"),
    ],
)
def test_messages(x: torch.Tensor, size: int, start: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        farthest_point_coreset(x, size, start=start)
