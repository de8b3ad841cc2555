"""A universal perturbation: one change of pixels that is made to every image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["UniversalPerturbation", "corner_patch_mask", "random_signs", "require_unit_range"]


@dataclass(frozen=True)
class UniversalPerturbation:
    """What is done to every image; the result stays in [0, 1].

    Attributes:
        delta: float tensor [1, C, H, W]. Added to the image, or, with a mask, put in its place.
        mask: float tensor [1, 1, H, W] of zeros and ones, or None.
        losses: The attack's loss after every epoch of its fit.
    """

    delta: Tensor
    mask: Tensor | None = None
    losses: tuple[float, ...] = ()

    def __call__(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] with intensities in [0, 1], perturbed."""
        delta = self.delta.to(images.device, images.dtype)
        if self.mask is None:
            return (images + delta).clamp(0, 1)
        mask = self.mask.to(images.device, images.dtype)
        return (mask * delta + (1 - mask) * images).clamp(0, 1)


def corner_patch_mask(height: int, width: int, area: float) -> Tensor:
    """[1, 1, H, W]: a square of `area` (a part of the image) near the lower right corner.

    At 64 x 64 and 3 % it has 11 pixels to a side and ends 14 before the corner, as in the paper.

    Raises:
        ValueError: The square has no pixel, or does not fit.
    """
    side = int((area * height * width) ** 0.5)
    bottom, right = height - 14 * height // 64, width - 14 * width // 64
    if not 1 <= side <= min(bottom, right):
        raise ValueError(
            f"corner_patch_mask: area must give a square that fits a {height} x {width} image, "
            f"got {area}, a side of {side}"
        )
    mask = torch.zeros(1, 1, height, width)
    mask[..., bottom - side : bottom, right - side : right] = 1
    return mask


def random_signs(shape: tuple[int, ...], epsilon: float, seed: int) -> UniversalPerturbation:
    """The control of an attack: every pixel moved by `epsilon` up or down, by chance."""
    signs = torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(seed))
    return UniversalPerturbation(epsilon * (2.0 * signs[None] - 1))


def require_unit_range(function: str, images: Tensor) -> None:
    """ValueError unless these are images [N, C, H, W] with intensities in [0, 1], N >= 1."""
    if images.dim() != 4 or len(images) == 0:
        raise ValueError(
            f"{function}: images must be (N, C, H, W) with N >= 1, got {tuple(images.shape)}"
        )
    low, high = images.aminmax()
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"{function}: images must have intensities in [0, 1], "
            f"got {float(low):.4g} to {float(high):.4g}"
        )
