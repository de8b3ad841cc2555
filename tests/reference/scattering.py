"""The scattering transform from its definition, in NumPy and float64, nothing fused or folded.

Planes are padded by reflection; a product of spectra is a circular convolution; subsampling
keeps every so-manieth place. Wavelets for a subsampled plane keep its frequencies only.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, Any]


def scattering2d(planes: Tensor, J: int, L: int, order: int) -> Tensor:  # noqa: N803
    """(P, C, H / 2^J, W / 2^J) of planes (P, H, W)."""
    height, width = planes.shape[1:]
    pad = 2**J
    shape = height + 2 * pad, width + 2 * pad
    phi = spectrum(gabor(shape, 0.8 * 2 ** (J - 1), 0.0, 0.0, 1.0))
    psi = {(j, n): spectrum(morlet(shape, j, n, L)) for j in range(J) for n in range(L)}
    results = [list(coefficients(plane, J, L, order, phi, psi)) for plane in planes.double()]
    return torch.from_numpy(np.stack([np.stack(result) for result in results]))


def coefficients(
    plane: Tensor, scales: int, angles: int, order: int, phi: Array, psi: dict[Any, Array]
) -> Iterator[Array]:
    """The maps of one plane, in kymatio's order."""
    padded = np.pad(plane.numpy(), 2**scales, mode="reflect")

    def smooth(u: Array, level: int) -> Array:
        low = convolve(u, at_level(phi, level)).real
        step = 2 ** (scales - level)
        return low[::step, ::step][1:-1, 1:-1]

    yield smooth(padded, 0)
    first = {}
    for j, n in sorted(psi):
        first[j, n] = abs(convolve(padded, psi[j, n])[:: 2**j, :: 2**j])
        yield smooth(first[j, n], j)
    for j1, n1 in sorted(psi) if order == 2 else ():
        for j2, n2 in sorted(psi):
            if j2 > j1:
                step = 2 ** (j2 - j1)
                u2 = abs(convolve(first[j1, n1], at_level(psi[j2, n2], j1))[::step, ::step])
                yield smooth(u2, j2)


def convolve(u: Array, filter_spectrum: Array) -> Array:
    return np.fft.ifft2(np.fft.fft2(u) * filter_spectrum)


def spectrum(filter_in_space: Array) -> Array:
    return np.fft.fft2(filter_in_space).real


def at_level(filter_spectrum: Array, level: int) -> Array:
    """The frequencies -n/2 ... n/2 - 1 of the grid of every 2^level-th place."""
    rows, cols = (size // 2**level for size in filter_spectrum.shape)
    frequencies = np.ix_(
        np.fft.fftfreq(rows, 1 / rows).astype(int), np.fft.fftfreq(cols, 1 / cols).astype(int)
    )
    return filter_spectrum[frequencies]


def gabor(
    shape: tuple[int, int], sigma: float, theta: float, frequency: float, slant: float
) -> Array:
    """A wave along theta under an elliptic Gaussian, periodised; kymatio's normalisation."""
    rows, cols = shape
    total = np.zeros(shape, complex)
    for period_y in range(-2, 3):
        for period_x in range(-2, 3):
            y, x = np.mgrid[:rows, :cols].astype(float)
            y, x = y + period_y * rows, x + period_x * cols
            along = y * np.cos(theta) + x * np.sin(theta)
            across = x * np.cos(theta) - y * np.sin(theta)
            gaussian = np.exp(-(along**2 + slant**2 * across**2) / (2 * sigma**2))
            total += gaussian * np.exp(1j * frequency * along)
    return total / (2 * 3.1415 * sigma**2 / slant)


def morlet(shape: tuple[int, int], j: int, n: int, angles: int) -> Array:
    """A Gabor minus a Gaussian of the same sum."""
    theta = (int(angles - angles / 2 - 1) - n) * np.pi / angles
    sigma, frequency, slant = 0.8 * 2**j, 0.75 * np.pi / 2**j, 4 / angles
    wave = gabor(shape, sigma, theta, frequency, slant)
    envelope = gabor(shape, sigma, theta, 0.0, slant)
    return wave - wave.sum() / envelope.sum() * envelope
