"""The filters of the scattering transform: Morlet wavelets and a Gaussian, as kymatio has them.

They live on the padded grid (M, N) = (H, W) + 2 * 2^J, periodised, in float64. All spectra are
real: every filter is the conjugate of its own mirror image.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

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

    wavelets: Tensor
    lowpass_rows: tuple[Tensor, ...]
    lowpass_cols: tuple[Tensor, ...]

    @property
    def scales(self) -> int:
        """J."""
        return self.wavelets.shape[0]

    @property
    def angles(self) -> int:
        """L."""
        return self.wavelets.shape[1]


@lru_cache(maxsize=8)
def filter_bank(height: int, width: int, scales: int, angles: int) -> FilterBank:
    """The filters for planes of (height, width); the last few sizes are kept."""
    pad = 2 * 2**scales
    rows, cols = height + pad, width + pad
    wavelets = torch.stack(
        [
            torch.stack([morlet_spectrum(rows, cols, j, n, angles) for n in range(angles)])
            for j in range(scales)
        ]
    )
    sigma = 0.8 * 2 ** (scales - 1)
    # One factor carries all of the 2-D Gaussian's normalisation.
    along_rows = torch.fft.fft(gaussian(rows, sigma)).real
    along_cols = torch.fft.fft(gaussian(cols, sigma)).real / (2 * NORMALISATION_PI * sigma**2)
    return FilterBank(
        wavelets,
        tuple(level_kernel(along_rows, level) for level in range(scales)),
        tuple(level_kernel(along_cols, level) for level in range(scales)),
    )


def morlet_spectrum(rows: int, cols: int, scale: int, angle: int, angles: int) -> Tensor:
    """psi_{scale, angle}: a wave under a Gaussian, less so much of the Gaussian that it sums to 0.

    sigma = 0.8 2^j along the wave and L / 4 times that across it, frequency 3/4 pi / 2^j.
    """
    sigma, slant = 0.8 * 2**scale, 4 / angles
    frequency = 0.75 * math.pi / 2**scale
    theta = (int(angles - angles / 2 - 1) - angle) * math.pi / angles
    cosine, sine = math.cos(theta), math.sin(theta)
    wave = torch.zeros(rows, cols, dtype=torch.complex128)
    envelope = torch.zeros(rows, cols, dtype=torch.float64)
    for first_row in range(-PERIODS * rows, (PERIODS + 1) * rows, rows):
        y = torch.arange(first_row, first_row + rows, dtype=torch.float64)[:, None]
        for first_col in range(-PERIODS * cols, (PERIODS + 1) * cols, cols):
            x = torch.arange(first_col, first_col + cols, dtype=torch.float64)
            along = y * cosine + x * sine
            across = slant * (x * cosine - y * sine)
            exponent = (along.square() + across.square()) / (2 * sigma**2)
            if exponent.min() > 60:  # below 1e-26
                continue
            size = torch.exp(-exponent)
            envelope += size
            wave += torch.polar(size, frequency * along)
    mean = wave.sum() / envelope.sum()
    normalisation = 2 * NORMALISATION_PI * sigma**2 / slant
    return torch.fft.fft2(wave - mean * envelope).real / normalisation


def gaussian(length: int, sigma: float) -> Tensor:
    """exp(-x^2 / (2 sigma^2)), periodised."""
    x = torch.arange(-PERIODS * length, (PERIODS + 1) * length, dtype=torch.float64)
    return torch.exp(-x.square() / (2 * sigma**2)).reshape(-1, length).sum(0)


def level_kernel(spectrum: Tensor, level: int) -> Tensor:
    """The kernel in space of the level's low frequencies."""
    return torch.fft.ifft(level_spectrum(spectrum, level, (0,))).real


def level_spectrum(spectrum: Tensor, level: int, dims: tuple[int, ...] = (-2, -1)) -> Tensor:
    """What a filter is on the grid of every 2^level-th place: its low frequencies.

    Of the two highest ones only the negative one remains.
    """
    for dim in dims:
        length = spectrum.shape[dim]
        half = (length >> level) // 2
        spectrum = torch.cat(
            [spectrum.narrow(dim, 0, half), spectrum.narrow(dim, length - half, half)], dim
        )
    return spectrum
