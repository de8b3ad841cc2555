"""Band filters and styles straight from their definitions, with full complex transforms."""

import math

import torch
from torch import Tensor


def signed_frequencies(height: int, width: int) -> tuple[Tensor, Tensor]:
    """(H, 1) and (1, W): the frequencies of ``fft2``'s rows and columns, negative ones signed."""
    k = torch.fft.fftfreq(height, 1 / height, dtype=torch.float64)[:, None]
    l = torch.fft.fftfreq(width, 1 / width, dtype=torch.float64)[None]  # noqa: E741
    return k, l


def band_mask(height: int, width: int, low: float, high: float, shape: str = "disc") -> Tensor:
    k, l = signed_frequencies(height, width)  # noqa: E741
    distance = torch.sqrt(k**2 + l**2) if shape == "disc" else torch.maximum(k.abs(), l.abs())
    return (low <= distance) & (distance < high)


def band_pass(x: Tensor, low: float, high: float, shape: str = "disc") -> Tensor:
    mask = band_mask(*x.shape[-2:], low, high, shape)
    return torch.fft.ifft2(torch.fft.fft2(x) * mask).real


def band_energy(x: Tensor, radius: float, low: float = 0.0, shape: str = "disc") -> Tensor:
    return band_pass(x, low, radius, shape).square().sum((-2, -1))


def high_frequency(x: Tensor, radius: float, shape: str = "disc") -> Tensor:
    return band_pass(x, radius, math.inf, shape)


def style_window(height: int, width: int, ratio: float) -> Tensor:
    """Where amplitudes are exchanged: the centred slice and its mirror image, over ``fft2``."""
    rows, columns = int(height * math.sqrt(ratio)), int(width * math.sqrt(ratio))
    window = torch.zeros(height, width, dtype=torch.bool)
    if rows == 0 or columns == 0:
        return window
    k, l = signed_frequencies(height, width)  # noqa: E741
    return (k.abs() <= rows // 2) & (l.abs() <= columns // 2)


def style_amplitude(x: Tensor, ratio: float) -> Tensor:
    """The window's amplitudes laid out as in ``rfft2``."""
    height, width = x.shape[-2:]
    window = style_window(height, width, ratio)
    amplitude = torch.fft.fft2(x).abs()
    rows, columns = window.any(1), window.any(0)
    columns[width // 2 + 1 :] = False
    return amplitude[..., rows, :][..., columns]


def style_standardize(
    x: Tensor, ratio: float, style: int | Tensor | None = 0, eps: float = 1e-8
) -> Tensor:
    """The algorithm of the paper: amplitude, phase, exchange, inverse, real part."""
    height, width = x.shape[-2:]
    window = style_window(height, width, ratio)
    spectrum = torch.fft.fft2(x)
    amplitude, phase = spectrum.abs(), spectrum.angle()
    phase = torch.where(amplitude < eps * height * width, 0.0, phase)
    given = amplitude.mean(0, keepdim=True) if style is None else amplitude[style]
    exchanged = torch.where(window, given, amplitude)
    # Outside the window the spectrum itself: there even a phase without amplitude does no harm.
    styled = torch.where(window, torch.polar(exchanged, phase), spectrum)
    return torch.fft.ifft2(styled).real
