"""The crops, for check_core.py: ragged sizes, layouts, pixel types, threads, adjoints."""

import itertools

import _core  # from the sanitizer build on PYTHONPATH
import numpy as np

SIZES = [
    ((1, 1), (1, 1)),
    ((2, 3), (1, 2)),
    ((17, 5), (16, 5)),
    ((28, 28), (14, 20)),
    ((40, 33), (40, 17)),
    ((66, 64), (33, 48)),
    ((96, 24), (64, 16)),
    ((64, 36), (32, 24)),
]
SHAPES = [(0, 3), (1, 1), (3, 2), (2, 37), (70, 1)]


def layouts(x: np.ndarray) -> list[np.ndarray]:
    """The same images in C order, channels last, with gaps, and backwards in memory."""
    gaps = np.zeros((*x.shape[:2], x.shape[2] * 2, x.shape[3] * 3), x.dtype)
    gaps[:, :, ::2, ::3] = x
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return [x, last, gaps[:, :, ::2, ::3], x[:, :, ::-1, ::-1].copy()[:, :, ::-1, ::-1]]


def empty(shape: tuple[int, ...], dtype: type, channels_last: bool) -> np.ndarray:
    """A result that nothing has written yet, exactly as large as it must be."""
    n, c, height, width = shape
    if channels_last:
        return np.empty((n, height, width, c), dtype).transpose(0, 3, 1, 2)
    return np.empty(shape, dtype)


def check_crops(generator: np.random.Generator) -> None:
    kinds = [
        (_core.fourier_crop_forward, _core.fourier_crop_backward),
        (_core.lanczos_crop_forward, _core.lanczos_crop_backward),
    ]
    for (size, small), shape, (forward, backward) in itertools.product(SIZES, SHAPES, kinds):
        x = generator.standard_normal((*shape, *size))
        scale = [2.0] * shape[1]
        for dtype, (threads, last) in itertools.product(
            (np.float32, np.float64, np.float16), ((1, False), (3, True), (5, False))
        ):
            results = []
            for laid in layouts(x.astype(dtype)):
                y = empty((*shape, *small), dtype, last)
                forward(laid, y, scale, None, threads)
                back = empty(x.shape, dtype, last)
                backward(y, back, scale, threads)
                # <crop x, crop x> = <x, crop^T crop x>
                left = float((y.astype(float) ** 2).sum())
                right = float((back.astype(float) * laid.astype(float)).sum())
                assert abs(left - right) <= 2e-2 * left + 1e-3
                results.append(y.astype(float))
            np.testing.assert_allclose(results, [results[0]] * 4, rtol=2e-2, atol=2e-2)
        pixels = generator.integers(0, 256, (*shape, *size), np.uint8)
        for laid in layouts(pixels):
            y = empty((*shape, *small), np.float32, laid is not pixels)
            forward(laid, y, [1 / 255] * shape[1], [1.0] * shape[1], 3)
            assert np.isfinite(y).all()
