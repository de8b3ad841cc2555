"""Barlow Twins: self-supervised learning by redundancy reduction.

Two random views of every image go through the same network. The cross-correlation matrix of the two
outputs, over the batch, is pushed towards the identity: each output coordinate should not care
which view it sees (diagonal 1), and no two coordinates should say the same (off-diagonal 0).

Source: J. Zbontar, L. Jing, I. Misra, Y. LeCun and S. Deny, arXiv 2103.03230, ICML 2021.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from ipse.data import Batch, ImageData
from ipse.evaluation import Picture, matrices
from ipse.losses import BarlowTwinsLoss
from ipse.methods._two_views import TwoViewConfig, TwoViewMethod
from ipse.training import option, projector
from ipse.training.randomness import Stream, generator

__all__ = ["BarlowTwins", "BarlowTwinsConfig", "cross_correlation"]


@dataclass(frozen=True, kw_only=True)
class BarlowTwinsConfig(TwoViewConfig):
    """Settings of Barlow Twins, with defaults for small images on a CPU.

    The paper's own, for ImageNet on 32 GPUs, are LARS, batch 2048, dimension 8192 and
    lambda 0.0051; for small data Adam and a lambda near 1 / dimension do better.
    """

    slug: ClassVar[str] = "barlow-twins"

    dimension: int = option(256, "size of the embedding whose correlation is measured", minimum=1)
    lambda_param: float | None = option(
        None, "weight of the off-diagonal terms (default: 1 / dimension)", minimum=0
    )

    @property
    def off_diagonal_weight(self) -> float:
        """The lambda that is used."""
        return 1.0 / self.dimension if self.lambda_param is None else self.lambda_param


class BarlowTwins(TwoViewMethod[BarlowTwinsConfig]):
    """The algorithm; see the module's text."""

    title = "Barlow Twins"
    about = (
        "A small network learns from images without labels. It sees two randomly distorted views "
        "of every image and must describe both alike, while no two numbers of its description "
        "may say the same thing. What survives the distortions and is not redundant turns out to "
        "be what the image shows."
    )
    Config = BarlowTwinsConfig

    def build_heads(self) -> None:
        config = self.config
        self.projector = projector(self.encoder.features, config.hidden, config.dimension)
        self.loss: nn.Module = BarlowTwinsLoss(lambda_param=config.off_diagonal_weight)

    def step(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
        view1, view2 = self.two_views(batch.images, generator)
        # Two passes, not one over both views: BatchNorm must see each view's own statistics.
        loss = self.loss(self.embed(view1), self.embed(view2))
        self.minimise(loss)
        return {"loss": loss.detach()}

    def embed(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] to embeddings [N, dimension]."""
        embedding: Tensor = self.projector(self.encoder(images))
        return embedding

    def pictures(self, untrained: Self, data: ImageData) -> Sequence[Picture]:
        panels = {
            "before training": untrained.correlation_on(data.test_images),
            "after training": self.correlation_on(data.test_images),
        }
        return [
            Picture(
                name="cross-correlation",
                title="Cross-correlation of the two views",
                caption="Each cell tells how strongly one embedding coordinate of the first view "
                "goes along with one coordinate of the second, over the test images. Training "
                "pushes the matrix towards a red diagonal (a coordinate agrees with itself "
                "whichever view it sees) on white (coordinates do not repeat each other). Red and "
                "blue off the diagonal is redundancy.",
                figure=matrices(panels),
            )
        ]

    @torch.no_grad()
    def correlation_on(self, images: Tensor) -> Tensor:
        """Cross-correlation [dimension, dimension] of two random views, on the CPU."""
        device = next(self.parameters()).device
        source = generator(self.config.seed, Stream.PICTURES, device=device)
        images = images[:2000].to(device)
        view1, view2 = self.two_views(images, source)
        z1, z2 = self.embed(view1), self.embed(view2)
        return cross_correlation(z1.float(), z2.float()).cpu()


def cross_correlation(z1: Tensor, z2: Tensor) -> Tensor:
    """Correlation [D, D] of every coordinate of z1 with every one of z2, both [N, D].

    The matrix that the loss acts on, as it is looked at: a constant coordinate gives zeros.
    """

    def standardised(z: Tensor) -> Tensor:
        # Not the loss's 1e-5: an untrained network's outputs vary less than that.
        return (z - z.mean(0)) / z.std(0, unbiased=False).clamp_min(1e-12)

    return standardised(z1).T @ standardised(z2) / len(z1)
