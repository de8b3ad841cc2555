"""Images of nothing: random gratings, unlike anything in the data sets."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["textures"]


def textures(count: int, channels: int, side: int, generator: torch.Generator) -> Tensor:
    """Random textures, each the sum of two plane waves and a little noise.

    Args:
        count: Number of images, N.
        channels: Colour channels, C; all get the same texture.
        side: Height and width in pixels.
        generator: Source of all randomness, on the CPU.

    Returns:
        float32 tensor [N, C, side, side] with intensities in [0, 1].

    Raises:
        ValueError: A size is not positive.
    """
    if min(count, channels, side) < 1:
        raise ValueError(
            f"textures: count, channels and side must be at least 1, "
            f"got {count}, {channels} and {side}"
        )
    position = torch.arange(side, dtype=torch.float32) / side
    image = torch.zeros(count, side, side)
    for _ in range(2):
        # 1 to side / 3 periods across the image, in any direction.
        angle, phase, scale = (torch.rand(count, 1, 1, generator=generator) for _ in range(3))
        periods = 1.0 + scale * max(side / 3 - 1, 0.0)
        along = angle.mul(2 * math.pi).cos() * position[:, None]
        across = angle.mul(2 * math.pi).sin() * position
        image += (2 * math.pi * (periods * (along + across) + phase)).sin()
    image += 0.2 * torch.randn(image.shape, generator=generator)
    grey = (0.5 + 0.25 * image).clamp(0.0, 1.0)
    return grey[:, None].repeat(1, channels, 1, 1)
