"""SimCLR: each view of an image must find the image's other view among all views of the batch.

Source: T. Chen, S. Kornblith, M. Norouzi and G. Hinton, A Simple Framework for Contrastive Learning
of Visual Representations, arXiv 2002.05709, ICML 2020.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ipse.data import Batch
from ipse.losses import NTXentLoss
from ipse.methods._two_views import TwoViewConfig, TwoViewMethod
from ipse.training import option, projector

__all__ = ["SimCLR", "SimCLRConfig"]


@dataclass(frozen=True, kw_only=True)
class SimCLRConfig(TwoViewConfig):
    """Settings of SimCLR, with defaults for small images on a CPU.

    The paper's own, for ImageNet, are LARS, batch 4096, dimension 128 and temperature 0.1; for
    CIFAR-10 it uses temperature 0.5.
    """

    slug: ClassVar[str] = "simclr"

    temperature: float = option(
        0.5, "divides the similarities; smaller weighs the hardest negatives more", minimum=1e-3
    )


class SimCLR(TwoViewMethod[SimCLRConfig]):
    """The algorithm; see the module's text."""

    title = "SimCLR"
    about = (
        "A small network learns from images without labels. It sees two randomly distorted views "
        "of every image and must place them close together, and far from the views of all other "
        "images in the batch. To tell the images apart however they are distorted, it has to "
        "notice what they show."
    )
    Config = SimCLRConfig

    def build_heads(self) -> None:
        config = self.config
        self.projector = projector(self.encoder.features, config.hidden, config.dimension)
        self.loss = NTXentLoss(temperature=config.temperature)

    def step(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
        view1, view2 = self.two_views(batch.images, generator)
        # Two passes, not one over both views: BatchNorm must see each view's own statistics.
        loss = self.loss(self.embed(view1), self.embed(view2))
        self.minimise(loss)
        return {"loss": loss.detach()}

    def embed(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] to embeddings [N, dimension]; the loss normalises them."""
        embedding: Tensor = self.projector(self.encoder(images))
        return embedding
