"""Drives every kernel of the core over ragged shapes; run by run.sh under the sanitizers.

Imports the freshly built ``_core`` directly: no torch, no pytest. The values are checked
too, loosely, so that a kernel that reads nothing at all does not pass.
"""

import itertools
import os
import sys

import _core  # from the sanitizer build on PYTHONPATH
import numpy as np
from check_crops import check_crops
from check_pruning import check_pruning
from check_scattering import check_scattering
from check_similarity import check_against_themselves, check_two_sides
from check_styles import check_styles
from check_tree import check_tree

SIZES = [(2, 1), (3, 17), (33, 5), (65, 130), (40, 300)]
DTYPES = [np.float32, np.float64, np.float16, np.uint16]


def as_dtype(values: np.ndarray, dtype: type) -> np.ndarray:
    """Values in a storage type of the core; uint16 holds bfloat16 bit patterns."""
    if dtype is np.uint16:
        return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return values.astype(dtype)


def layouts(array: np.ndarray) -> list[np.ndarray]:
    """The same values contiguous, transposed in memory, and with gaps."""
    gaps = np.zeros((array.shape[0] * 2, array.shape[1] * 3), array.dtype)
    gaps[::2, ::3] = array
    return [array, np.asfortranarray(array), gaps[::2, ::3]]


def check_gemm(generator: np.random.Generator) -> None:
    shapes = [(0, 3, 2), (1, 1, 1), (7, 33, 0), (65, 31, 300), (20, 30, 5000)]
    for (rows, cols, depth), threads in itertools.product(shapes, (1, 3)):
        left = generator.standard_normal((rows, depth)).astype(np.float32)
        right = generator.standard_normal((cols, depth)).astype(np.float32)
        for a, b in zip(layouts(left), layouts(right), strict=True):
            out = np.empty((rows, cols), np.float32)
            _core.gemm(a, b, out, num_threads=threads)
            np.testing.assert_allclose(out, left @ right.T, rtol=1e-3, atol=1e-3)
            square = np.empty((rows, rows), np.float32)
            _core.gemm(a, a, square, symmetric=True, num_threads=threads)
            np.testing.assert_allclose(square, left @ left.T, rtol=1e-3, atol=1e-3)


def check_losses(generator: np.random.Generator) -> None:
    losses = [
        (_core.barlow_twins_forward, _core.barlow_twins_backward, (5e-3, 1e-5)),
        (_core.vicreg_forward, _core.vicreg_backward, (25.0, 25.0, 1.0, 1e-4)),
    ]
    for (samples, features), dtype in itertools.product(SIZES, DTYPES):
        values = generator.standard_normal((2, samples, features))
        view1, view2 = (as_dtype(v, dtype) for v in values)
        compute = np.float64 if dtype is np.float64 else np.float32
        for (forward, backward, parameters), threads in itertools.product(losses, (1, 5)):
            results = []
            for side, (first, second) in itertools.product(
                ("samples", "features"), zip(layouts(view1), layouts(view2), strict=True)
            ):
                shape = (samples, samples + 1) if side == "samples" else (features, features)
                moments = np.empty(shape, compute)
                results.append(forward(first, second, *parameters, side, moments, threads))
                grads = np.empty_like(view1), np.empty_like(view1)
                backward(first, second, moments, 1.0, *parameters, side, *grads, threads)
            np.testing.assert_allclose(results, results[0], rtol=1e-3)


def check_prototypes(generator: np.random.Generator) -> None:
    sizes = [(0, 3), (1, 1), (3, 17), (33, 5), (9, 1100)]
    for (samples, prototypes), dtype in itertools.product(sizes, DTYPES):
        values = generator.standard_normal((2, samples, prototypes))
        student, teacher = (as_dtype(v, dtype) for v in values)
        center = as_dtype(np.zeros((1, prototypes)), dtype)
        compute = np.float64 if dtype is np.float64 else np.float32
        losses, codes = [], []
        for threads, (s, t) in itertools.product(
            (1, 3), zip(layouts(student), layouts(teacher), strict=True)
        ):
            loss = np.empty((2, samples), compute)
            views = ([s, t], [t], center, [1.0, 0.0], 0.5, 0.2)
            _core.soft_cross_entropy_forward(*views, loss, threads)
            grads = [np.empty_like(student), None]
            _core.soft_cross_entropy_backward(*views, loss, grads, threads)
            losses.append(loss)
            codes.append(np.empty((samples, prototypes), compute))
            _core.sinkhorn(s, codes[-1], 0.05, 4, threads)
            np.testing.assert_allclose(codes[-1].sum(1), 1, rtol=1e-4)
        np.testing.assert_allclose(losses, [losses[0]] * len(losses), rtol=1e-4)
        np.testing.assert_allclose(codes, [codes[0]] * len(codes), rtol=1e-2, atol=1e-4)


