"""Small networks for small images: what a laptop can pre-train in a minute."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor, nn

__all__ = ["ConvEncoder", "frozen_copy", "projector"]

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class ConvEncoder(nn.Module):
    """A plain convolutional encoder: [N, C, H, W] to [N, features].

    Each stage is 3 x 3 convolution, BatchNorm, ReLU, and halves the image; the first only if
    `stem_stride` is 2. Global average pooling ends it, so any image size works. With the default
    widths it has about 93 thousand parameters.

    Args:
        channels: Colour channels of the input.
        widths: Channels of each stage; the last is the size of the feature vector.
        stem_stride: Stride of the first stage: 1 for tiny images, 2 for larger ones, where the
            full-size maps would cost most of the time and the network would see too little
            of the image at once.
    """

    def __init__(
        self, channels: int = 1, widths: Sequence[int] = (32, 64, 128), stem_stride: int = 1
    ) -> None:
        super().__init__()
        self.features = widths[-1]
        stages: list[nn.Module] = []
        for index, width in enumerate(widths):
            stride = stem_stride if index == 0 else 2
            stages += [
                nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            channels = width
        self.stages = nn.Sequential(*stages)

    def forward(self, images: Tensor) -> Tensor:
        """Encodes float images [N, C, H, W] as features [N, features]."""
        pooled: Tensor = self.stages(images).mean(dim=(2, 3))
        return pooled


def projector(features: int, hidden: int, output: int) -> nn.Sequential:
    """Three-layer projector [N, features] to [N, output], as in Barlow Twins and VICReg.

    Linear, BatchNorm, ReLU twice, then a last Linear; no biases, as each is followed by a
    normalisation (the last one by the loss's own).
    """
    return nn.Sequential(
        nn.Linear(features, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, output, bias=False),
    )


def frozen_copy(module: ModuleT) -> ModuleT:
    """A copy of `module` that no optimizer trains: where a moving average of it starts."""
    return copy.deepcopy(module).requires_grad_(False)
