"""The scattering transform."""

import torch
from torch import Tensor

import ipse.ops  # noqa: F401  # registers torch.ops.ipse.*

__all__ = ["scattering2d"]


def scattering2d(x: Tensor, J: int, L: int = 8, order: int = 2) -> Tensor:  # noqa: N803
    """The wavelet scattering transform of images: stable to small shifts and deformations.

    ``S0 = x * phi``, ``S1 = |x * psi_{j,l}| * phi``, ``S2 = ||x * psi_{j1,l1}| * psi_{j2,l2}| *
    phi`` for all ``j1 < j2``, with the Morlet wavelets and the Gaussian of kymatio on a grid
    padded by reflection; every channel of x on its own, each result at every 2^J-th place.

    Args:
        x: (N, C, H, W), or any other leading dimensions; float32, float64, or 16-bit (computed
            in float32). Any strides. H and W are multiples of 2^J. A plane with a value that is
            not finite gives no finite value.
        J: number of scales, at least 1. One scale has no second order.
        L: number of angles in [0, pi), at least 1.
        order: 1 or 2, the most wavelets in a row.

    Returns:
        (N, C, S, H / 2^J, W / 2^J) with S = 1 + J L, and L^2 J (J - 1) / 2 more at order 2:
        first S0, then S1 by (j, l), then S2 by (j1, l1, j2, l2), each index running faster than
        those before it: kymatio's order. float32 for 16-bit x; in an autocast region x is cast
        to float32. Twice differentiable by x; the derivative of a modulus is taken to be
        ``z / max(|z|, 1e-8)``.

    Raises:
        ValueError: x has fewer than 2 dimensions, J or L is below 1, order is neither 1 nor 2,
            2^J exceeds a side of x or does not divide it.
        TypeError: x is not floating point or not dense.

    Memory:
        Per thread, for 64 bytes' worth of planes at a time (16 in float32 with AVX-512), four
        complex padded planes; per call the wavelets' spectra as lists of terms, at most
        12 J L (H + 2^(J+1)) (W + 2^(J+1)) bytes for the first order and less for the second.
        The filters of the last 8 sizes are kept. The gradient works through some planes at a
        time and holds all of their intermediate planes.

    Source:
        Bruna, Mallat, Invariant scattering convolution networks, PAMI 2013; filters and grids
        as in Andreux et al., Kymatio, JMLR 2020 (version 0.3).
    """
    if x.dim() < 2:
        raise ValueError(f"scattering2d: x must be (..., H, W), got shape {tuple(x.shape)}")
    planes = x.flatten(0, -3) if x.dim() > 2 else x[None]
    out = torch.ops.ipse.scattering2d(planes, J, L, order)
    return out.reshape(*x.shape[:-2], *out.shape[1:])