def check_neighbours(generator: np.random.Generator) -> None:
    shapes = [(0, 3, 2, 1), (1, 1, 0, 1), (7, 300, 5, 300), (70, 33, 40, 9), (150, 600, 3, 64)]
    for (rows, columns, depth, k), dtype in itertools.product(shapes, DTYPES):
        x = as_dtype(generator.standard_normal((rows, depth)), dtype)
        y = as_dtype(generator.standard_normal((columns, depth)), dtype)
        compute = np.float64 if dtype is np.float64 else np.float32
        ids, bank_ids = generator.integers(0, 5, rows), generator.integers(0, 5, columns)
        for a, b, threads in zip(layouts(x), layouts(y), (1, 3, 5), strict=True):
            values, indices = np.empty((rows, k), compute), np.empty((rows, k), np.int64)
            for metric in ("cosine", "dot", "l2"):
                _core.topk_similarity(a, b, values, indices, metric, num_threads=threads)
                assert ((indices >= 0) & (indices < columns)).all()
                filters = (ids, bank_ids, ids, bank_ids)
                _core.topk_similarity(a, b, values, indices, metric, *filters, threads)
                assert (indices == -1).all()  # another id and the same label: none
                _core.topk_similarity(a, b, values, indices, metric, ids, bank_ids)
            dots = np.empty((rows, k), compute)
            _core.gathered_dot(a, b, indices, dots, threads)
            _core.gathered_sum(dots, indices, b, np.empty((rows, depth), dtype), threads)
            _core.scattered_sum(dots, indices, a, np.empty((columns, depth), dtype), threads)


def check_clusters(generator: np.random.Generator) -> None:
    shapes = [(1, 1, 1), (33, 5, 7), (300, 1, 70), (2100, 9, 20)]
    for (points, depth, count), dtype in itertools.product(shapes, (np.float32, np.float64)):
        x = generator.standard_normal((points, depth)).astype(dtype)
        for a, threads in zip(layouts(x), (1, 3, 5), strict=True):
            picks = np.full(count, -7)
            _core.kmeans_plus_plus(a, 3, picks, threads)
            assert len(set(picks)) == count
            labels, distances = np.full(points, -7), np.empty((points, 1), dtype)
            centroids = x[picks].copy()
            _core.kmeans(a, centroids, labels, 5, 0.0, True, threads)
            _core.kmeans(a, centroids * 0 + 9, labels, 5, 0.0, False, threads)  # empty clusters
            _core.nearest_centroid(a, centroids, labels, distances, threads)
            assert ((labels >= 0) & (labels < count)).all()
            _core.farthest_points(a, 0, picks, distances[:count], threads)
            assert len(set(picks)) == count
            _core.kmeans_plus_plus(np.ones_like(a), 3, picks, threads)
            assert len(set(picks)) == count


def main() -> None:
    try:
        isa = _core.build_info()["isa"]
    except ValueError as error:
        print(f"sanitizer check left out: {error}")
        return
    generator = np.random.default_rng(0)
    check_gemm(generator)
    check_losses(generator)
    check_prototypes(generator)
    check_neighbours(generator)
    check_clusters(generator)
    check_crops(generator)
    check_against_themselves(generator)
    check_two_sides(generator)
    check_styles(generator)
    check_scattering(generator)
    check_pruning(generator)
    check_tree(generator)
    print(f"sanitizer check passed: {isa} (asked for {os.environ.get('IPSE_ISA', 'the best')})")


if __name__ == "__main__":
    sys.exit(main())
