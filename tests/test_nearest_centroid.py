"""nearest_centroid against the whole matrix of distances."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ipse import _core
from ipse.functional import nearest_centroid
from tests.neighbours_cases import in_layout, layouts, randn, small_integers
from tests.reference import clusters as reference


@given(
    points=st.integers(1, 300),
    centroids=st.integers(1, 150),
    depth=st.integers(1, 30),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    layout=layouts,
    seed=st.integers(0, 1000),
)
def test_random_values(
    points: int, centroids: int, depth: int, dtype: torch.dtype, layout: str, seed: int
) -> None:
    x = in_layout(randn(points, depth, seed=seed, dtype=dtype), layout)
    c = in_layout(randn(centroids, depth, seed=seed + 1, dtype=dtype), layout)
    labels, distances = nearest_centroid(x, c)
    exact = reference.squared_distances(x, c)
    eps = torch.finfo(dtype).eps
    chosen = exact.gather(1, labels[:, None])[:, 0]
    assert bool(((distances.double() - chosen).abs() <= 4 * eps * (chosen + 1e-6)).all())
    slack = 40 * eps * (x.square().sum(1).max() + c.square().sum(1).max())
    assert bool((chosen <= exact.min(1).values + slack).all())


@given(points=st.integers(1, 200), centroids=st.integers(1, 90), seed=st.integers(0, 1000))
def test_the_first_of_equally_near_ones(points: int, centroids: int, seed: int) -> None:
    """Integers with mean 0 have exact distances."""
    half = small_integers(points, 3, seed=seed)
    x = torch.cat([half, -half])
    c = small_integers(centroids, 3, seed=seed + 1)
    labels, distances = nearest_centroid(x, c)
    wanted = reference.nearest_centroid(x, c)
    assert torch.equal(labels, wanted[0])
    assert torch.equal(distances.double(), wanted[1])


def test_far_from_the_origin() -> None:
    """A large common offset costs no digits: points are moved to their mean first."""
    x, c = randn(200, 8, seed=0) + 1000, randn(20, 8, seed=1) + 1000
    assert torch.equal(nearest_centroid(x, c).labels, reference.nearest_centroid(x, c)[0])


def test_threads_change_no_bit() -> None:
    x, c = randn(5000, 20, seed=0).numpy(), randn(70, 20, seed=1).numpy()
    results = []
    for threads in (1, 2, 5):
        labels, distances = np.empty(5000, np.int64), np.empty((5000, 1), np.float32)
        _core.nearest_centroid(x, c, labels, distances, threads)
        results.append((labels, distances))
    for labels, distances in results[1:]:
        assert np.array_equal(labels, results[0][0])
        assert np.array_equal(distances, results[0][1])


def test_16_bit_and_registration() -> None:
    x, c = randn(30, 4, seed=0, dtype=torch.float16), randn(5, 4, seed=1, dtype=torch.float16)
    wide = nearest_centroid(x.float(), c.float())
    assert torch.equal(nearest_centroid(x, c).labels, wide.labels)
    op = torch.ops.ipse.nearest_centroid.default
    torch.library.opcheck(op, (x.float(), c.float()))
    with torch._C._AutoDispatchBelowAutograd():
        keys = torch._C.DispatchKeySet(torch._C.DispatchKey.XLA)
        labels, distances = op.redispatch(keys, x.double(), c.double())
    assert torch.equal(labels, wide.labels)
    assert torch.allclose(distances.float(), wide.distances, rtol=1e-5)


@pytest.mark.parametrize(
    ("x", "c", "error", "message"),
    [
        (torch.zeros(0, 3), torch.zeros(2, 3), ValueError, r"points must be \(N, D\) with N, D"),
        (torch.zeros(2, 3), torch.zeros(0, 3), ValueError, r"centroids must be \(N, D\)"),
        (torch.zeros(2, 3), torch.zeros(2, 4), ValueError, ".*same number of features"),
        (torch.zeros(2, 3), torch.zeros(2, 3).double(), TypeError, ".*must have the points' dtype"),
        (torch.zeros(2, 3).int(), torch.zeros(2, 3), TypeError, "points must be float32"),
        (torch.full((2, 3), torch.nan), torch.zeros(2, 3), ValueError, "x must be finite"),
        (torch.zeros(2, 3), torch.full((2, 3), torch.inf), ValueError, "centroids must be finite"),
    ],
)
def test_messages(x: torch.Tensor, c: torch.Tensor, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^nearest_centroid: {message}"):
        nearest_centroid(x, c)
