"""The contrastive losses' passes, for check_core.py: ragged sizes, layouts, dtypes, threads."""

import itertools

import _core  # from the sanitizer build on PYTHONPATH
import numpy as np

DTYPES = [np.float32, np.float64, np.float16]


def spread(array: np.ndarray) -> np.ndarray:
    """The same values with gaps between rows and columns."""
    gaps = np.zeros((array.shape[0] * 2, array.shape[1] * 3), array.dtype)
    gaps[::2, ::3] = array
    return gaps[::2, ::3]


def check_against_themselves(generator: np.random.Generator) -> None:
    sizes = [(1, 1), (3, 17), (33, 5), (130, 40)]
    cases = itertools.product(sizes, DTYPES, ("self", "sample"), (2.0, 100.0), (1, 5))
    for (samples, depth), dtype, exclude, scale, threads in cases:
        x, y = generator.standard_normal((2, samples, depth)).astype(dtype)
        rows = [np.asfortranarray(x), spread(y)]
        count = 2 * samples
        for scales in (np.array([scale]), np.full(count, -scale)):
            sums = np.full((count, 3), np.nan)
            shared = (rows, [], scales, True, exclude, samples)
            _core.softmax_forward(*shared, True, sums, num_threads=threads)
            visible = count - 1 if exclude == "self" else count - 2
            assert np.isneginf(sums[:, 0]).all() if visible == 0 else np.isfinite(sums).all()
            assert (np.abs(sums[:, 1:]) <= 1.01).all()
            weights = np.full(count, 1.0)
            grads = [np.full_like(x, np.nan), np.full_like(y, np.nan)]
            _core.softmax_backward(*shared, sums, None, weights, -weights, None, grads, [], threads)
            assert np.isfinite(grads[0]).all()
            _core.softmax_backward(
                *shared, sums, None, weights, -weights, None, [None, grads[1]], [], threads
            )
            assert np.isfinite(grads[1]).all()


def check_two_sides(generator: np.random.Generator) -> None:
    shapes = [(1, 1, 1), (7, 300, 5), (70, 33, 40), (150, 150, 3)]
    for (rows, columns, depth), dtype, threads in itertools.product(shapes, DTYPES, (1, 5)):
        x = generator.standard_normal((rows, depth)).astype(dtype)
        y = generator.standard_normal((columns, depth)).astype(dtype)
        for scale, both in itertools.product((1.0, 50.0), (False, True)):
            shared = ([spread(x)], [y], np.array([scale]), False, "none", max(rows, columns))
            sums = np.full((rows, 3), np.nan)
            others = np.full((columns, 3), np.nan) if both else None
            _core.softmax_forward(*shared, True, sums, others, num_threads=threads)
            assert np.isfinite(sums).all()
            if not both:
                compute = np.float64 if dtype == np.float64 else np.float32
                expected = np.full(x.shape, np.nan, compute)
                _core.softmax_forward(*shared, False, sums, expected=expected, num_threads=threads)
                assert np.isfinite(expected).all()
            grads = [np.full_like(x, np.nan)], [np.full_like(y, np.nan)]
            _core.softmax_backward(
                *shared,
                sums,
                others,
                np.ones(rows),
                np.ones(rows),
                np.ones(columns) if both else None,
                *grads,
                threads,
            )
            assert np.isfinite(grads[0][0]).all()
            assert np.isfinite(grads[1][0]).all()
        samples = rows if rows == columns else 0
        loss = _core.sigmoid_forward(x, spread(y), 2.0, -1.0, samples, threads)
        assert loss > 0
        grad_x, grad_y = np.full_like(x, np.nan), np.full_like(y, np.nan)
        _core.sigmoid_backward(x, y, 2.0, -1.0, samples, 0.5, grad_x, grad_y, threads)
        assert np.isfinite(grad_x).all()
        assert np.isfinite(grad_y).all()
