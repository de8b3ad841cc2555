"""``torch.ops.ipse.kmeans`` and what belongs to it: seeding, nearest centroids, k-centre.

None has a derivative: labels and picks are constants to whatever is computed with them.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ipse import _core
from ipse.ops import cluster_formulas as formulas
from ipse.ops._checks import check_dense
from ipse.ops._registry import define, to_numpy

# Of each operator, what it calls in the core.
CORE_FUNCTIONS = {
    "nearest_centroid": ("nearest_centroid",),
    "kmeans": ("kmeans",),
    "kmeans_plus_plus": ("kmeans_plus_plus",),
    "farthest_points": ("farthest_points",),
}


def check_points(name: str, points: Tensor, argument: str = "points") -> None:
    """Raises unless ``points`` is a dense float32 or float64 matrix with something in it."""
    if points.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"{name}: {argument} must be float32 or float64, got {points.dtype}")
    check_dense(name, argument, points)
    if points.dim() != 2 or 0 in points.shape:
        raise ValueError(
            f"{name}: {argument} must be (N, D) with N, D >= 1, got shape {tuple(points.shape)}"
        )


def check_centroids(name: str, points: Tensor, centroids: Tensor, most: int | None) -> None:
    """Raises unless ``centroids`` has the points' dtype, device and features and fits ``most``."""
    check_points(name, points)
    check_points(name, centroids, "centroids")
    if centroids.dtype != points.dtype or centroids.device != points.device:
        raise TypeError(
            f"{name}: centroids must have the points' dtype and device, {points.dtype} on "
            f"{points.device}, got {centroids.dtype} on {centroids.device}"
        )
    if centroids.shape[1] != points.shape[1]:
        shapes = f"{tuple(points.shape)} and {tuple(centroids.shape)}"
        raise ValueError(
            f"{name}: points and centroids must have the same number of features, got {shapes}"
        )
    if most is not None and centroids.shape[0] > most:
        raise ValueError(
            f"{name}: there must be no more centroids than the {most} points, "
            f"got {centroids.shape[0]}"
        )


def check_count(name: str, argument: str, count: int, points: Tensor) -> None:
    """Raises unless ``count`` distinct points can be picked."""
    check_points(name, points)
    if not 1 <= count <= points.shape[0]:
        raise ValueError(
            f"{name}: {argument} must be from 1 to the {points.shape[0]} points, got {count}"
        )


def _empty_nearest(points: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    check_centroids("nearest_centroid", points, centroids, None)
    count = points.shape[0]
    return points.new_empty(count, dtype=torch.int64), points.new_empty(count)


def _nearest_cpu(points: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    labels, distances = _empty_nearest(points, centroids)
    _core.nearest_centroid(
        to_numpy(points),
        to_numpy(centroids.contiguous()),
        to_numpy(labels),
        to_numpy(distances[:, None]),
        torch.get_num_threads(),
    )
    return labels, distances


def _empty_kmeans(
    points: Tensor, initial: Tensor, max_iterations: int, tolerance: float, spherical: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    check_centroids("kmeans", points, initial, points.shape[0])
    if max_iterations < 0:
        raise ValueError(f"kmeans: max_iterations must be at least 0, got {max_iterations}")
    if not 0 <= tolerance < float("inf"):
        raise ValueError(f"kmeans: tolerance must be finite and at least 0, got {tolerance}")
    return (
        initial.new_empty(initial.shape),
        points.new_empty(points.shape[0], dtype=torch.int64),
        points.new_empty((), dtype=torch.float64),
        points.new_empty((), dtype=torch.int64),
    )


def _kmeans_cpu(
    points: Tensor, initial: Tensor, max_iterations: int, tolerance: float, spherical: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    empty = _empty_kmeans(points, initial, max_iterations, tolerance, spherical)
    centroids, labels, inertia, iterations = empty
    centroids.copy_(initial)
    value, count = _core.kmeans(
        to_numpy(points),
        to_numpy(centroids),
        to_numpy(labels),
        max_iterations,
        tolerance,
        spherical,
        torch.get_num_threads(),
    )
    return centroids, labels, inertia.fill_(value), iterations.fill_(count)


def _empty_seeds(points: Tensor, count: int, seed: int) -> Tensor:
    check_count("kmeans_plus_plus", "count", count, points)
    return points.new_empty(count, dtype=torch.int64)


def _seeds_cpu(points: Tensor, count: int, seed: int) -> Tensor:
    indices = _empty_seeds(points, count, seed)
    core_seed = seed % 2**64
    _core.kmeans_plus_plus(to_numpy(points), core_seed, to_numpy(indices), torch.get_num_threads())
    return indices


def _empty_farthest(points: Tensor, start: int, count: int) -> tuple[Tensor, Tensor]:
    check_count("farthest_points", "count", count, points)
    if not 0 <= start < points.shape[0]:
        raise ValueError(
            f"farthest_points: start must be from 0 to {points.shape[0] - 1}, got {start}"
        )
    return points.new_empty(count, dtype=torch.int64), points.new_empty(count)


def _farthest_cpu(points: Tensor, start: int, count: int) -> tuple[Tensor, Tensor]:
    indices, distances = _empty_farthest(points, start, count)
    _core.farthest_points(
        to_numpy(points),
        start,
        to_numpy(indices),
        to_numpy(distances[:, None]),
        torch.get_num_threads(),
    )
    return indices, distances


def _define(
    schema: str, cpu: Callable[..., Any], formula: Callable[..., Any], fake: Callable[..., Any]
) -> None:
    def other(*arguments: Any) -> Any:
        fake(*arguments)
        return formula(*arguments)

    define(schema, cpu=cpu, other=other, fake=fake)


_define(
    "nearest_centroid(Tensor points, Tensor centroids) -> (Tensor labels, Tensor distances)",
    _nearest_cpu,
    formulas.nearest_centroid,
    _empty_nearest,
)
_define(
    "kmeans(Tensor points, Tensor initial, int max_iterations, float tolerance, bool spherical)"
    " -> (Tensor centroids, Tensor labels, Tensor inertia, Tensor iterations)",
    _kmeans_cpu,
    formulas.kmeans,
    _empty_kmeans,
)
_define(
    "kmeans_plus_plus(Tensor points, int count, int seed) -> Tensor",
    _seeds_cpu,
    formulas.kmeans_plus_plus,
    _empty_seeds,
)
_define(
    "farthest_points(Tensor points, int start, int count) -> (Tensor indices, Tensor distances)",
    _farthest_cpu,
    formulas.farthest_points,
    _empty_farthest,
)
