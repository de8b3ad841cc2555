"""Where a universal perturbation comes from: AdvEncoder's generator, or free pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["FreePixels", "PerturbationGenerator"]

NOISE = 100
WIDTHS = (1024, 512, 256, 128)


class PerturbationGenerator(nn.Module):
    """AdvEncoder's generator: fixed noise through transposed convolutions to one image in (-1, 1).

    Noise [M, 100, 1, 1], drawn once, becomes M images [M, C, S, S]; a convolution over the M
    merges them to one. S doubles from 4 with each layer until it covers the image, whose size is
    then cut out of the middle; at 64 x 64 there are four layers of 1024 to 128 channels, as in
    the reference. BatchNorm always uses the batch, which is always the same.

    Args:
        channels, height, width: Of the images.
        samples: M. The reference takes its batch size, 256; its cost grows with M.
        largest: Channels of the widest layer; the others are halved in step.
    """

    noise: Tensor

    def __init__(
        self, channels: int, height: int, width: int, samples: int = 16, largest: int = 1024
    ) -> None:
        super().__init__()
        self.size = height, width
        doublings = max(1, math.ceil(math.log2(max(height, width) / 4)))
        widths = [largest * w // 1024 for w in WIDTHS]
        widths = widths[-doublings:] if doublings <= 4 else [*widths, *widths[-1:] * doublings]
        widths = widths[:doublings]
        layers: list[nn.Module] = [nn.ConvTranspose2d(NOISE, widths[0], 4, bias=False)]
        for inputs, outputs in zip(widths, [*widths[1:], channels], strict=True):
            layers += [
                nn.BatchNorm2d(inputs, track_running_stats=False),
                nn.ReLU(),
                nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False),
            ]
        self.layers = nn.Sequential(*layers, nn.Tanh())
        self.merge = nn.Conv2d(samples, 1, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.ConvTranspose2d | nn.Conv2d):
                nn.init.normal_(module.weight, 0, 0.02)
        self.register_buffer("noise", torch.randn(samples, NOISE, 1, 1))

    def forward(self) -> Tensor:
        """[1, C, H, W]; the merging convolution's output, not bounded."""
        images = self.layers(self.noise).transpose(0, 1)
        merged: Tensor = self.merge(images).transpose(0, 1)
        height, width = self.size
        top, left = (merged.shape[-2] - height) // 2, (merged.shape[-1] - width) // 2
        return merged[..., top : top + height, left : left + width]


class FreePixels(nn.Module):
    """One free number for every pixel, between -1 and 1: the simplest source, and a fast one.

    It starts at the corners of its box, by chance: from zero an attack by small steps comes
    less far.
    """

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        signs = torch.randint(0, 2, (1, channels, height, width))
        self.values = nn.Parameter(2.0 * signs - 1)

    def forward(self) -> Tensor:
        """[1, C, H, W] in [-1, 1]."""
        return self.values.clone()

    @torch.no_grad()
    def descend(self, grad: Tensor, step: float) -> None:
        """Every pixel moves by `step` against the sign of its gradient, and stays in the box."""
        self.values.sub_(step * grad.sign()).clamp_(-1, 1)
