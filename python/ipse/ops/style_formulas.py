"""Plain PyTorch forms of the low-frequency operators, through ``torch.fft.rfft2``.

They serve the devices that have no kernel yet, the double backward, and on the CPU those
windows that are so wide that a fast transform is quicker than the core's matrix products.
Gradients are written out because an operator's kernel runs below autograd.

A window is a part of the half plane that ``rfft2`` returns: rows 0 ... a, -a ... -1 (or all of
them) and columns 0 ... b.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from ipse.ops._registry import COMPUTE_DTYPES


def _transformed(planes: Tensor) -> Tensor:
    planes = planes.to(COMPUTE_DTYPES[planes.dtype])
    if planes.shape[0] == 0:  # which libraries of fast transforms refuse
        shape = (*planes.shape[:-1], planes.shape[-1] // 2 + 1)
        return planes.new_zeros(shape, dtype=planes.dtype.to_complex())
    return torch.fft.rfft2(planes)


def _cut(spectrum: Tensor, rows: int, columns: int) -> Tensor:
    """The window of a half plane (P, H, W / 2 + 1)."""
    spectrum = spectrum[..., :columns]
    if rows == spectrum.shape[-2]:
        return spectrum
    half = rows // 2
    return torch.cat([spectrum[..., : half + 1, :], spectrum[..., -half:, :][..., :half, :]], -2)


def _spread(window: Tensor, height: int, width: int) -> Tensor:
    """The half plane that is zero outside the window."""
    rows, columns = window.shape[-2:]
    window = F.pad(window, (0, width // 2 + 1 - columns))
    if rows == height:
        return window
    half = rows // 2
    gap = window.new_zeros((*window.shape[:-2], height - rows, window.shape[-1]))
    return torch.cat([window[..., : half + 1, :], gap, window[..., half + 1 :, :]], -2)


def _planes_of(window: Tensor, height: int, width: int) -> Tensor:
    """The real planes of a window's spectrum and its mirror image."""
    if window.shape[0] == 0:
        return window.real.new_zeros((*window.shape[:-2], height, width))
    return torch.fft.irfft2(_spread(window, height, width), s=(height, width))


def _multiplicity(columns: int, width: int, like: Tensor) -> Tensor:
    """How often each column of a window occurs in the whole plane."""
    index = torch.arange(columns, device=like.device)
    once = (index == 0) | (2 * index == width)
    return torch.where(once, 1.0, 2.0).to(like.dtype)


def _both_signs(mask: Tensor, height: int) -> Tensor:
    """A mask over ``|k|`` as the rows of a window."""
    rows = mask.shape[0]
    return torch.cat([mask, mask[1 : min(rows, height - rows + 1)].flip(0)])


def band_pass(planes: Tensor, mask: Tensor, keep: float) -> Tensor:
    """``keep * planes`` + planes with each frequency times ``mask[|k|, |l|]``."""
    height, width = planes.shape[-2:]
    whole = _both_signs(mask, height)
    spectrum = _transformed(planes)
    weights = whole.to(spectrum.real.dtype)
    filtered = _planes_of(_cut(spectrum, *weights.shape) * weights, height, width)
    if keep != 0.0:
        filtered = filtered + keep * planes
    return filtered.to(planes.dtype)


def band_energy(planes: Tensor, mask: Tensor) -> Tensor:
    """(P,): sum of ``mask |F|^2 / (H W)``."""
    height, width = planes.shape[-2:]
    whole = _both_signs(mask, height)
    spectrum = _cut(_transformed(planes), *whole.shape)
    weights = whole.to(spectrum.real.dtype) * _multiplicity(mask.shape[1], width, spectrum.real)
    return (weights * spectrum.abs().square()).sum((-2, -1)) / (height * width)


def style_amplitude(planes: Tensor, rows: int, columns: int) -> Tensor:
    """(P, rows, columns): ``|F|`` of the window."""
    return _cut(_transformed(planes), rows, columns).abs()


def style_amplitude_gradient(grad: Tensor, planes: Tensor) -> Tensor:
    """``grad`` (P, rows, columns) times the derivative of the amplitudes."""
    height, width = planes.shape[-2:]
    spectrum = _cut(_transformed(planes), *grad.shape[-2:])
    area = height * width
    weighted = grad * area / _multiplicity(grad.shape[-1], width, grad)
    return _planes_of(weighted * spectrum.sgn(), height, width).to(planes.dtype)


def _phases(spectrum: Tensor, least: float) -> tuple[Tensor, Tensor, Tensor]:
    """``F / |F|``, ``1 / |F|`` and where ``|F|`` is so small that the phase counts as 0."""
    own = spectrum.abs()
    flat = own < least
    inverse = 1 / own.masked_fill(flat, 1.0)
    return (spectrum * inverse).masked_fill(flat, 1.0), inverse, flat


def _windows(planes: Tensor, amplitude: Tensor) -> tuple[Tensor, Tensor]:
    """The planes' window (B, M, rows, columns) and the amplitudes (M, rows, columns)."""
    rows, columns = amplitude.shape[-2:]
    window = _cut(_transformed(planes), rows, columns)
    return window.reshape(-1, *amplitude.shape), amplitude


def style_standardize(planes: Tensor, amplitude: Tensor, eps: float) -> Tensor:
    """Planes with the amplitudes of line ``p % M`` inside the window and their own phases."""
    height, width = planes.shape[-2:]
    window, style = _windows(planes, amplitude)
    own = window.abs()
    flat = own < eps * height * width
    # A ratio of exactly 1 where the amplitude is its own already.
    scaled = window * (style / own.masked_fill(flat, 1.0) - 1)
    change = torch.where(flat, style - window, scaled).reshape(-1, *style.shape[1:])
    return (planes + _planes_of(change, height, width)).to(planes.dtype)


def style_standardize_gradient(
    grad: Tensor, planes: Tensor, amplitude: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """``grad`` times the derivative by the planes and by the amplitudes."""
    height, width = planes.shape[-2:]
    window, style = _windows(planes, amplitude)
    arrived, _ = _windows(grad, amplitude)
    unit, inverse, flat = _phases(window, eps * height * width)
    turned = unit.conj() * arrived
    across = (style * inverse * turned.imag).masked_fill(flat, 0.0)
    change = (1j * unit * across - arrived).reshape(-1, *style.shape[1:])
    by_planes = (grad + _planes_of(change, height, width)).to(planes.dtype)
    share = _multiplicity(style.shape[-1], width, style) / (height * width)
    return by_planes, (turned.real * share).sum(0)
