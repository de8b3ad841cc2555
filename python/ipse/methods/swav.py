"""SwAV: each view must foresee which prototypes the image's other view is assigned to.

The assignments, called codes, are the batch's cheapest transport to equally popular prototypes, so
not all images can fall to one of them. This file is the two-view form; the paper adds small extra
crops.

Source: M. Caron, I. Misra, J. Mairal, P. Goyal, P. Bojanowski and A. Joulin, Unsupervised Learning
of Visual Features by Contrasting Cluster Assignments, arXiv 2006.09882, NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ipse.data import Batch
from ipse.losses import SwaVLoss
from ipse.methods._two_views import TwoViewConfig, TwoViewMethod
from ipse.nn import Prototypes
from ipse.training import option, projector

__all__ = ["SwAV", "SwAVConfig"]


@dataclass(frozen=True, kw_only=True)
class SwAVConfig(TwoViewConfig):
    """Settings of SwAV, with defaults for small images on a CPU.

    The paper's own, for ImageNet, are LARS, batch 4096, 3000 prototypes that are frozen for the
    first epoch. The frozen steps are given as a part of the run, since a fixed number would be all
    of a short one.
    """

    slug: ClassVar[str] = "swav"

    prototypes: int = option(64, "number of prototypes; at most the batch size", minimum=2)
    temperature: float = option(0.1, "divides the scores that foresee the codes", minimum=1e-3)
    epsilon: float = option(0.05, "softness of the codes", minimum=1e-3)
    frozen: float = option(
        0.02, "part of the steps at the start during which prototypes stay", minimum=0, maximum=1
    )


class SwAV(TwoViewMethod[SwAVConfig]):
    """The algorithm; see the module's text."""

    title = "SwAV"
    about = (
        "A small network learns from images without labels. It keeps a set of prototypes and "
        "shares the images of a batch out among them evenly. From one distorted view of an image "
        "it must tell which prototypes the other view goes to; images that look alike come to "
        "share prototypes."
    )
    Config = SwAVConfig

    def build_heads(self) -> None:
        config = self.config
        self.projector = projector(self.encoder.features, config.hidden, config.dimension)
        self.prototypes = Prototypes(config.dimension, config.prototypes)
        self.loss = SwaVLoss(config.temperature, sinkhorn_epsilon=config.epsilon)

    def step(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
        view1, view2 = self.two_views(batch.images, generator)
        # At first the features are noise, and prototypes that follow them would all meet.
        self.prototypes.requires_grad_(self.steps_done >= self.config.frozen * self.total_steps)
        loss = self.loss([self.scores(view1), self.scores(view2)], []).squeeze()
        self.minimise(loss)
        self.prototypes.normalize()
        return {"loss": loss.detach()}

    def scores(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] to cosines with the prototypes [N, prototypes]."""
        scores: Tensor = self.prototypes(self.projector(self.encoder(images)))
        return scores
