"""Batch style standardisation: the amplitudes of low frequencies exchanged between images."""

import math

import torch
from torch import Tensor

import ipse.ops  # noqa: F401  # registers torch.ops.ipse.*

__all__ = ["style_amplitude", "style_standardize"]


def _window(function: str, x: Tensor, ratio: float) -> tuple[int, int]:
    """Rows and columns of the window in the half plane; (0, 0) where it is empty."""
    if x.dim() < 3:
        raise ValueError(f"{function}: x must be (N, ..., H, W), got shape {tuple(x.shape)}")
    height, width = x.shape[-2:]
    if height == 0 or width == 0:
        raise ValueError(
            f"{function}: images must have at least one row and one column, "
            f"got shape {tuple(x.shape)}"
        )
    if not 0 <= ratio <= 1:
        raise ValueError(f"{function}: ratio must be between 0 and 1, got {ratio}")
    side = math.sqrt(ratio)
    rows, columns = int(height * side), int(width * side)
    if rows == 0 or columns == 0:
        return 0, 0
    return min(2 * (rows // 2) + 1, height), columns // 2 + 1


def _planes(x: Tensor) -> Tensor:
    return x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:])


def style_amplitude(x: Tensor, ratio: float) -> Tensor:
    """The Fourier amplitudes of every image at its low frequencies: its style.

    For :func:`style_standardize` with a style from elsewhere: another batch, an average, or
    another process (broadcast it, so that all ranks share one style).

    Args:
        x: images (N, C, H, W) or (N, ..., H, W): float32, float64, bfloat16 or float16.
        ratio: area of the window, as for :func:`style_standardize`.

    Returns:
        ``|F|`` of shape (N, C, R, K), the window's part of ``torch.fft.rfft2``'s half plane:
        rows for the frequencies 0 ... a, -a ... -1, columns for 0 ... b. float32 for 16-bit
        images. R and K are 0 where the window is empty. Twice differentiable; where an
        amplitude is 0 its gradient counts as 0.

    Raises:
        ValueError: ``x`` has fewer than three dimensions or empty images, or the ratio is not
            between 0 and 1.
        TypeError: ``x`` is not a dense floating point tensor.

    Memory:
        On the CPU, beside the result, a few planes for each thread.

    Source:
        Scalbert et al., BSS, ICLR 2024 (arXiv 2303.06088), the amplitudes of its algorithm.
    """
    rows, columns = _window("style_amplitude", x, ratio)
    if rows == 0:
        return x.new_zeros((*x.shape[:-2], 0, 0), dtype=torch.promote_types(x.dtype, torch.float32))
    amplitude: Tensor = torch.ops.ipse.style_amplitude(_planes(x), rows, columns)
    return amplitude.view(*x.shape[:-2], rows, columns)


