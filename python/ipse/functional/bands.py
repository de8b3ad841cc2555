"""Filters and energies of bands of image frequencies."""

import math

import torch
from torch import Tensor

import ipse.ops  # noqa: F401  # registers torch.ops.ipse.*

__all__ = ["band_energy", "band_pass", "high_frequency"]


def as_planes(function: str, x: Tensor) -> Tensor:
    """(..., H, W) as (P, H, W); raises ValueError where there is no image."""
    if x.dim() < 2:
        raise ValueError(f"{function}: x must be (..., H, W), got shape {tuple(x.shape)}")
    if 0 in x.shape[-2:]:
        raise ValueError(
            f"{function}: images must have at least one row and one column, "
            f"got shape {tuple(x.shape)}"
        )
    return x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:])


def band_pass(x: Tensor, low: float, high: float, *, shape: str = "disc") -> Tensor:
    """The part of every image that lies in a band of frequencies.

    Keeps the frequencies ``(k, l)`` at a distance ``low <= d < high`` from the constant,
    where k and l count cycles along the image's height and width. The filter is symmetric in
    both signs, so the result is real. It is linear and its own transpose: its gradient is
    itself, to any order.

    Args:
        x: images (N, C, H, W) or any (..., H, W): float32, float64, bfloat16 or float16. Other
            layouts than contiguous are copied.
        low: from this distance on, at least 0. 0 keeps the mean.
        high: below this distance; ``math.inf`` for all.
        shape: ``"disc"``, ``d = sqrt(k^2 + l^2)``, or ``"square"``, ``d = max(|k|, |l|)``.

    Returns:
        Like ``x``, contiguous; 16-bit images are computed in float32. An empty batch gives
        an empty result. In an autocast region inputs are cast to float32.

    Raises:
        ValueError: ``x`` has fewer than two dimensions or an empty image, ``low`` and ``high``
            are not ``0 <= low <= high``, or the shape is unknown.
        TypeError: ``x`` is not a dense floating point tensor.

    Memory:
        On the CPU, beside the result, a few planes for each thread. Where many frequencies of
        images larger than some 200 pixels are wanted, their whole spectra.

    Source:
        The low- and high-pass filters of Wang et al., CVPR 2020 (arXiv 1905.13545), there with
        a full Fourier transform; here only the smaller of the band and its complement is
        transformed, by products with cosines and sines.
    """
    planes = as_planes("band_pass", x)
    filtered: Tensor = torch.ops.ipse.band_pass(planes, low, high, shape)
    return filtered.view(x.shape)


def band_energy(x: Tensor, radius: float, *, low: float = 0.0, shape: str = "disc") -> Tensor:
    """The energy of every image's low frequencies: the sum of squares of what a filter leaves.

    ``band_energy(x, radius)`` is ``band_pass(x, 0, radius).square().sum((-2, -1))``, by
    Parseval's identity from the coefficients alone. With ``radius`` infinite it is the sum of
    squares of ``x``.

    Args:
        x: images (N, C, H, W) or any (..., H, W), as for :func:`band_pass`.
        radius: frequencies below this distance from the constant count, at least ``low``.
        low: and from this distance on.
        shape: ``"disc"`` or ``"square"``, as for :func:`band_pass`.

    Returns:
        (N, C) or (...), one energy for each image; float32 for 16-bit images. Differentiable
        to any order.

    Raises:
        ValueError: as :func:`band_pass`.
        TypeError: ``x`` is not a dense floating point tensor.

    Memory:
        On the CPU a few planes for each thread; the gradient is an image.

    Source:
        Zhou et al., AdvEncoder, ICCV 2023 (arXiv 2307.12280): its image terms are the energy of
        the low frequencies of the perturbation.
    """
    planes = as_planes("band_energy", x)
    energy: Tensor = torch.ops.ipse.band_energy(planes, low, radius, shape)
    return energy.view(x.shape[:-2])


def high_frequency(x: Tensor, radius: float, *, shape: str = "disc") -> Tensor:
    """Images without their low frequencies, those closer than ``radius`` to the constant.

    ``x - band_pass(x, 0, radius)``, in one pass.

    Args:
        x: images (N, C, H, W) or any (..., H, W), as for :func:`band_pass`.
        radius: frequencies at this distance and beyond stay; 0 leaves the images as they are.
        shape: ``"disc"`` or ``"square"``, as for :func:`band_pass`.

    Returns:
        Like ``x``, contiguous. Linear and its own transpose, as :func:`band_pass`.

    Raises:
        ValueError: as :func:`band_pass`, or ``radius`` is negative or NaN.
        TypeError: ``x`` is not a dense floating point tensor.

    Memory:
        On the CPU, beside the result, a few planes for each thread. Where many frequencies of
        images larger than some 200 pixels are wanted, their whole spectra.

    Source:
        H of Zhou et al., AdvEncoder, ICCV 2023 (arXiv 2307.12280), for even image sizes; at odd
        sizes the released code measures from half a frequency beside the constant.
    """
    if not radius >= 0:
        raise ValueError(f"high_frequency: radius must be at least 0, got {radius}")
    planes = as_planes("high_frequency", x)
    filtered: Tensor = torch.ops.ipse.band_pass(planes, radius, math.inf, shape)
    return filtered.view(x.shape)
