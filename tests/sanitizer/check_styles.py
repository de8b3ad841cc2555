"""Bands and styles, for check_core.py: ragged planes, windows, layouts, dtypes, threads."""

import itertools

import _core  # from the sanitizer build on PYTHONPATH
import numpy as np

SIZES = [(0, 3, 2), (1, 1, 1), (3, 1, 9), (2, 10, 1), (5, 17, 33), (2, 65, 50)]
DTYPES = [np.float32, np.float64, np.float16]


def spread(array: np.ndarray) -> np.ndarray:
    """The same values with gaps between rows and columns."""
    gaps = np.zeros((array.shape[0] * 2, array.shape[1] * 3), array.dtype)
    gaps[::2, ::3] = array
    return gaps[::2, ::3]


def check_styles(generator: np.random.Generator) -> None:
    for (count, height, width), dtype, threads in itertools.product(SIZES, DTYPES, (1, 3)):
        x = generator.random((count * height, width)).astype(dtype)
        compute = np.float64 if dtype is np.float64 else np.float32
        halves = {(0, 0), (height // 4, width // 3), (height // 2, width // 2)}
        for (a, b), planes in itertools.product(halves, (x, spread(x))):
            mask = np.ones((a + 1, b + 1))
            out, energy = np.full_like(x, np.nan), np.full((count, 1), np.nan, compute)
            _core.band_filter(planes, height, mask, 0.0, out, threads)
            _core.band_filter(planes, height, -mask, 1.0, out, threads)
            _core.band_energy(planes, height, mask, energy, threads)
            assert np.isfinite(out).all()
            assert np.isfinite(energy).all()
            if (a, b) == (height // 2, width // 2):
                np.testing.assert_allclose(out, 0, atol=1e-2)
            window = (planes, height, a, b)
            values = min(2 * a + 1, height) * (b + 1)
            amplitude = np.full((count, values), np.nan, compute)
            _core.style_amplitude_forward(*window, amplitude, threads)
            _core.style_amplitude_backward(*window, amplitude, out, threads)
            assert np.isfinite(out).all()
            for style in (amplitude, amplitude[:1]) if count else ():
                _core.style_standardize_forward(*window, style, 1e-8, out, threads)
                np.testing.assert_allclose(out[:height], x[:height], atol=1e-2)
                grads = np.full_like(x, np.nan), np.full_like(amplitude, np.nan)
                _core.style_standardize_backward(x, *window, style, 1e-8, *grads, threads)
                assert np.isfinite(grads[0]).all()
                assert np.isfinite(grads[1]).all()
