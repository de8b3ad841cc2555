"""The scattering transform, for check_core.py: ragged sizes, layouts, dtypes, threads."""

import itertools

import _core  # from the sanitizer build on PYTHONPATH
import numpy as np

# Planes, height, width, scales, angles: from the smallest, over odd stages of the transforms.
CASES = [(1, 2, 2, 1, 1), (3, 4, 12, 2, 2), (17, 6, 18, 1, 3), (5, 16, 24, 3, 2), (0, 4, 4, 1, 1)]


def check_scattering(generator: np.random.Generator) -> None:
    cases = itertools.product(CASES, (np.float32, np.float64, np.float16), (1, 2), (1, 3))
    for (planes, height, width, scales, angles), dtype, order, threads in cases:
        wide = np.zeros((planes * 2, height, width * 3), dtype)
        x = wide[::2, ::-1, ::3]
        x[:] = generator.standard_normal(x.shape)
        rows, cols = (side + 2 * 2**scales for side in (height, width))
        wavelets = generator.standard_normal((scales, angles, rows, cols))
        lowpass = [
            generator.standard_normal(sum(side >> level for level in range(scales)))
            for side in (rows, cols)
        ]
        channels = 1 + scales * angles
        if order == 2:
            channels += scales * (scales - 1) // 2 * angles**2
        area = (height >> scales) * (width >> scales)
        compute = np.float64 if dtype is np.float64 else np.float32
        out = np.full((planes * channels, area), np.nan, compute)
        _core.scattering2d_forward(x, scales, angles, order, wavelets, *lowpass, out, threads)
        assert np.isfinite(out).all()
        assert planes == 0 or np.abs(out).max() > 0
