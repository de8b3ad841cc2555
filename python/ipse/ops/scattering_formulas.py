"""The scattering transform in plain, differentiable PyTorch.

It serves the devices without a kernel, the gradient and the double backward.
"""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from ipse.ops._registry import COMPUTE_DTYPES
from ipse.ops.scattering_filters import filter_bank, level_spectrum

# |z| has no derivative at 0: it is taken to be z / max(|z|, this).
MODULUS_EPS = 1e-8


def scattering2d(planes: Tensor, scales: int, angles: int, order: int) -> Tensor:
    """(P, C, H / 2^J, W / 2^J) from planes (P, H, W), by Fourier transforms."""
    planes = planes.to(COMPUTE_DTYPES[planes.dtype])
    bank = filter_bank(planes.shape[1], planes.shape[2], scales, angles)
    wavelets = bank.wavelets.to(planes)
    lowpass = [
        (rows.to(planes), cols.to(planes))
        for rows, cols in zip(bank.lowpass_rows, bank.lowpass_cols, strict=True)
    ]

    def smooth(modulus: Tensor, level: int) -> Tensor:
        rows, cols = lowpass[level]
        step = 2 ** (scales - level)
        smoothed = _circulant(rows, step) @ modulus @ _circulant(cols, step).T
        return smoothed[..., 1:-1, 1:-1]

    padded = reflect_pad(planes, 2**scales)
    spectrum = torch.fft.fft2(padded)
    zeroth, first, second = [smooth(padded, 0)], [], []
    for scale1 in range(scales):
        for angle1 in range(angles):
            u1 = modulus(_convolve(spectrum, wavelets[scale1, angle1], 2**scale1))
            first.append(smooth(u1, scale1))
            if order == 2 and scale1 + 1 < scales:
                u1_spectrum = torch.fft.fft2(u1)
            for scale2 in range(scale1 + 1, scales) if order == 2 else ():
                for angle2 in range(angles):
                    wavelet = level_spectrum(wavelets[scale2, angle2], scale1)
                    u2 = modulus(_convolve(u1_spectrum, wavelet, 2 ** (scale2 - scale1)))
                    second.append(smooth(u2, scale2))
    return torch.stack([*zeroth, *first, *second], 1)


def reflect_pad(planes: Tensor, pad: int) -> Tensor:
    """Reflection without repeating the edges; as wide as the plane itself, too."""
    height, width = planes.shape[-2:]
    # torch refuses a reflection of the whole length; there the last step turns around again.
    inner = min(pad, height - 1), min(pad, width - 1)
    padded = F.pad(planes, (inner[1], inner[1], inner[0], inner[0]), mode="reflect")
    for dim, missing in ((-2, pad - inner[0]), (-1, pad - inner[1])):
        for _ in range(missing):
            length = padded.shape[dim]
            before = padded.narrow(dim, 1 % length, 1)
            after = padded.narrow(dim, max(length - 2, 0), 1)
            padded = torch.cat([before, padded, after], dim)
    return padded


def modulus(z: Tensor) -> Tensor:
    """|z| with the derivative z / max(|z|, eps)."""
    squares = z.real.square() + z.imag.square()
    far = squares > MODULUS_EPS**2
    size = torch.where(far, squares, 1).sqrt()
    # Near zero: the value of |z| with the derivative of the parabola.
    parabola = squares / (2 * MODULUS_EPS)
    near = parabola + (squares.sqrt() - parabola).detach()
    return torch.where(far, size, near)


def _convolve(spectrum: Tensor, wavelet: Tensor, step: int) -> Tensor:
    """The plane convolved with the wavelet, every ``step``-th row and column of it."""
    product = spectrum * wavelet
    rows, cols = product.shape[-2:]
    folded = product.unflatten(-1, (step, cols // step)).mean(-2)
    folded = folded.unflatten(-2, (step, rows // step)).mean(-3)
    return torch.fft.ifft2(folded)


def _circulant(kernel: Tensor, step: int) -> Tensor:
    """(n / step, n): circular convolution with a kernel of length n, every step-th output."""
    places = torch.arange(len(kernel), device=kernel.device)
    return kernel[(places[::step, None] - places) % len(kernel)]
