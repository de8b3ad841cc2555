"""Supervised training of a small network, with augmentation of adjustable strength."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ipse.data import Batch, ImageData, ViewDistribution, random_view, standard_views
from ipse.evaluation import encode_all
from ipse.training import (
    ConvEncoder,
    Method,
    ResidualEncoder,
    RunConfig,
    option,
    warmup_cosine,
)

__all__ = ["Classifier", "ClassifierConfig", "strength"]


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig(RunConfig):
    """Settings of the supervised training."""

    slug: ClassVar[str] = "supervised"

    learning_rate: float = option(3e-3, "AdamW's base learning rate", minimum=0)
    weight_decay: float = option(0.05, "AdamW's weight decay", minimum=0)
    warmup: float = option(
        0.1, "part of the steps during which the rate rises", minimum=0, maximum=1
    )
    label_smoothing: float = option(
        0.1, "part of a label's weight that all classes share", minimum=0, maximum=1
    )


class Classifier(Method[ClassifierConfig]):
    """A convolutional encoder and a linear layer, trained on labels.

    Global average pooling ends the encoder, so images of any size go in.

    Attributes:
        magnitude: Strength of the augmentation, 0 to 10; may be set before every step.
    """

    title = "Supervised"
    about = "A small network learns from labelled images."
    Config = ClassifierConfig
    uses_labels = True
    applies_after_view = True

    def build(self, data: ImageData) -> None:
        config, side = self.config, data.train_images.shape[-1]
        # Full resolution in the first stage: there must be something to save.
        self.encoder: ConvEncoder | ResidualEncoder = (
            ResidualEncoder(data.channels) if side >= 40 else ConvEncoder(data.channels)
        )
        self.head = nn.Linear(self.encoder.features, len(data.classes))
        self.loss = nn.CrossEntropyLoss(label_smoothing=config.label_smoothing)
        self.magnitude = 9.0
        self.mirrored = standard_views(data.name).flip > 0
        adam = torch.optim.AdamW(
            self.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.optimizers["main"] = adam
        self.schedules["main"] = warmup_cosine(
            adam, self.total_steps, round(config.warmup * self.total_steps)
        )

    def step(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
        view = random_view(batch.images, strength(self.magnitude, self.mirrored), generator)
        if self.after_view is not None:
            view = self.after_view(view)
        loss = self.loss(self.logits(view), batch.labels)
        self.minimise(loss)
        return {"loss": loss.detach()}

    def logits(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] to logits [N, classes]."""
        logits: Tensor = self.head(self.encoder(images))
        return logits

    def features(self, images: Tensor) -> Tensor:
        encoded: Tensor = self.encoder(images)
        return encoded

    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """Per cent of the images that are classified right."""
        device = next(self.parameters()).device
        predicted = encode_all(self.logits, images, device).argmax(dim=1)
        return 100 * float((predicted == labels).double().mean())


def strength(magnitude: float, mirrored: bool) -> ViewDistribution:
    """Shifts, rotations and erased rectangles of a magnitude from 0 to 10.

    What RandAugment's magnitude does for photographs, for images of 28 x 28 pixels and fewer.

    Args:
        magnitude: 10 turns by up to 20 degrees, shifts by up to 15 % of the side, and erases a
            rectangle of half of the images.
        mirrored: Whether half of the images are mirrored, at every magnitude.
    """
    level = magnitude / 10
    return ViewDistribution(
        rotation=20 * level, shift=0.15 * level, erase=0.5 * level, flip=0.5 * mirrored
    )
