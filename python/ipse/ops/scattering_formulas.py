"""The scattering transform and its gradient in plain PyTorch, by Fourier transforms.

They serve the devices without a kernel, the gradient and the double backward. The gradient is
written out rather than left to autograd because an operator's kernel runs below autograd.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ipse.ops._registry import COMPUTE_DTYPES
from ipse.ops.scattering_filters import Array, filter_bank, level_frequencies

# |z| has no derivative at 0: it is taken to be z / max(|z|, this).
MODULUS_EPS = 1e-8


@dataclass(frozen=True)
class _Filters:
    """A filter bank in the dtype and on the device of some planes."""

    wavelets: Array
    like: Tensor
    rows: tuple[Tensor, ...]
    cols: tuple[Tensor, ...]

    @staticmethod
    def for_planes(planes: Tensor, scales: int, angles: int) -> "_Filters":
        height, width = (int(side) for side in planes.shape[1:])
        bank = filter_bank(height, width, scales, angles)
        like = planes.new_empty(0)

        def matrices(kernels: tuple[Array, ...]) -> tuple[Tensor, ...]:
            by_level = enumerate(kernels)
            return tuple(_like(like, lowpass_matrix(k, 2 ** (scales - j))) for j, k in by_level)

        rows, cols = matrices(bank.lowpass_rows), matrices(bank.lowpass_cols)
        return _Filters(bank.wavelets, like, rows, cols)

    def smooth(self, u: Tensor, level: int) -> Tensor:
        """u * phi at the output's places."""
        return self.rows[level] @ u @ self.cols[level].T

    def smooth_adjoint(self, grad: Tensor, level: int) -> Tensor:
        return self.rows[level].T @ grad @ self.cols[level]

    def wavelet(self, level: int, scale: int, angle: int) -> Tensor:
        """The spectrum of psi_{scale, angle} for planes of a level."""
        spectrum = self.wavelets[scale, angle]
        frequencies = np.ix_(*(level_frequencies(n, level) for n in spectrum.shape))
        return _like(self.like, spectrum[frequencies])


def _like(like: Tensor, array: Array) -> Tensor:
    return torch.tensor(array, dtype=like.dtype, device=like.device)


def lowpass_matrix(kernel: Array, step: int) -> Array:
    """(n / step - 2, n): circular convolution, every step-th output, without the padding's."""
    places = np.arange(len(kernel))
    return kernel[(places[::step, None] - places) % len(kernel)][1:-1]


def scattering2d(planes: Tensor, scales: int, angles: int, order: int) -> Tensor:
    """(P, C, H / 2^J, W / 2^J) from planes (P, H, W)."""
    planes = planes.to(COMPUTE_DTYPES[planes.dtype])
    filters = _Filters.for_planes(planes, scales, angles)
    padded = reflect_pad(planes, 2**scales)
    spectrum = torch.fft.fft2(padded)
    zeroth, first, second = [filters.smooth(padded, 0)], [], []
    for scale1 in range(scales):
        for angle1 in range(angles):
            z1 = convolve(spectrum, filters.wavelet(0, scale1, angle1), 2**scale1)
            u1 = modulus(z1)
            first.append(filters.smooth(u1, scale1))
            if order == 1 or scale1 + 1 == scales:
                continue
            u1_spectrum = torch.fft.fft2(u1)
            for scale2 in range(scale1 + 1, scales):
                for angle2 in range(angles):
                    wavelet = filters.wavelet(scale1, scale2, angle2)
                    z2 = convolve(u1_spectrum, wavelet, 2 ** (scale2 - scale1))
                    second.append(filters.smooth(modulus(z2), scale2))
    return torch.stack([*zeroth, *first, *second], 1)


