"""The pruning engine, for check_core.py: ragged rows, planes and tokens, dtypes, threads."""

import itertools

import _core  # from the sanitizer build on PYTHONPATH
import numpy as np

DTYPES = [np.float32, np.float64, np.float16, np.uint16]
ACTIVATIONS = ["identity", "relu", "relu6", "silu"]


def as_dtype(values: np.ndarray, dtype: type) -> np.ndarray:
    """Values in a storage type of the core; uint16 holds bfloat16 bit patterns."""
    if dtype is np.uint16:
        return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return values.astype(dtype)


def spread(array: np.ndarray) -> np.ndarray:
    """The same values with gaps between rows and columns."""
    gaps = np.zeros((array.shape[0] * 2, array.shape[1] * 3), array.dtype)
    gaps[::2, ::3] = array
    return gaps[::2, ::3]


def check_masks(generator: np.random.Generator) -> None:
    shapes = [(0, 3), (1, 1), (3, 7), (2, 25), (5, 300), (40, 257)]
    for (rows, channels), dtype, threads in itertools.product(shapes, DTYPES, (1, 3)):
        values = generator.random((rows, channels))
        kinds = [values, np.floor(4 * values), 0 * values, np.exp(40 * values - 30)]
        mask, counts = np.empty((rows, channels), bool), np.empty((rows, 1), np.int64)
        curve = np.empty((rows, 3), np.int64)
        for kind, keep in itertools.product(kinds, {0, 1, channels}):
            x = as_dtype(kind, dtype)
            for same in (x, spread(x)):
                _core.mass_curve(same, [0.9, 0.5, 1.0], curve, keep, threads)
                for g, mass in enumerate([0.9, 0.5, 1.0]):
                    _core.mass_topk_mask(same, mass, mask, counts, keep, threads)
                    assert (mask.sum(1) == counts[:, 0]).all()
                    assert (counts[:, 0] == curve[:, g]).all()
                _core.uniform_topk_mask(same, channels // 2, mask, counts, keep, threads)
                assert (mask.sum(1) == counts[:, 0]).all()


def check_responses(generator: np.random.Generator) -> None:
    shapes = [(0, 3, 4), (1, 1, 1), (2, 5, 9), (1, 70, 3), (2, 16, 33), (1, 2, 600)]
    cases = itertools.product(shapes, DTYPES, ACTIVATIONS, ("avg", "max"), (False, True), (1, 3))
    for (samples, channels, positions), dtype, activation, pool, last, threads in cases:
        compute = np.float64 if dtype is np.float64 else np.float32
        x, grad = (
            as_dtype(generator.standard_normal((samples, channels * positions)), dtype)
            for _ in range(2)
        )
        scale, shift = generator.standard_normal((2, 1, channels)).astype(compute)
        mask = generator.random((samples, channels)) < 0.6
        out, back = np.empty_like(x), np.empty_like(x)
        response, pooled = np.full((2, samples, channels), np.nan, compute)
        inputs = (x, last, scale, shift, mask, activation, pool)
        _core.channel_response_forward(*inputs, out, response, pooled, threads)
        assert (response >= 0).all()
        assert (pooled[~mask] == 0).all()
        by_scale, by_shift = np.full((2, 1, channels), np.nan, compute)
        for arrived in ((grad, response, pooled), (None, response, None), (grad, None, pooled)):
            _core.channel_response_backward(*arrived, *inputs, back, by_scale, by_shift, threads)
            assert np.isfinite(by_scale).all()
            assert np.isfinite(by_shift).all()


def check_tokens(generator: np.random.Generator) -> None:
    sizes = [(0, 4, 2, 3), (2, 1, 1, 1), (3, 70, 20, 5), (2, 65, 65, 3), (2, 9, 0, 4)]
    for (samples, tokens, keep, width), dtype, threads in itertools.product(sizes, DTYPES, (1, 3)):
        indices = np.full((samples, keep), -1)
        _core.random_subsets(2**64 - 1, tokens, indices, threads)
        assert (np.diff(indices, axis=1) > 0).all()
        assert ((indices >= 0) & (indices < tokens)).all()
        x = as_dtype(generator.standard_normal((samples, tokens + 1, width)), dtype)
        chosen = np.empty((samples, keep, width), dtype)
        _core.gather_tokens(x[:, 1:], indices, chosen, threads)
        back = np.empty((samples, tokens, width), dtype)
        _core.scatter_tokens(chosen, indices, np.zeros((1, width), dtype), back, threads)
        again = np.empty_like(back)
        _core.add_tokens(chosen, indices, again, threads)
        assert np.array_equal(back, again)
        _core.add_tokens(chosen, indices * 0, again, threads)
        try:
            _core.gather_tokens(x, indices + tokens + 1, chosen, threads)
            assert indices.size == 0
        except ValueError:
            assert indices.size > 0


def check_pruning(generator: np.random.Generator) -> None:
    check_masks(generator)
    check_responses(generator)
    check_tokens(generator)
