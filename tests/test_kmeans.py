"""kmeans against Lloyd's algorithm written plainly, and against scikit-learn."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from torch import Tensor

from ipse import _core
from ipse.functional import kmeans, nearest_centroid
from tests.neighbours_cases import in_layout, layouts, randn, small_integers
from tests.reference import clusters as reference

OP = torch.ops.ipse.kmeans.default


def blobs(points: int, clusters: int, depth: int, seed: int) -> Tensor:
    """Points around well separated centres."""
    centres = 10 * randn(clusters, depth, seed=seed)
    return centres[torch.arange(points) % clusters] + randn(points, depth, seed=seed + 1)


@given(
    points=st.integers(1, 120),
    depth=st.integers(1, 12),
    share=st.floats(0, 1),
    iterations=st.integers(0, 8),
    tolerance=st.sampled_from([0.0, 1e-4, 1e-2]),
    spherical=st.booleans(),
    layout=layouts,
    seed=st.integers(0, 1000),
)
def test_matches_the_definition(
    points: int,
    depth: int,
    share: float,
    iterations: int,
    tolerance: float,
    spherical: bool,
    layout: str,
    seed: int,
) -> None:
    clusters = max(1, round(share * points / 2))
    x = in_layout(randn(points, depth, seed=seed, dtype=torch.float64), layout)
    start = x[:clusters].clone()
    centroids, labels, inertia, count = OP(x, start, iterations, tolerance, spherical)
    wanted = reference.kmeans(x, start, iterations, tolerance, spherical)
    assert torch.equal(labels, wanted[1])
    assert torch.allclose(centroids, wanted[0], rtol=1e-9, atol=1e-9)
    assert float(inertia) == pytest.approx(wanted[2], rel=1e-9, abs=1e-12)
    assert int(count) == wanted[3]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_matches_scikit_learn(dtype: torch.dtype) -> None:
    x = randn(3000, 16, seed=0, dtype=dtype)
    start = x[:40].clone()
    for iterations in (1, 5, 300):
        peer = KMeans(40, init=start.numpy(), n_init=1, max_iter=iterations, tol=1e-4).fit(x)
        mine = kmeans(x, 40, initial=start, max_iterations=iterations)
        assert mine.iterations == peer.n_iter_
        assert mine.inertia == pytest.approx(peer.inertia_, rel=1e-5)
        assert (mine.labels.numpy() == peer.labels_).mean() > 0.999


@given(points=st.integers(5, 60), clusters=st.integers(2, 5), seed=st.integers(0, 1000))
def test_empty_clusters_take_the_farthest_points(points: int, clusters: int, seed: int) -> None:
    """All centroids but one start far away and get nothing at first."""
    x = randn(points, 3, seed=seed, dtype=torch.float64)
    start = torch.full((clusters, 3), 1e3, dtype=torch.float64)
    start[clusters // 2] = 0
    got = OP(x, start, 1, 0.0, False)
    wanted = reference.kmeans(x, start, 1, 0.0, False)
    assert torch.allclose(got[0], wanted[0], rtol=1e-12, atol=1e-12)
    assert len(OP(x, start, 50, 0.0, False)[1].unique()) == clusters


def test_fewer_different_points_than_clusters() -> None:
    x = small_integers(4, 3, seed=0).repeat(10, 1)
    found = kmeans(x, 9)
    different = len(x.unique(dim=0))
    assert len(found.labels.unique()) == different
    assert found.inertia == pytest.approx(0.0, abs=1e-9)


def test_one_cluster_and_one_for_each_point() -> None:
    x = randn(20, 3, seed=0)
    assert torch.allclose(kmeans(x, 1).centroids[0], x.mean(0), atol=1e-6)
    each = kmeans(x, 20)
    assert sorted(each.labels.tolist()) == list(range(20))
    assert each.inertia == 0


def test_finds_separated_clusters() -> None:
    x = blobs(600, 12, 8, seed=0)
    labels = kmeans(x, 12, seed=3).labels
    truth = torch.arange(600) % 12
    for cluster in range(12):
        assert len(labels[truth == cluster].unique()) == 1
    assert len(labels.unique()) == 12


def test_spherical() -> None:
    x = randn(300, 5, seed=0)
    scaled = x * torch.rand(300, 1, generator=torch.Generator().manual_seed(0)).add(0.1)
    first, second = (kmeans(points, 7, normalize=True) for points in (x, scaled))
    assert torch.allclose(first.centroids.norm(dim=1), torch.ones(7), atol=1e-6)
    assert torch.allclose(first.centroids, second.centroids, atol=1e-5)
    unit = torch.nn.functional.normalize(x, dim=1)
    assert torch.equal(first.labels, (unit @ first.centroids.T).argmax(1))


def test_seed_decides() -> None:
    x = randn(500, 6, seed=0)
    first, again, other = (kmeans(x, 9, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.centroids, again.centroids)
    assert first.inertia == again.inertia
    assert not torch.equal(first.centroids, other.centroids)
    kmeans(x, 9, seed=-1)
    kmeans(x, 9, seed=2**40)


@pytest.mark.parametrize("points", [50, 3000])
def test_threads_change_no_bit(points: int) -> None:
    x = randn(points, 20, seed=0).numpy()
    results = []
    for threads in (1, 2, 5):
        centroids, labels = x[:30].copy(), np.empty(points, np.int64)
        outcome = _core.kmeans(x, centroids, labels, 6, 0.0, num_threads=threads)
        results.append((outcome, centroids, labels))
    for outcome, centroids, labels in results[1:]:
        assert outcome == results[0][0]
        assert np.array_equal(centroids, results[0][1])
        assert np.array_equal(labels, results[0][2])


def test_labels_belong_to_the_centroids_returned() -> None:
    x = randn(400, 6, seed=0)
    for iterations in (0, 1, 3, 100):
        found = kmeans(x, 12, max_iterations=iterations)
        nearest = nearest_centroid(x, found.centroids)
        assert torch.equal(found.labels, nearest.labels)
        assert found.inertia == pytest.approx(float(nearest.distances.sum()), rel=1e-5)
    assert found.iterations < 100


def test_16_bit_inputs_and_no_gradient() -> None:
    x = randn(60, 4, seed=0, dtype=torch.bfloat16).requires_grad_()
    found = kmeans(x, 5)
    assert torch.equal(found.centroids, kmeans(x.detach().float(), 5).centroids)
    assert not found.centroids.requires_grad


def test_registration() -> None:
    x = randn(30, 4, seed=0)
    torch.library.opcheck(OP, (x, x[:3].clone(), 4, 1e-4, False))
    with torch._C._AutoDispatchBelowAutograd():
        keys = torch._C.DispatchKeySet(torch._C.DispatchKey.XLA)
        for spherical in (False, True):
            arguments = (x.double(), x[:3].double(), 20, 1e-4, spherical)
            for plain, native in zip(OP.redispatch(keys, *arguments), OP(*arguments), strict=True):
                assert torch.allclose(plain.double(), native.double(), rtol=1e-10, atol=1e-10)


X = torch.zeros(4, 3)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"k": 0}, ValueError, "k must be from 1 to the 4 points, got 0"),
        ({"k": 5}, ValueError, "k must be from 1 to the 4 points, got 5"),
        ({"max_iterations": -1}, ValueError, "max_iterations must be at least 0, got -1"),
        ({"tolerance": -1.0}, ValueError, "tolerance must be finite and at least 0, got -1.0"),
        ({"tolerance": float("nan")}, ValueError, "tolerance must be finite"),
        ({"initial": X[:3]}, ValueError, r"initial must be \(K, D\) with K = 2, got shape"),
        ({"initial": X[:2, :2]}, ValueError, ".*same number of features"),
        ({"initial": X[:2].double()}, TypeError, ".*must have the points' dtype"),
        ({"x": X + torch.inf}, ValueError, "x must be finite"),
        ({"x": X.long()}, TypeError, "points must be float32 or float64, got torch.int64"),
    ],
)
def test_messages(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^kmeans(_plus_plus)?: {message}"):
        kmeans(**({"x": X, "k": 2} | change))


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (0, 3), (3, 0)])
def test_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"points must be \(N, D\)|k must be from 1"):
        kmeans(torch.zeros(shape), 2)
