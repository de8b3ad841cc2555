"""Crops straight from their definition: torch.fft for the Fourier crop, sums for Lanczos.

In float64 these are the oracle of the tests; they are not meant to be fast.
"""

import math

import torch
from torch import Tensor


def fourier_crop(x: Tensor, height: int, width: int) -> Tensor:
    """EfficientTrain's released crop: keep the corners of fft2, real part of the inverse.

    Odd sizes, which the released code rounds down, keep the symmetric set; an axis of full
    size is kept whole.
    """
    spectrum = torch.fft.fft2(x)
    factor = 1.0
    for dim, n_out in ((-2, height), (-1, width)):
        n_in = x.shape[dim]
        if n_out < n_in:
            b = n_out // 2
            positive = b if n_out % 2 == 0 else b + 1
            kept = [*range(positive), *range(n_in - b, n_in)]
            spectrum = spectrum.index_select(dim, torch.tensor(kept))
            factor *= n_out / n_in
    return factor * torch.fft.ifft2(spectrum).real


def released_crop(x: Tensor, size: int) -> Tensor:
    """The released code itself, for square images and an even size: four corner copies."""
    b = size // 2
    spectrum = torch.fft.fft2(x)
    corners = torch.zeros(*x.shape[:-2], 2 * b, 2 * b, dtype=spectrum.dtype)
    corners[..., :b, :b] = spectrum[..., :b, :b]
    corners[..., :b, -b:] = spectrum[..., :b, -b:]
    corners[..., -b:, :b] = spectrum[..., -b:, :b]
    corners[..., -b:, -b:] = spectrum[..., -b:, -b:]
    return torch.fft.ifft2(corners * (2 * b / x.shape[-1]) ** 2).real


def lanczos_crop(x: Tensor, height: int, width: int) -> Tensor:
    """Every output pixel as the normalised sum over the window of three lobes to each side."""
    for dim, n_out in ((-2, height), (-1, width)):
        lines = x.movedim(dim, 0)
        scale = lines.shape[0] / n_out
        rows = []
        for p in range(n_out):
            center = (p + 0.5) * scale
            weights = torch.zeros(lines.shape[0], dtype=x.dtype)
            for h in range(lines.shape[0]):
                t = (h + 0.5 - center) / scale
                if abs(t) < 3:
                    weights[h] = _sinc(t) * _sinc(t / 3)
            rows.append(torch.tensordot(weights / weights.sum(), lines, dims=1))
        x = torch.stack(rows).movedim(0, dim)
    return x


def _sinc(t: float) -> float:
    return 1.0 if t == 0 else math.sin(math.pi * t) / (math.pi * t)
