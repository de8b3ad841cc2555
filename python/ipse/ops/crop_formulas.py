"""Plain PyTorch forms of the crops: one matrix for each axis, from the definition.

They serve the devices that have no kernel yet.
"""

import math

import torch
from torch import Tensor


def compute_dtype(x: Tensor, dtype: torch.dtype) -> torch.dtype:
    """float64 where input or result is float64, else float32."""
    return torch.float64 if torch.float64 in (x.dtype, dtype) else torch.float32


def fourier_axis(n_in: int, n_out: int) -> tuple[Tensor, Tensor]:
    """Real and imaginary part (n_out, n_in) of the crop of one axis, float64."""
    if n_in == n_out:
        return torch.eye(n_in, dtype=torch.float64), torch.zeros(n_in, n_in, dtype=torch.float64)
    b = n_out // 2
    kept = torch.arange(-b, b if n_out % 2 == 0 else b + 1)
    # Products of frequency and place are reduced as integers, before they lose digits.
    forward = (kept[:, None] * torch.arange(n_in)) % n_in
    inverse = (torch.arange(n_out)[:, None] * kept) % n_out
    spectrum = torch.exp(-2j * math.pi * forward.double() / n_in)
    synthesis = torch.exp(2j * math.pi * inverse.double() / n_out)
    axis = synthesis @ spectrum / n_in
    return axis.real, axis.imag


def lanczos_axis(n_in: int, n_out: int) -> Tensor:
    """The antialiased Lanczos-3 resize of one axis (n_out, n_in), float64; as Pillow's."""
    scale = n_in / n_out
    center = (torch.arange(n_out, dtype=torch.float64)[:, None] + 0.5) * scale
    place = torch.arange(n_in, dtype=torch.float64) + 0.5
    distance = (place - center) / scale
    weights = torch.special.sinc(distance) * torch.special.sinc(distance / 3)
    weights = torch.where(distance.abs() < 3, weights, 0.0)
    return weights / weights.sum(1, keepdim=True)


def crop(
    kind: str,
    x: Tensor,
    height: int,
    width: int,
    scale: Tensor | None,
    shift: Tensor | None,
    dtype: torch.dtype,
    adjoint: bool,
) -> Tensor:
    """``scale * crop(x) + shift``, or with ``adjoint`` the transposed map to (height, width)."""
    compute = compute_dtype(x, dtype)
    sizes = [(x.shape[-2], height), (x.shape[-1], width)]
    if adjoint:
        sizes = [(n_out, n_in) for n_in, n_out in sizes]
    parts = []
    for n_in, n_out in sizes:
        if kind == "fourier":
            real, imaginary = fourier_axis(n_in, n_out)
        else:
            real = lanczos_axis(n_in, n_out)
            imaginary = torch.zeros_like(real)
        both = [real.mT, imaginary.mT] if adjoint else [real, imaginary]
        parts.append([part.to(x.device, compute) for part in both])
    (rows, rows_imaginary), (columns, columns_imaginary) = parts
    y = rows @ x.to(compute) @ columns.mT
    y = y - rows_imaginary @ x.to(compute) @ columns_imaginary.mT
    if scale is not None:
        y = y * scale.to(x.device, compute)[:, None, None]
    if shift is not None:
        y = y + shift.to(x.device, compute)[:, None, None]
    return y.to(dtype)
