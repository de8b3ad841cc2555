"""The band and style kernels for isa_suite.py: checked here, returned in units of the tolerance."""

import math

import numpy as np
import torch

from ipse.functional import band_energy, band_pass, style_amplitude, style_standardize
from tests.reference import styles as reference
from tests.style_cases import TOLERANCE, make_images

# Below, at and above one panel of each level (4 to 48 columns), and several of them.
SIZES = [(1, 1), (5, 3), (8, 16), (31, 50), (66, 97)]
RATIOS = [0.1, 0.5, 1.0]


def bands() -> dict[str, np.ndarray]:
    results = {}
    for size in SIZES:
        for dtype, tolerance in TOLERANCE.items():
            x = make_images(2, *size, dtype)
            for band in ((0, 3), (2, 6), (2, math.inf)):
                got = band_pass(x, *band).double()
                wanted = reference.band_pass(x.double(), *band)
                assert bool(((got - wanted).abs() <= tolerance).all())
                results[f"band_pass {size} {band} {dtype}"] = got.numpy() / tolerance
            scale = 4 * tolerance * x.double().square().sum((-2, -1))
            energy = band_energy(x, 3).double()
            assert bool(((energy - reference.band_energy(x.double(), 3)).abs() <= scale).all())
            results[f"band_energy {size} {dtype}"] = (energy / scale).numpy()
    return results


def styles() -> dict[str, np.ndarray]:
    results = {}
    for size in SIZES:
        for dtype, tolerance in TOLERANCE.items():
            for ratio in RATIOS:
                x = make_images(3, *size, dtype).requires_grad_()
                amplitude = style_amplitude(x, ratio).detach().double()
                if amplitude.numel() == 0:
                    continue
                key = f"{size} {ratio} {dtype}"
                exact = reference.style_amplitude(x.detach().double(), ratio)
                unit = tolerance * x.detach().double().sum((-2, -1)).max()
                assert bool(((amplitude - exact).abs() <= unit).all())
                results[f"style_amplitude {key}"] = (amplitude / unit).numpy()
                # Errors of a frequency grow with how much stronger it becomes.
                growth = float((exact[1] / exact).max().clamp_min(1))
                got = style_standardize(x, ratio, 1)
                wanted = reference.style_standardize(x.detach().double(), ratio, 1)
                unit = tolerance * growth
                assert bool(((got.double() - wanted).abs() <= unit).all())
                results[f"style_standardize {key}"] = got.detach().double().numpy() / unit
                (gradient,) = torch.autograd.grad(got.square().sum(), x)
                results[f"style gradient {key}"] = gradient.double().numpy() / (
                    8 * tolerance * growth**2 * float(gradient.abs().max())
                )
    return results
