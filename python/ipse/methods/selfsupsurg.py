"""SelfSupSurg: one recipe for surgical video, under each of four self-supervised losses.

The study's finding: SimCLR, MoCo v2, SwAV and DINO transfer badly to surgery with the recipes made
for photographs, and well with crops that keep most of the picture, no change of hue, much erasing,
and frames of one video kept apart in time. What is compared here is exactly that; the study also
starts from ImageNet-supervised weights and trains with LARC, for which these networks are too
small: they start from random weights and use Adam.

Source: S. Ramesh et al., Dissecting Self-Supervised Learning Methods for Surgical Computer Vision,
arXiv 2207.00449, Medical Image Analysis 2023.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from ipse.data import (
    GENERIC_VIEWS,
    Batch,
    ImageData,
    VideoData,
    draw_videos,
    spaced_order,
    standard_views,
)
from ipse.evaluation import Table, encode_all, linear_probe, video_macro_f1
from ipse.methods._two_views import TwoViewConfig, TwoViewMethod
from ipse.methods._wrapped import WrappingMethod
from ipse.methods.dino import DINO
from ipse.methods.moco import MoCo
from ipse.methods.simclr import SimCLR
from ipse.methods.swav import SwAV
from ipse.training import ConfigError, option
from ipse.training.randomness import Stream, generator

__all__ = ["SelfSupSurg", "SelfSupSurgConfig"]

_LEARNERS: Mapping[str, type[TwoViewMethod[Any]]] = {
    "simclr": SimCLR,
    "moco": MoCo,
    "swav": SwAV,
    "dino": DINO,
}
# The study's temperature for SimCLR; the other losses' own defaults are its settings or suit runs
# of this size.
_SETTINGS: Mapping[str, Mapping[str, Any]] = {"simclr": {"temperature": 0.1}}


@dataclass(frozen=True, kw_only=True)
class SelfSupSurgConfig(TwoViewConfig):
    """Settings of SelfSupSurg, with defaults for the small procedural videos on a CPU.

    The loss's own settings are those of the method of its name, whose Config lists them.
    """

    slug: ClassVar[str] = "selfsupsurg"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    data: str = option("surgery", "videos to learn from", choices=("surgery",))
    epochs: int = option(20, "passes over the training frames", minimum=1)
    batch_size: int = option(128, "frames per step", minimum=2)
    loss: str = option("simclr", "which method's loss", choices=tuple(_LEARNERS))
    recipe: str = option(
        "domain", "random views: the surgical ones or ImageNet's", choices=("domain", "generic")
    )
    min_gap: int = option(
        5, "least distance in time, in frames, of two frames of a video in a batch", minimum=1
    )


class SelfSupSurg(WrappingMethod[SelfSupSurgConfig]):
    """The recipe; the learning is done by the method of the chosen loss."""

    title = "SelfSupSurg"
    about = (
        "A small network learns from the frames of surgery-like videos without labels, by one of "
        "four losses. Two views of a frame keep most of the picture and all of its colours, since "
        "instruments come in at the border and are told apart by colour; frames that are "
        "neighbours in time are kept out of one batch. Which phase of the operation a frame shows "
        "can then be learned from very few labelled videos."
    )
    Config = SelfSupSurgConfig
    applies_after_view = True

    def build(self, data: ImageData) -> None:
        if not isinstance(data, VideoData):
            raise ConfigError(f"data: selfsupsurg needs videos, got {data.name}")
        config = self.config
        if config.min_gap > self.steps_per_epoch:
            raise ConfigError(
                f"min_gap: got {config.min_gap}, must be at most the {self.steps_per_epoch} "
                f"batches of an epoch"
            )
        self.videos = data.train_videos
        kind = _LEARNERS[config.loss]
        names = [field.name for field in dataclasses.fields(TwoViewConfig)]
        shared = {name: getattr(config, name) for name in names}
        own = kind.Config.create(**shared, **_SETTINGS.get(config.loss, {}))
        learner = kind(own, data, total_steps=self.total_steps)
        domain = config.recipe == "domain"
        learner.views = standard_views("surgery") if domain else GENERIC_VIEWS
        self.adopt(learner)

    def order(self, epoch: int) -> Tensor:
        config = self.config
        source = generator(config.seed, Stream.ORDER, epoch)
        return spaced_order(self.videos, config.batch_size, config.min_gap, source)

    def step(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
        self.learner.after_view = self.after_view
        return self.learner.step(batch, generator)

    def tables(self, untrained: Self, data: ImageData) -> Sequence[Table]:
        assert isinstance(data, VideoData)
        everything = len(data.train_videos.unique())
        numbers = sorted({min(count, everything) for count in (2, 5, everything)})
        rows = {"untrained encoder": untrained, "trained encoder": self}
        return [
            Table(
                name="phase_f1",
                title="Phases recognised, by number of labelled videos",
                caption="Macro F1 of each frame's phase, in per cent, averaged over the test "
                "videos; a phase that a video does not have is left out of that video's mean. A "
                "linear classifier on frozen features saw the labels of so many whole videos. "
                "What pre-training is for is the first column, where labels are few.",
                rows={
                    name: {f"{n} videos": method.phase_f1(data, n) for n in numbers}
                    for name, method in rows.items()
                },
            )
        ]

    @torch.no_grad()
    def phase_f1(self, data: VideoData, labelled_videos: int) -> float:
        """Macro F1 by video of a linear classifier on features of some labelled videos."""
        device = next(self.parameters()).device
        chosen = draw_videos(data.train_videos, labelled_videos, self.config.seed)
        known = encode_all(self.features, data.train_images[chosen], device)
        asked = encode_all(self.features, data.test_images, device)
        predicted = linear_probe(known, data.train_labels[chosen], asked)
        return video_macro_f1(predicted, data.test_labels, data.test_videos)
