"""What operators on planes (P, H, W) share: checks, the way into the core, the choice of path."""

import math
from typing import Any

import torch
from torch import Tensor

from ipse.ops._checks import check_float
from ipse.ops._registry import to_numpy


def check_planes(function: str, argument: str, planes: Tensor) -> None:
    """Raises TypeError or ValueError unless ``planes`` is a dense float tensor (P, H, W)."""
    check_float(function, argument, planes)
    if planes.dim() != 3:
        raise ValueError(
            f"{function}: {argument} must be (P, H, W), got shape {tuple(planes.shape)}"
        )
    if planes.shape[1] < 1 or planes.shape[2] < 1:
        raise ValueError(
            f"{function}: {argument} must have at least one row and one column, "
            f"got shape {tuple(planes.shape)}"
        )


def lines_of(planes: Tensor) -> Any:
    """The planes' rows one below the other, as the core takes them."""
    return to_numpy(planes.contiguous().view(-1, planes.shape[-1]))


# Multiplications for each pixel, over log2 of the pixels, from which on a fast transform of the
# whole plane takes less time than the core's products, measured for styles at 224 to 1024
# pixels: there at 0.96 x with 29 and at 1.08 x with 21, at 0.82 x with 19 and at 1.26 x with 19.
WIDE = 22.0


def is_wide(planes: Tensor, rows: int, columns: int) -> bool:
    """Whether a window of frequencies |k| < rows, |l| < columns is left to ``torch.fft``."""
    height, width = planes.shape[1:]
    products = rows * (height / 2) * width + 2 * rows * columns * (width / 2)
    return 4 * products > WIDE * height * width * math.log2(max(2, height * width))


def like(x: Tensor) -> Tensor:
    """Room for a result of the same shape, in C order."""
    return torch.empty_like(x, memory_format=torch.contiguous_format)
