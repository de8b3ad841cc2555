"""Mixed Barlow Twins: mixed images keep Barlow Twins from overfitting in long training.

Beside the two views of every image the network sees a third, the weighted mean of one image's first
view and another's second. What it makes of the mix must correlate with the views as the same mean
of the two images' own embeddings does: blending pixels should blend features. Barlow Twins alone
never compares one image with another and starts to memorise them when it trains for long.

Source: W. G. C. Bandara, C. M. De Melo and V. M. Patel, arXiv 2312.02151.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ipse.data import Batch
from ipse.functional import mixed_correlation_penalty
from ipse.losses import MixedBarlowTwinsLoss
from ipse.methods.barlow_twins import BarlowTwins, BarlowTwinsConfig
from ipse.training import option

__all__ = ["MixedBarlowTwins", "MixedBarlowTwinsConfig", "mix_images"]


@dataclass(frozen=True, kw_only=True)
class MixedBarlowTwinsConfig(BarlowTwinsConfig):
    """Settings of Mixed Barlow Twins: those of Barlow Twins, and the penalty's weight.

    The paper's own for small images are Adam, batch 256, dimension 1024, lambda 1 / 128 and 2000
    epochs.
    """

    slug: ClassVar[str] = "mixed-barlow-twins"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "fashion-mnist": {"epochs": 40, "train_size": 10000}
    }

    regularization: float = option(
        4.0, "weight of the penalty on mixed samples, times lambda", minimum=0
    )


class MixedBarlowTwins(BarlowTwins):
    """The algorithm; see the module's text."""

    title = "Mixed Barlow Twins"
    about = (
        "A small network learns from images without labels, as in Barlow Twins: it must describe "
        "two distorted views of an image alike, and no two numbers of its description may say the "
        "same thing. Here it also sees blends of two images, and its description of a blend must "
        "lie between those of the two. That keeps it from learning the training images by heart."
    )
    Config = MixedBarlowTwinsConfig
    config: MixedBarlowTwinsConfig

    def build_heads(self) -> None:
        super().build_heads()
        self.loss = MixedBarlowTwinsLoss(
            self.config.off_diagonal_weight, self.config.regularization
        )

    def step(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
        view1, view2 = self.two_views(batch.images, generator)
        mixed, permutation, weight = mix_images(view1, view2, generator)
        # Three passes, not one: BatchNorm must see each kind of image's own statistics.
        z1, z2, z_mixed = self.embed(view1), self.embed(view2), self.embed(mixed)
        loss = self.loss(z1, z2, z_mixed, permutation, weight)
        self.minimise(loss)
        with torch.no_grad():
            penalty = mixed_correlation_penalty(z1, z2, z_mixed, permutation, weight)
        return {"loss": loss.detach(), "penalty": penalty}


def mix_images(
    view1: Tensor, view2: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Blends every first view with the second view of a random other image of the batch.

    Args:
        view1, view2: images (N, C, H, W).
        generator: Source of the randomness, on the images' device.

    Returns:
        ``weight view1 + (1 - weight) view2[permutation]``, the permutation (N,), and the weight,
        one number for the whole batch, uniform in [0, 1] (Beta(1, 1) in the paper).
    """
    device = view1.device
    weight = torch.rand((), generator=generator, device=device)
    permutation = torch.randperm(len(view1), generator=generator, device=device)
    return weight * view1 + (1 - weight) * view2[permutation], permutation, weight
