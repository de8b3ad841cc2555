"""Barlow Twins: self-supervised learning by redundancy reduction.

Two random views of every image go through the same network. The cross-correlation matrix of the two
outputs, over the batch, is pushed towards the identity: each output coordinate should not care
which view it sees (diagonal 1), and no two coordinates should say the same (off-diagonal 0).

Source: J. Zbontar, L. Jing, I. Misra, Y. LeCun and S. Deny, arXiv 2103.03230, ICML 2021.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from ipse.data import Batch, ImageData, ViewDistribution, random_view
from ipse.evaluation import Picture, matrices
from ipse.losses import BarlowTwinsLoss
from ipse.training import ConvEncoder, Method, RunConfig, option, projector, warmup_cosine
from ipse.training.randomness import Stream, generator

__all__ = ["BarlowTwins", "BarlowTwinsConfig", "cross_correlation"]

# Shapes, not textures, tell these images apart: the views move and bend them. A mirrored digit is
# another sign, a mirrored shoe is still a shoe.
_VIEWS: Mapping[str, ViewDistribution] = {
    "digits": ViewDistribution(
        zoom=(0.8, 1.25),
        aspect=1.2,
        rotation=15.0,
        shear=10.0,
        shift=0.12,
        contrast=0.4,
        brightness=0.1,
        gamma=1.5,
        noise=0.1,
        erase=0.3,
    ),
    "fashion-mnist": ViewDistribution(
        zoom=(1.0, 1.6),
        aspect=1.2,
        rotation=10.0,
        shift=0.1,
        flip=0.5,
        contrast=0.4,
        brightness=0.2,
        gamma=1.5,
        noise=0.05,
        erase=0.3,
    ),
}


@dataclass(frozen=True, kw_only=True)
class BarlowTwinsConfig(RunConfig):
    """Settings of Barlow Twins, with defaults for small images on a CPU.

    The paper's own, for ImageNet on 32 GPUs, are LARS, batch 2048, dimension 8192 and
    lambda 0.0051; for small data Adam and a lambda near 1 / dimension do better.
    """

    slug: ClassVar[str] = "barlow-twins"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "fashion-mnist": {"epochs": 50, "train_size": 10000}
    }

    epochs: int = option(150, "passes over the training samples", minimum=1)
    dimension: int = option(256, "size of the embedding whose correlation is measured", minimum=1)
    hidden: int = option(256, "width of the projector's hidden layers", minimum=1)
    lambda_param: float | None = option(
        None, "weight of the off-diagonal terms (default: 1 / dimension)", minimum=0
    )
    learning_rate: float = option(2e-3, "Adam's base learning rate", minimum=0)
    weight_decay: float = option(1e-6, "Adam's weight decay", minimum=0)
    warmup: float = option(
        0.1, "part of the steps during which the rate rises", minimum=0, maximum=1
    )

    @property
    def off_diagonal_weight(self) -> float:
        """The lambda that is used."""
        return 1.0 / self.dimension if self.lambda_param is None else self.lambda_param


class BarlowTwins(Method[BarlowTwinsConfig]):
    """The algorithm; see the module's text."""

    title = "Barlow Twins"
    about = (
        "A small network learns from images without labels. It sees two randomly distorted views "
        "of every image and must describe both alike, while no two numbers of its description "
        "may say the same thing. What survives the distortions and is not redundant turns out to "
        "be what the image shows."
    )
    Config = BarlowTwinsConfig

    def build(self, data: ImageData) -> None:
        config = self.config
        side = data.train_images.shape[-1]
        self.encoder = ConvEncoder(data.channels, stem_stride=1 if side <= 16 else 2)
        self.projector = projector(self.encoder.features, config.hidden, config.dimension)
        self.loss: nn.Module = BarlowTwinsLoss(lambda_param=config.off_diagonal_weight)
        self.views = _VIEWS[data.name]
        adam = torch.optim.Adam(
            self.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.optimizers["main"] = adam
        self.schedules["main"] = warmup_cosine(
            adam, self.total_steps, round(config.warmup * self.total_steps)
        )

    def step(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
        # Two passes, not one over both views: BatchNorm must see each view's own statistics.
        z1 = self.embed(random_view(batch.images, self.views, generator))
        z2 = self.embed(random_view(batch.images, self.views, generator))
        loss = self.loss(z1, z2)
        self.minimise(loss)
        return {"loss": loss.detach()}

    def embed(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] to embeddings [N, dimension]."""
        embedding: Tensor = self.projector(self.encoder(images))
        return embedding

    def features(self, images: Tensor) -> Tensor:
        # The projector is thrown away: the layer before it transfers better (the paper, 4.1).
        encoded: Tensor = self.encoder(images)
        return encoded

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
        z1 = self.embed(random_view(images, self.views, source))
        z2 = self.embed(random_view(images, self.views, source))
        return cross_correlation(z1.float(), z2.float()).cpu()


def cross_correlation(z1: Tensor, z2: Tensor) -> Tensor:
    """Correlation [D, D] of every coordinate of z1 with every one of z2, both [N, D].

    The matrix that the loss acts on, as it is looked at: a constant coordinate gives zeros.
    """

    def standardised(z: Tensor) -> Tensor:
        # Not the loss's 1e-5: an untrained network's outputs vary less than that.
        return (z - z.mean(0)) / z.std(0, unbiased=False).clamp_min(1e-12)

    return standardised(z1).T @ standardised(z2) / len(z1)
