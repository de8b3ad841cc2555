"""The part of isa_suite.py that is about neighbours and clusters."""

import numpy as np
import torch

from ipse import functional
from tests.neighbours_cases import METRICS, randn, small_integers
from tests.reference import clusters as cluster_reference
from tests.reference import neighbours as reference

# Rows and columns around one panel of each level, a tile, and several of them.
TOPK_SHAPES = [(1, 1, 1, 1), (9, 33, 5, 7), (70, 300, 17, 40), (150, 700, 31, 200)]
UNITS = {torch.float32: 2e-5, torch.float64: 1e-13}


def neighbours() -> dict[str, np.ndarray]:
    results = {}
    for rows, columns, depth, k in TOPK_SHAPES:
        for metric in METRICS:
            for dtype, unit in UNITS.items():
                x = randn(rows, depth, seed=0, dtype=dtype)
                y = randn(columns, depth, seed=1, dtype=dtype)
                values, indices = functional.topk_similarity(x, y, k, metric)
                exact, _ = reference.topk_similarity(x, y, k, metric)
                error = (values.double() - exact).abs()
                assert bool((error <= unit * depth).all())
                similarity = reference.similarities(x, y, metric).gather(1, indices)
                assert bool(((values.double() - similarity).abs() <= unit * depth).all())
                key = f"topk {metric} {(rows, columns, depth, k)} {dtype}"
                results[key] = values.double().numpy() / (unit * depth)
        for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
            x = small_integers(rows, depth, seed=0, dtype=dtype)
            y = small_integers(columns, depth, seed=1, dtype=dtype)
            _, indices = functional.topk_similarity(x, y, k, "dot")
            assert torch.equal(indices, reference.topk_similarity(x, y, k, "dot")[1])
            weights = small_integers(rows, k, seed=2)
            weights = weights.to(torch.float64 if dtype is torch.float64 else torch.float32)
            ops = torch.ops.ipse
            for got, exact in (
                (ops.gathered_dot(x, y, indices), reference.gathered_dot(x, y, indices)),
                (
                    ops.gathered_sum(weights, indices, y),
                    reference.gathered_sum(weights, indices, y),
                ),
                (
                    ops.scattered_sum(weights, indices, x, columns),
                    reference.scattered_sum(weights, indices, x, columns),
                ),
            ):
                # Exact, but for one rounding where a sum is stored in 16 bits.
                rounded = exact.to(got.dtype).double()
                assert torch.equal(got.double(), rounded)
    return results


def clusters() -> dict[str, np.ndarray]:
    results = {}
    for points, count, depth in [(5, 2, 1), (70, 9, 7), (700, 70, 20)]:
        for dtype in (torch.float32, torch.float64):
            x = randn(points, depth, seed=points, dtype=dtype)
            start = x[:count].clone()
            found = functional.kmeans(x, count, initial=start, max_iterations=4, tolerance=0)
            wanted = cluster_reference.kmeans(x, start, 4, 0.0, False)
            assert torch.equal(found.labels, wanted[1])
            unit = 1e-5 if dtype is torch.float32 else 1e-12
            assert bool(((found.centroids.double() - wanted[0]).abs() <= unit).all())
            key = f"kmeans {(points, count, depth)} {dtype}"
            results[key] = found.centroids.double().numpy() / unit
            picks, apart = functional.farthest_point_coreset(x, count, start=0)
            wanted_picks, wanted_apart = cluster_reference.farthest_points(x, 0, count)
            assert torch.equal(picks, wanted_picks)
            assert torch.allclose(apart.double(), wanted_apart, rtol=unit)
            results[f"farthest {key}"] = apart[1:].double().numpy() / unit / 10
            seeds = torch.ops.ipse.kmeans_plus_plus(x, count, 3)
            assert torch.equal(seeds, cluster_reference.kmeans_plus_plus(x, count, 3))
    return results