def style_standardize(
    x: Tensor,
    ratio: float,
    style: int | Tensor | None = 0,
    *,
    amplitude: Tensor | None = None,
    clamp: tuple[float, float] | None = None,
    eps: float = 1e-8,
) -> Tensor:
    """Gives all images of a batch the low-frequency amplitudes of one; each keeps its phases.

    Inside a window around the constant, of which the sides are ``sqrt(ratio)`` of the
    spectrum's, ``F`` becomes ``A F / |F|`` with the amplitude ``A`` of the style. Outside it
    nothing changes. The mean of every channel becomes the style's.

    The window is symmetric: ``|k| <= h // 2`` and ``|l| <= w // 2`` with ``h = int(H
    sqrt(ratio))``, ``w = int(W sqrt(ratio))``. For odd h and w that is the usual slice of h x w
    around the centre; for even ones the slice has a frequency ``-h / 2`` without its partner
    ``h / 2``, which halves its effect in the real part, and this window has both.

    Args:
        x: images (N, C, H, W) or (N, ..., H, W), before normalisation: float32, float64,
            bfloat16 or float16. Other layouts than contiguous are copied.
        ratio: area of the window over that of the spectrum, between 0 and 1. A window of less
            than one frequency changes nothing.
        style: index of the image that the whole batch takes its style from, negative ones from
            the end; or (N,) integers, one for each image (Fourier augmentation); or None for
            the mean of all amplitudes of the batch.
        amplitude: styles from elsewhere instead, (1, C, R, K) for all or (N, C, R, K), as
            :func:`style_amplitude` returns them for this ratio.
        clamp: bounds of the result, usually (0, 1); the exchange can leave them. Default: none.
        eps: a frequency whose amplitude is below ``eps * H * W`` has no phase to keep. It
            becomes ``A`` with phase 0, and no gradient flows into it.

    Returns:
        Like ``x``, contiguous. The image that gave the style comes out as it went in, where
        ``eps`` does not interfere. Twice differentiable by ``x``, the style's amplitudes
        included, and by ``amplitude``. 16-bit images are computed in float32. An empty batch
        gives an empty result.

    Raises:
        ValueError: ``x`` has fewer than three dimensions or empty images, the ratio is not
            between 0 and 1, a style is out of range, ``amplitude`` has another shape or device,
            ``clamp`` is empty, or eps is negative.
        TypeError: ``x`` is not a dense floating point tensor, ``style`` not integer, or
            ``amplitude`` not of ``x``'s dtype (float32 for 16-bit images).

    Memory:
        On the CPU, beside the result, some planes for each thread and the style's amplitudes;
        with None or (N,) styles, the amplitudes of all images. Wide windows of large images
        (from a ratio of 0.7 on at 224 pixels, 0.25 at 512) go through ``torch.fft.rfft2``, which
        keeps spectra of the whole batch.

    Source:
        Scalbert et al., BSS, ICLR 2024 (arXiv 2303.06088), its algorithm; with (N,) styles the
        Fourier augmentation of Xu et al., CVPR 2021 (arXiv 2105.11271), as it describes it.
    """
    name = "style_standardize"
    rows, columns = _window(name, x, ratio)
    if clamp is not None and not clamp[0] <= clamp[1]:
        raise ValueError(f"{name}: clamp must be (least, most), got {clamp}")
    chosen = _chosen_style(x, ratio, style) if amplitude is None else amplitude
    if x.shape[0] == 0 or rows == 0:
        standardized = x.clone(memory_format=torch.contiguous_format)
    else:
        each = (*x.shape[1:-2], rows, columns)
        fits = chosen.dim() == x.dim() and tuple(chosen.shape[1:]) == each
        if not (fits and (chosen.shape[0] == 1 or chosen.shape[0] == x.shape[0])):
            raise _wrong_amplitude(each, chosen)
        flat = chosen.reshape(-1, rows, columns)
        standardized = torch.ops.ipse.style_standardize(_planes(x), flat, eps).view(x.shape)
    return standardized if clamp is None else standardized.clamp(*clamp)


def _wrong_amplitude(each: tuple[int, ...], got: Tensor) -> ValueError:
    shape = ", ".join(map(str, each))
    return ValueError(
        f"style_standardize: amplitude must have shape (1, {shape}) or (N, {shape}) for N images, "
        f"got {tuple(got.shape)}"
    )


def _chosen_style(x: Tensor, ratio: float, style: int | Tensor | None) -> Tensor:
    """The amplitudes that ``style`` names."""
    name = "style_standardize"
    count = x.shape[0]
    if style is None:
        return style_amplitude(x, ratio).mean(0, keepdim=True)
    if isinstance(style, Tensor) and style.dim() > 0:
        if style.is_floating_point() or style.is_complex() or style.dtype is torch.bool:
            raise TypeError(f"{name}: style must be integer, got {style.dtype}")
        if tuple(style.shape) != (count,):
            raise ValueError(
                f"{name}: style must be one index or one for each of {count} images, "
                f"got shape {tuple(style.shape)}"
            )
        if count and not (-count <= int(style.min()) and int(style.max()) < count):
            raise ValueError(
                f"{name}: styles must be indices into a batch of {count}, "
                f"got {int(style.min())} to {int(style.max())}"
            )
        return style_amplitude(x, ratio)[style]
    index = int(style)
    if count and not -count <= index < count:
        raise ValueError(f"{name}: style must be an index into a batch of {count}, got {index}")
    index %= max(count, 1)
    return style_amplitude(x[index : index + 1], ratio)
