"""Smaller images: the low-frequency crop of their spectrum, and the antialiased Lanczos resize."""

from collections.abc import Sequence

import torch
from torch import Tensor

import ipse.ops  # noqa: F401  # registers torch.ops.ipse.*

__all__ = ["fourier_crop", "lanczos_crop"]

Size = int | Sequence[int]
PerChannel = float | Sequence[float] | Tensor


def fourier_crop(
    x: Tensor,
    size: Size,
    *,
    mean: PerChannel | None = None,
    std: PerChannel | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Resizes images by keeping the lowest frequencies of their spectrum (EfficientTrain).

    Along an axis of n values that becomes one of B < n, the kept frequencies are
    -b..b-1 for B = 2b, as in the released code (of the result the real part is taken, Nyquist
    terms included), and the symmetric -b..b for B = 2b + 1. (The released code rounds an odd B
    down to the even size below.) An axis that keeps its size is left alone. The mean
    of each channel stays, frequencies above the kept ones have no influence at all, and the
    result may overshoot the range of the input.

    Computed as ``R_H x R_W^T`` less one checkerboard for each channel where both sizes are even.

    Args:
        x: images (N, C, H, W), or any (..., H, W): float32, float64, bfloat16, float16 or uint8.
            Any strides; contiguous and channels_last input is read in place.
        size: of the result, one number for both sides or (height, width); each at least 1 and
            at most that of the input.
        mean: subtracted first, as by ``torchvision.transforms.Normalize``: a number or one for
            each channel (axis -3). Default: 0. A constant: no gradient flows into it.
        std: divides ``x - mean``; like ``mean``, nonzero. Default: 1.
        dtype: of the result. Default: that of x, float32 for uint8. uint8 images count as
            x / 255: conversion, normalisation and crop are one pass.

    Returns:
        (..., height, width), channels_last where x is. 16-bit input is computed in
        float32. Where nothing is to be done x itself is returned. An empty batch gives an
        empty batch. Differentiable as often as wanted, unless x is uint8. Autocast does not
        change the dtype.

    Raises:
        ValueError: x has less than 2 dimensions, a size is below 1 or above the input's,
            ``mean`` or ``std`` do not fit the channels or a ``std`` is 0.
        TypeError: x is complex, an integer other than uint8 or not dense; size is not
            one or two integers.

    Memory:
        For each thread a few planes (some hundred KB at 224 x 224). The axes' operators, about
        H B / 4 values, are kept for later calls: at most 64 of them and 64 MiB.

    Source:
        Wang et al., EfficientTrain, ICCV 2023 (arXiv 2211.09703), section 4.1.
    """
    return _crop("fourier_crop", x, size, mean, std, dtype)


def lanczos_crop(
    x: Tensor,
    size: Size,
    *,
    mean: PerChannel | None = None,
    std: PerChannel | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Resizes images to a smaller size by the antialiased Lanczos-3 filter (EfficientTrain++).

    Equal to Pillow's ``resize(..., LANCZOS)`` of floating point images: windows of three lobes
    of the smaller grid to each side, weights normalised at the border. The cheap surrogate of
    :func:`fourier_crop`; frequencies just above the kept ones are damped, not removed.

    Args:
        x: images (N, C, H, W), or any (..., H, W); see :func:`fourier_crop`.
        size: of the result, one number for both sides or (height, width); each at least 1 and
            at most that of the input.
        mean: subtracted first; see :func:`fourier_crop`.
        std: divides ``x - mean``.
        dtype: of the result. Default: that of x, float32 for uint8, which counts as x / 255.

    Returns:
        (..., height, width); as :func:`fourier_crop` in all respects.

    Raises:
        ValueError: as :func:`fourier_crop`.
        TypeError: as :func:`fourier_crop`.

    Memory:
        For each thread a few planes; operators are narrow bands, kept like those of
        :func:`fourier_crop`.

    Source:
        Wang et al., EfficientTrain++, TPAMI 2024 (arXiv 2405.08768); the filter is Pillow's.
    """
    return _crop("lanczos_crop", x, size, mean, std, dtype)


def _crop(
    name: str,
    x: Tensor,
    size: Size,
    mean: PerChannel | None,
    std: PerChannel | None,
    dtype: torch.dtype | None,
) -> Tensor:
    if x.dim() < 2:
        raise ValueError(f"{name}: x must be (..., H, W), got shape {tuple(x.shape)}")
    height, width = _sides(name, size)
    whole = x.dtype is torch.uint8
    if dtype is None:
        dtype = torch.float32 if whole else x.dtype
    scale, shift = _affine(name, x, mean, std, 255.0 if whole else 1.0)
    same_size = (height, width) == (x.shape[-2], x.shape[-1])
    if same_size and scale is None and x.is_floating_point() and dtype is x.dtype:
        return x
    crop = getattr(torch.ops.ipse, name)
    if scale is None or x.dim() > 2:
        result: Tensor = crop(x, height, width, scale, shift, dtype)
        return result
    single: Tensor = crop(x[None], height, width, scale, shift, dtype)
    return single[0]


def _sides(name: str, size: Size) -> tuple[int, int]:
    sides = tuple(size) if isinstance(size, Sequence) else (size, size)
    if len(sides) != 2 or not all(isinstance(side, int | torch.SymInt) for side in sides):
        raise TypeError(f"{name}: size must be an integer or (height, width), got {size!r}")
    return sides[0], sides[1]


def _affine(
    name: str, x: Tensor, mean: PerChannel | None, std: PerChannel | None, whole: float
) -> tuple[Tensor | None, Tensor | None]:
    """scale and shift with ``scale * x + shift == (x / whole - mean) / std``, one per channel."""
    if mean is None and std is None and whole == 1.0:
        return None, None
    channels = x.shape[-3] if x.dim() > 2 else 1
    subtracted = _per_channel(name, "mean", 0.0 if mean is None else mean, channels)
    divisor = _per_channel(name, "std", 1.0 if std is None else std, channels)
    if not torch.compiler.is_compiling() and bool((divisor == 0).any()):
        raise ValueError(f"{name}: std must not be 0, got {std}")
    scale = 1.0 / divisor
    return scale / whole, None if mean is None else -subtracted * scale


def _per_channel(name: str, argument: str, value: PerChannel, channels: int) -> Tensor:
    """(C,) float64 on the CPU, where the operators read it."""
    values = torch.as_tensor(value, dtype=torch.float64, device="cpu").detach()
    if values.numel() not in (1, channels):
        raise ValueError(
            f"{name}: {argument} must be a number or one for each of {channels} channels, "
            f"got shape {tuple(values.shape)}"
        )
    return values.reshape(-1).expand(channels)
