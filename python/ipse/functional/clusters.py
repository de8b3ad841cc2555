"""k-means: seeding, Lloyd's algorithm, nearest centroids."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

import ipse.ops  # noqa: F401  # registers torch.ops.ipse.*

__all__ = ["KMeans", "Nearest", "kmeans", "nearest_centroid"]


class KMeans(NamedTuple):
    """Clusters, and how good they are."""

    centroids: Tensor
    labels: Tensor
    inertia: float
    iterations: int


class Nearest(NamedTuple):
    """The nearest centroid of every point, and its squared distance."""

    labels: Tensor
    distances: Tensor


def _points(name: str, argument: str, x: Tensor) -> Tensor:
    """Constants in a dtype that the kernels take; raises unless every value is finite."""
    x = x.detach()
    if x.dtype in (torch.bfloat16, torch.float16):
        x = x.float()
    if x.is_floating_point() and not bool(torch.isfinite(x).all()):
        raise ValueError(f"{name}: {argument} must be finite, got NaN or infinity")
    return x


def kmeans(
    x: Tensor,
    k: int,
    *,
    seed: int = 0,
    max_iterations: int = 100,
    tolerance: float = 1e-4,
    normalize: bool = False,
    initial: Tensor | None = None,
) -> KMeans:
    """k-means: greedy k-means++ seeding and Lloyd's algorithm.

    No (N, K) matrix exists: the nearest centroid is found while its distances are in cache. An
    empty cluster takes the point that lies farthest from its centroid. The result is the same
    for every number of threads.

    Args:
        x: (N, D) points, float32, float64, or 16-bit (computed in float32); any strides.
        k: number of clusters, from 1 to N.
        seed: of the seeding; the same seed gives the same result.
        max_iterations: at most so many; 0 only assigns points to the first centroids.
        tolerance: stop when the centroids' squared movement, summed, is at most this many
            times the mean variance of the features, as in scikit-learn. 0: go on until no
            label changes.
        normalize: spherical k-means: rows of x are scaled to unit length first, and centroids
            after every iteration.
        initial: (K, D) centroids to start from instead of the seeding.

    Returns:
        ``KMeans(centroids, labels, inertia, iterations)``: (K, D) in the dtype of computation,
        (N,) int64, the sum of squared distances of points to their centroids, and a count.
        labels name the nearest of the returned centroids, the first of equally near ones. No
        gradient flows. With fewer different points than k some clusters stay empty.

    Raises:
        ValueError: x is not (N, D) or not finite, k is not from 1 to N, max_iterations or
            tolerance is negative, or ``initial`` does not fit.
        TypeError: x is not floating point, or ``initial`` has another dtype.

    Memory:
        One copy of x in the kernel's layout, K D sums for each of up to 64 ranges of points
        (at most half of x in float32, or one set), and some values for each point.

    Source:
        Lloyd, Least squares quantization in PCM, 1982; Arthur, Vassilvitskii, k-means++, SODA
        2007, with 2 + log k candidates a step; Dhillon, Modha, Concept decompositions, 2001.
    """
    points = _points("kmeans", "x", x)
    if normalize:
        points = F.normalize(points, dim=1)
    if initial is None:
        if points.dim() == 2 and not 1 <= k <= points.shape[0]:
            raise ValueError(f"kmeans: k must be from 1 to the {len(points)} points, got {k}")
        start = points[torch.ops.ipse.kmeans_plus_plus(points, k, seed)]
    else:
        start = _points("kmeans", "initial", initial)
        if normalize:
            start = F.normalize(start, dim=1)
        if start.dim() != 2 or len(start) != k:
            raise ValueError(
                f"kmeans: initial must be (K, D) with K = {k}, got shape {tuple(start.shape)}"
            )
    centroids, labels, inertia, iterations = torch.ops.ipse.kmeans(
        points, start, max_iterations, tolerance, normalize
    )
    return KMeans(centroids, labels, float(inertia), int(iterations))


def nearest_centroid(x: Tensor, centroids: Tensor) -> Nearest:
    """The nearest of some centroids for every point, without the (N, K) distances.

    Args:
        x: (N, D) points, float32, float64, or 16-bit (computed in float32); any strides.
        centroids: (K, D), the same dtype.

    Returns:
        ``Nearest(labels, distances)``: (N,) int64, the first of equally near centroids, and
        (N,) squared Euclidean distances, computed from differences. No gradient flows.

    Raises:
        ValueError: shapes do not fit or a value is not finite.
        TypeError: dtypes differ or are not floating point.

    Memory:
        One copy of x in the kernel's layout.

    Source:
        The assignment step of Lloyd, Least squares quantization in PCM, 1982.
    """
    name = "nearest_centroid"
    points, centroids = _points(name, "x", x), _points(name, "centroids", centroids)
    return Nearest(*torch.ops.ipse.nearest_centroid(points, centroids))
