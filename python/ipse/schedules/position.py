"""Tables of positions, brought to another resolution: a ViT's, a Swin's, and sin-cos ones."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["resample_grid", "resample_position_table", "resample_relative_bias", "sincos_table"]


def resample_grid(grid: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Resamples a grid of vectors, bilinear, `align_corners=False`.

    Args:
        grid: float tensor [H, W, D].
        size: New height and width; an int is both.

    Returns:
        Tensor [h, w, D] of the same type; the grid itself if it has this size.
    """
    if grid.ndim != 3 or not grid.is_floating_point():
        raise ValueError(
            f"resample_grid: grid must be a float tensor [H, W, D], "
            f"got {grid.dtype} {list(grid.shape)}"
        )
    wanted = (size, size) if isinstance(size, int) else tuple(size)
    if min(wanted) < 1:
        raise ValueError(f"resample_grid: size must be at least 1, got {size}")
    if tuple(grid.shape[:2]) == wanted:
        return grid
    planes = grid.permute(2, 0, 1)[None]
    resampled = F.interpolate(planes, wanted, mode="bilinear", align_corners=False)
    return resampled[0].permute(1, 2, 0)


def resample_position_table(table: Tensor, size: int, *, prefix_tokens: int = 1) -> Tensor:
    """A ViT's learned position table for another grid of patches.

    Args:
        table: float tensor [1, T + G * G, D] or [T + G * G, D].
        size: Patches along a side of the new grid: image size / patch size.
        prefix_tokens: T, tokens that have no place in the image, such as the class token; their
            rows are copied.

    Returns:
        Tensor [1, T + size * size, D], or without the leading 1, as it came.

    Raises:
        ValueError: The other rows are not those of a square grid.

    Source: EfficientTrain's released code, for DeiT.
    """
    if table.ndim not in (2, 3) or (table.ndim == 3 and table.shape[0] != 1):
        raise ValueError(
            f"resample_position_table: table must be of shape [1, N, D] or [N, D], "
            f"got {list(table.shape)}"
        )
    rows = table[0] if table.ndim == 3 else table
    prefix, patches = rows[:prefix_tokens], rows[prefix_tokens:]
    side = _side("resample_position_table", len(patches), prefix_tokens)
    grid = resample_grid(patches.reshape(side, side, -1), size)
    resampled = torch.cat([prefix, grid.reshape(size * size, -1)])
    return resampled[None] if table.ndim == 3 else resampled


def resample_relative_bias(table: Tensor, window: int) -> Tensor:
    """A Swin's relative-position-bias table for another window.

    The indices into the table and the attention masks follow from the window: rebuild them, do not
    carry them over.

    Args:
        table: float tensor [(2w - 1)^2, heads].
        window: The new window's side.

    Returns:
        Tensor [(2 window - 1)^2, heads].

    Raises:
        ValueError: The rows are not those of a square.

    Source: EfficientTrain's released code, for Swin.
    """
    if table.ndim != 2 or window < 1:
        raise ValueError(
            f"resample_relative_bias: table must be of shape [(2w - 1)^2, heads] and window at "
            f"least 1, got {list(table.shape)} and {window}"
        )
    side = _side("resample_relative_bias", len(table), 0)
    length = 2 * window - 1
    grid = resample_grid(table.reshape(side, side, -1), length)
    return grid.reshape(length * length, -1)


def sincos_table(
    size: int, dimension: int, *, prefix_tokens: int = 1, dtype: torch.dtype = torch.float32
) -> Tensor:
    """MAE's fixed position table: generated for each grid, not resampled.

    Args:
        size: Patches along a side of the grid.
        dimension: D, a multiple of 4.
        prefix_tokens: Rows of zeros before the grid's.
        dtype: Of the result; it is computed in float64.

    Returns:
        Tensor [prefix_tokens + size * size, D]: for each patch, row by row, the sine and cosine of
        its column at D / 4 frequencies, then those of its row.

    Raises:
        ValueError: `dimension` is not a multiple of 4, or `size` not at least 1.

    Source: K. He et al., Masked Autoencoders, arXiv 2111.06377, its released code.
    """
    if dimension < 4 or dimension % 4 or size < 1:
        raise ValueError(
            f"sincos_table: dimension must be a multiple of 4 and size at least 1, "
            f"got {dimension} and {size}"
        )
    quarter = torch.arange(dimension // 4, dtype=torch.float64) / (dimension / 4)
    angle = torch.arange(size, dtype=torch.float64)[:, None] * 10000.0**-quarter
    waves = torch.cat([angle.sin(), angle.cos()], dim=1)
    across = waves[None].expand(size, size, -1)
    down = waves[:, None].expand(size, size, -1)
    grid = torch.cat([across, down], dim=2).reshape(size * size, dimension)
    return torch.cat([grid.new_zeros(prefix_tokens, dimension), grid]).to(dtype)


def _side(caller: str, rows: int, prefix_tokens: int) -> int:
    side = math.isqrt(max(rows, 0))
    if side == 0 or side * side != rows:
        raise ValueError(
            f"{caller}: table must have a square number of rows"
            f"{f' after {prefix_tokens} prefix tokens' if prefix_tokens else ''}, got {rows}"
        )
    return side
