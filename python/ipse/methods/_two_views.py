"""What the methods that compare two views of every image have in common.

Each of them adds its heads and its loss; encoder, views, optimizer, schedule and what is evaluated
are the same, so that differences between their results come from the algorithms.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from ipse.data import ImageData, random_view, standard_views
from ipse.training import Method, RunConfig, option, small_encoder, warmup_cosine

__all__ = ["TwoViewConfig", "TwoViewMethod"]


@dataclass(frozen=True, kw_only=True)
class TwoViewConfig(RunConfig):
    """Settings shared by the two-view methods, with defaults for small images on a CPU."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "fashion-mnist": {"epochs": 50, "train_size": 10000},
        "surgery": {"epochs": 30, "batch_size": 128},
    }

    epochs: int = option(150, "passes over the training samples", minimum=1)
    dimension: int = option(128, "size of the embedding that is compared", minimum=1)
    hidden: int = option(256, "width of the projector's hidden layers", minimum=1)
    learning_rate: float = option(2e-3, "Adam's base learning rate", minimum=0)
    weight_decay: float = option(1e-6, "Adam's weight decay", minimum=0)
    warmup: float = option(
        0.1, "part of the steps during which the rate rises", minimum=0, maximum=1
    )


ConfigT = TypeVar("ConfigT", bound=TwoViewConfig)


class TwoViewMethod(Method[ConfigT]):
    """Encoder, views, Adam with a warm-up and a cosine; a subclass adds heads, loss and step.

    Attributes:
        encoder: What is trained and evaluated.
        views: The distribution of the random views; set it before training to use others.
    """

    applies_after_view = True

    def build(self, data: ImageData) -> None:
        self.encoder = small_encoder(data.channels, side=data.train_images.shape[-1])
        self.views = standard_views(data.name)
        self.build_heads()
        # Networks that are only averaged, not trained, have no gradient and stay out.
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        config = self.config
        adam = torch.optim.Adam(trained, lr=config.learning_rate, weight_decay=config.weight_decay)
        self.optimizers["main"] = adam
        self.schedules["main"] = warmup_cosine(
            adam, self.total_steps, round(config.warmup * self.total_steps)
        )

    @abstractmethod
    def build_heads(self) -> None:
        """Creates everything that stands on the encoder: heads, averaged networks, loss."""

    @property
    def steps_done(self) -> int:
        """Steps before this one. The schedule counts them, so a checkpoint knows them too."""
        return self.schedules["main"].last_epoch

    def two_views(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Two independent random views of every image, shaped as `images` unless `after_view`
        shapes them otherwise."""
        first = self.view(images, generator)
        return first, self.view(images, generator)

    def view(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """A random view of every image, as the networks get it."""
        view = random_view(images, self.views, generator)
        return view if self.after_view is None else self.after_view(view)

    def features(self, images: Tensor) -> Tensor:
        # The heads are thrown away: the layer before them transfers better.
        encoded: Tensor = self.encoder(images)
        return encoded
