"""The filters of the scattering transform: Morlet wavelets and a Gaussian, as kymatio has them.

They live on the padded grid (M, N) = (H, W) + 2 * 2^J, periodised, in float64. All spectra are
real: every filter is the conjugate of its own mirror image. In NumPy, so that a compiler that
traces tensors never finds its stand-ins kept here.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# kymatio's pi in the normalisation of its Gaussians: its values are the ones to equal.
NORMALISATION_PI = 3.1415
# A Gaussian is summed over this many periods on each side.
PERIODS = 2


@dataclass(frozen=True)
class FilterBank:
    """Everything the transform of one size of plane needs.

    Attributes:
        wavelets: (J, L, M, N) spectra, by scale and angle.
        lowpass_rows, lowpass_cols: the low pass is separable; kernels in space for the levels
            0 ... J - 1, of length M / 2^j and N / 2^j.
    """

    wavelets: Array
    lowpass_rows: tuple[Array, ...]
    lowpass_cols: tuple[Array, ...]


@lru_cache(maxsize=8)
def filter_bank(height: int, width: int, scales: int, angles: int) -> FilterBank:
    """The filters for planes of (height, width); the last few sizes are kept."""
    pad = 2 * 2**scales
    rows, cols = height + pad, width + pad
    wavelets = np.stack(
        [
            np.stack([morlet_spectrum(rows, cols, j, n, angles) for n in range(angles)])
            for j in range(scales)
        ]
    )
    sigma = 0.8 * 2 ** (scales - 1)
    # One factor carries all of the 2-D Gaussian's normalisation.
    along_rows = np.fft.fft(gaussian(rows, sigma)).real
    along_cols = np.fft.fft(gaussian(cols, sigma)).real / (2 * NORMALISATION_PI * sigma**2)
    return FilterBank(
        wavelets,
        tuple(level_kernel(along_rows, level) for level in range(scales)),
        tuple(level_kernel(along_cols, level) for level in range(scales)),
    )


def morlet_spectrum(rows: int, cols: int, scale: int, angle: int, angles: int) -> Array:
    """psi_{scale, angle}: a wave under a Gaussian, less so much of the Gaussian that it sums to 0.

    sigma = 0.8 2^j along the wave and L / 4 times that across it, frequency 3/4 pi / 2^j.
    """
    sigma, slant = 0.8 * 2**scale, 4 / angles
    frequency = 0.75 * math.pi / 2**scale
    theta = (int(angles - angles / 2 - 1) - angle) * math.pi / angles
    cosine, sine = math.cos(theta), math.sin(theta)
    wave = np.zeros((rows, cols), complex)
    envelope = np.zeros((rows, cols))
    for first_row in range(-PERIODS * rows, (PERIODS + 1) * rows, rows):
        y = np.arange(first_row, first_row + rows, dtype=float)[:, None]
        for first_col in range(-PERIODS * cols, (PERIODS + 1) * cols, cols):
            x = np.arange(first_col, first_col + cols, dtype=float)
            along = y * cosine + x * sine
            across = slant * (x * cosine - y * sine)
            exponent = (along**2 + across**2) / (2 * sigma**2)
            if exponent.min() > 60:  # below 1e-26
                continue
            size = np.exp(-exponent)
            envelope += size
            wave += size * np.exp(1j * frequency * along)
    mean = wave.sum() / envelope.sum()
    normalisation = 2 * NORMALISATION_PI * sigma**2 / slant
    return np.fft.fft2(wave - mean * envelope).real / normalisation


def gaussian(length: int, sigma: float) -> Array:
    """exp(-x^2 / (2 sigma^2)), periodised."""
    x = np.arange(-PERIODS * length, (PERIODS + 1) * length, dtype=float)
    return np.exp(-(x**2) / (2 * sigma**2)).reshape(-1, length).sum(0)


def level_kernel(spectrum: Array, level: int) -> Array:
    """The kernel in space of the level's low frequencies."""
    return np.fft.ifft(spectrum[level_frequencies(len(spectrum), level)]).real


def level_frequencies(length: int, level: int) -> Array:
    """Where in a spectrum of ``length`` are the frequencies of the grid of every 2^level-th place.

    Of the two highest ones only the negative one remains.
    """
    half = (length >> level) // 2
    return np.concatenate([np.arange(half), np.arange(length - half, length)])
