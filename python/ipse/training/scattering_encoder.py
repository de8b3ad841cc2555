"""An encoder for little data: fixed wavelet scattering, then a small trained residual network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ipse.nn import Scattering2d

__all__ = ["ResidualAdapter", "ScatteringEncoder"]


class ScatteringEncoder(nn.Module):
    """Scattering coefficients through a residual adapter: [N, C, H, W] to [N, features].

    Only the adapter is trained. Images whose sides are not multiples of 2^scales are framed with
    zeros until they are.

    Args:
        channels: Colour channels of the input.
        side: Height and width of the images.
        scales: Scattering scales; the adapter sees maps 2^scales times smaller than the image.
        angles: Scattering angles.
        widths: Channels of each of the adapter's residual blocks.

    Raises:
        ValueError: The maps would be smaller than one pixel.
    """

    def __init__(
        self,
        channels: int = 1,
        side: int = 32,
        scales: int = 2,
        angles: int = 8,
        widths: Sequence[int] = (32, 32, 32, 32),
    ) -> None:
        super().__init__()
        if 2**scales > side:
            raise ValueError(
                f"ScatteringEncoder: 2^scales must be no more than the images' side {side}, "
                f"got scales = {scales}"
            )
        self.scattering = Scattering2d(scales, angles)
        self.adapter = ResidualAdapter(channels * self.scattering.coefficients, widths)
        self.features = self.adapter.features

    def forward(self, images: Tensor) -> Tensor:
        """Encodes float images [N, C, H, W] as features [N, features]."""
        encoded: Tensor = self.adapter(self.scattering(self.framed(images)))
        return encoded

    def framed(self, images: Tensor) -> Tensor:
        """The images with a frame of zeros that makes both sides multiples of 2^scales."""
        step = 2**self.scattering.scales
        frame = []
        for side in (images.shape[3], images.shape[2]):
            missing = -side % step
            frame += [missing // 2, missing - missing // 2]
        return F.pad(images, frame) if any(frame) else images


class ResidualAdapter(nn.Module):
    """Residual blocks at one resolution: maps [N, C, H, W] to features [N, features].

    A 3 x 3 convolution with BatchNorm, which brings coefficients of very different size to one
    scale, the blocks, and averages over a 4 x 4 grid of places, so that the features still know
    where something was.

    Args:
        channels: Channels of the maps.
        widths: Channels of each block; 16 times the last is the size of the feature vector.
    """

    grid = 4

    def __init__(self, channels: int, widths: Sequence[int] = (32, 32, 32, 32)) -> None:
        super().__init__()
        self.features = widths[-1] * self.grid**2
        inputs = [widths[0], *widths[:-1]]
        self.stem = nn.Sequential(
            nn.Conv2d(channels, widths[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        )
        blocks = [_Block(*sizes) for sizes in zip(inputs, widths, strict=True)]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, maps: Tensor) -> Tensor:
        """Encodes maps [N, C, H, W] as features [N, features]."""
        pooled: Tensor = F.adaptive_avg_pool2d(self.blocks(self.stem(maps)), self.grid)
        return torch.flatten(pooled, 1)


class _Block(nn.Module):
    """Two convolutions and a way around them, which only a change of width makes a third."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.around: nn.Module = nn.Identity()
        if inputs != outputs:
            convolution = nn.Conv2d(inputs, outputs, 1, bias=False)
            self.around = nn.Sequential(convolution, nn.BatchNorm2d(outputs))

    def forward(self, maps: Tensor) -> Tensor:
        out: Tensor = F.relu(self.body(maps) + self.around(maps))
        return out
