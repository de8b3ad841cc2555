"""The part of isa_suite.py that is about the scattering transform."""

import numpy as np
import torch

from ipse.functional import scattering2d
from tests.reference import scattering as reference

# Lanes from one to more than the widest register; transforms with radices 2 to 8, 7 and 11.
CASES = [
    (1, 4, 4, 1, 1, 2),
    (3, 12, 8, 2, 3, 2),
    (5, 24, 20, 2, 4, 2),
    (9, 16, 40, 3, 2, 2),
    (19, 8, 10, 1, 2, 1),
    (17, 6, 18, 1, 2, 2),
]
UNITS = {torch.float32: 2e-6, torch.float64: 1e-14}


def scattering() -> dict[str, np.ndarray]:
    results = {}
    for planes, height, width, scales, angles, order in CASES:
        for dtype, unit in UNITS.items():
            generator = torch.Generator().manual_seed(planes)
            shape = (planes, height, width)
            x = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
            got = scattering2d(x, scales, angles, order).double()
            exact = reference.scattering2d(x, scales, angles, order)
            assert bool(((got - exact).abs() <= unit).all())
            results[f"scattering {shape} {(scales, angles, order)} {dtype}"] = got.numpy() / unit
    return results