def scattering2d_gradient(
    grad: Tensor, planes: Tensor, scales: int, angles: int, order: int
) -> Tensor:
    """(P, H, W): the coefficients' ``grad`` (P, C, H / 2^J, W / 2^J) brought back to the planes."""
    dtype = planes.dtype
    planes = planes.to(COMPUTE_DTYPES[dtype])
    filters = _Filters.for_planes(planes, scales, angles)
    spectrum = torch.fft.fft2(reflect_pad(planes, 2**scales))
    zeroth, *rest = grad.to(planes.dtype).unbind(1)
    first, second = rest[: scales * angles], iter(rest[scales * angles :])
    spectrum_grad = torch.zeros_like(spectrum)
    for scale1 in range(scales):
        for angle1 in range(angles):
            wavelet1 = filters.wavelet(0, scale1, angle1)
            z1 = convolve(spectrum, wavelet1, 2**scale1)
            u1_grad = filters.smooth_adjoint(first[scale1 * angles + angle1], scale1)
            if order == 2 and scale1 + 1 < scales:
                u1_spectrum = torch.fft.fft2(modulus(z1))
                u1_spectrum_grad = torch.zeros_like(u1_spectrum)
                for scale2 in range(scale1 + 1, scales):
                    for angle2 in range(angles):
                        wavelet2 = filters.wavelet(scale1, scale2, angle2)
                        z2 = convolve(u1_spectrum, wavelet2, 2 ** (scale2 - scale1))
                        z2_grad = filters.smooth_adjoint(next(second), scale2) * direction(z2)
                        u1_spectrum_grad = u1_spectrum_grad + convolve_adjoint(z2_grad, wavelet2)
                u1_grad = u1_grad + torch.fft.ifft2(u1_spectrum_grad).real
            z1_grad = u1_grad * direction(z1)
            spectrum_grad = spectrum_grad + convolve_adjoint(z1_grad, wavelet1)
    padded_grad = torch.fft.ifft2(spectrum_grad).real + filters.smooth_adjoint(zeroth, 0)
    return reflect_pad_adjoint(padded_grad, 2**scales).to(dtype)


def _reflected(length: int, pad: int, device: torch.device) -> Tensor:
    """Which element stands where in a padded line; edges are not repeated."""
    places = torch.arange(-pad, length + pad, device=device) % (2 * length - 2)
    return torch.minimum(places, 2 * length - 2 - places)


def reflect_pad(planes: Tensor, pad: int) -> Tensor:
    """Reflection without repeating the edges, as often as the padding needs."""
    for dim in (-2, -1):
        planes = planes.index_select(dim, _reflected(planes.shape[dim], pad, planes.device))
    return planes


def reflect_pad_adjoint(padded: Tensor, pad: int) -> Tensor:
    for dim in (-2, -1):
        shape = list(padded.shape)
        shape[dim] -= 2 * pad
        places = _reflected(shape[dim], pad, padded.device)
        padded = padded.new_zeros(shape).index_add(dim, places, padded)
    return padded


def modulus(z: Tensor) -> Tensor:
    """|z|, never through hypot: as fast as it can be, and as kymatio has it."""
    return (z.real.square() + z.imag.square()).sqrt()


def direction(z: Tensor) -> Tensor:
    """The derivative of |z|: z / max(|z|, eps)."""
    squares = z.real.square() + z.imag.square()
    far = squares > MODULUS_EPS**2
    # not through the root of 0, which would have no derivative itself
    return z / torch.where(far, torch.where(far, squares, 1).sqrt(), MODULUS_EPS)


def convolve(spectrum: Tensor, wavelet: Tensor, step: int) -> Tensor:
    """A plane convolved with a wavelet, every ``step``-th row and column of it."""
    product = spectrum * wavelet
    rows, cols = product.shape[-2:]
    folded = product.unflatten(-1, (step, cols // step)).mean(-2)
    folded = folded.unflatten(-2, (step, rows // step)).mean(-3)
    return torch.fft.ifft2(folded)


def convolve_adjoint(grad: Tensor, wavelet: Tensor) -> Tensor:
    """The gradient by the plane's spectrum, of which the inverse transform is the plane's."""
    spectrum = torch.fft.fft2(grad)
    rows, cols = (
        wide // narrow for wide, narrow in zip(wavelet.shape, grad.shape[-2:], strict=True)
    )
    return spectrum.repeat(*[1] * (grad.dim() - 2), rows, cols) * wavelet
