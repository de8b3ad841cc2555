"""iSogCLR: contrastive learning in which every training sample has a temperature of its own.

The temperature of a contrastive loss decides how much the hardest negatives count. A sample of a
common kind has many near relatives among its negatives, which should not be pushed away hard; a
rare one has few. Here each sample finds its temperature by itself, as the solution of

    min over tau of  tau * log mean_j exp((s_ij - s_i+) / tau) + rho * tau,

the robust loss over all weightings of its negatives within a KL distance rho of the uniform one.
At the optimum every sample's softmax over its negatives has that same distance, and so the same
perplexity. rho is the one knob.

Source: Z.-H. Qiu, Q. Hu, Z. Yuan, D. Zhou, L. Zhang and T. Yang, Not All Semantics are Created
Equal: Contrastive Self-supervised Learning with Automatic Temperature Individualization, arXiv
2305.11965, ICML 2023.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from ipse.data import Batch, ImageData
from ipse.evaluation import Picture, spreads
from ipse.losses import ISogCLRLoss
from ipse.methods._two_views import TwoViewConfig, TwoViewMethod
from ipse.training import ConfigError, option, projector

__all__ = ["ISogCLR", "ISogCLRConfig"]


@dataclass(frozen=True, kw_only=True)
class ISogCLRConfig(TwoViewConfig):
    """Settings of iSogCLR, with defaults for small images on a CPU.

    rho, gamma, beta and eta are those of the authors' CIFAR recipe.

    Raises:
        ConfigError: No temperature can reach `rho` with this batch size, or the temperatures'
            range is empty or does not hold the first one.
    """

    slug: ClassVar[str] = "isogclr"

    batch_size: int = option(128, "samples per step", minimum=2)
    rho: float = option(
        0.4, "KL distance from uniform that the weights of all negatives are given", minimum=0
    )
    tau_init: float = option(0.2, "every sample's first temperature", minimum=1e-3)
    tau_min: float = option(0.05, "smallest temperature", minimum=1e-3)
    tau_max: float = option(1.0, "largest temperature", minimum=1e-3)
    gamma: float = option(
        0.8, "weight of this step in a sample's average over its negatives", minimum=1e-3, maximum=1
    )
    beta: float = option(0.5, "weight of this step in tau's momentum", minimum=1e-3, maximum=1)
    eta: float = option(0.03, "step size of the temperatures", minimum=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.tau_min <= self.tau_init <= self.tau_max:
            raise ConfigError(
                f"tau_init: got {self.tau_init}, must be from tau_min {self.tau_min} "
                f"to tau_max {self.tau_max}"
            )
        # No weights over 2B - 2 negatives are further from uniform than all on one.
        furthest = math.log(max(1, 2 * self.batch_size - 2))
        if self.rho >= furthest:
            raise ConfigError(
                f"rho: got {self.rho}, must be below log(2 * batch_size - 2) = {furthest:.2f}; "
                f"every temperature would sink to tau_min"
            )


class ISogCLR(TwoViewMethod[ISogCLRConfig]):
    """The algorithm; see the module's text.

    Attributes:
        loss: Holds every sample's temperature, `loss.tau`, by its index in the training part.
    """

    title = "iSogCLR"
    about = (
        "A small network learns from images without labels. It sees two randomly distorted views "
        "of every image and must place them close together, and far from all other images. How "
        "much the most similar of the others count is a temperature, and here every image learns "
        "its own: images of a common kind, which have many near relatives, come to push them "
        "away less."
    )
    Config = ISogCLRConfig

    def build_heads(self) -> None:
        config = self.config
        self.projector = projector(self.encoder.features, config.hidden, config.dimension)
        self.loss = ISogCLRLoss(
            self.samples,
            rho=config.rho,
            bsz=config.batch_size,
            tau_init=config.tau_init,
            tau_min=config.tau_min,
            tau_max=config.tau_max,
            gamma=config.gamma,
            beta_u=config.beta,
            eta_init=config.eta,
        )

    def step(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
        view1, view2 = self.two_views(batch.images, generator)
        # Two passes, not one over both views: BatchNorm must see each view's own statistics.
        loss = self.loss(batch.indices, self.embed(view1), self.embed(view2))
        self.minimise(loss)
        return {"loss": loss.detach(), "temperature": self.loss.tau[batch.indices].mean()}

    def embed(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] to embeddings [N, dimension]; the loss normalises them."""
        embedding: Tensor = self.projector(self.encoder(images))
        return embedding

    def pictures(self, untrained: Self, data: ImageData) -> Sequence[Picture]:
        tau = self.loss.tau.cpu()
        groups = {name: tau[data.train_labels == index] for index, name in enumerate(data.classes)}
        return [
            Picture(
                name="temperatures",
                title="The temperature of every sample",
                caption="The temperatures that the training images have found, grouped by their "
                "true class, which training never saw. A box holds the middle half of a class, "
                "its line the median. A high temperature means that the image has many similar "
                "ones and pushes them away gently; a low one, that it stands alone.",
                figure=spreads(groups, "temperature"),
            )
        ]
