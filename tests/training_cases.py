"""A method as small as they come, and the loop and folder of a run of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from ipse.data import Batch, ImageData
from ipse.training import (
    Loop,
    Method,
    RunConfig,
    RunFolder,
    option,
    warmup_cosine,
)
from ipse.training.device import launcher


@dataclass(frozen=True, kw_only=True)
class LineConfig(RunConfig):
    slug: ClassVar[str] = "line"
    presets: ClassVar = {"fashion-mnist": {"epochs": 7}}

    epochs: int = option(3, "passes", minimum=1)
    rate: float = option(0.1, "learning rate", minimum=0, maximum=10)
    shuffle_more: bool = option(False, "a switch")


class Line(Method[LineConfig]):
    """Fits one linear layer to random projections: the smallest thing with all moving parts."""

    title = "Line"
    about = "A test."
    Config = LineConfig

    def build(self, data: ImageData) -> None:
        self.layer = torch.nn.Sequential(torch.nn.Linear(16, 4), torch.nn.Dropout(0.5))
        sgd = torch.optim.SGD(self.parameters(), lr=self.config.rate, momentum=0.9)
        self.optimizers["main"] = sgd
        self.schedules["main"] = warmup_cosine(sgd, self.total_steps, 2)

    def step(self, batch: Batch, generator: torch.Generator) -> Mapping[str, torch.Tensor]:
        noise = torch.randn(batch.images.shape, generator=generator)
        loss = self.features(batch.images + noise).square().mean()
        self.minimise(loss)
        return {"loss": loss.detach(), "first_index": batch.indices[0]}

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images.flatten(1))


def made_up_data() -> ImageData:
    images = torch.randn(40, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(40) % 2
    return ImageData("made-up", images, labels, images[:10], labels[:10], ("even", "odd"))


def new_loop(data: ImageData, **changes: object) -> Loop:
    config = LineConfig.create(batch_size=8, device="cpu", **changes)
    return Loop(Line(config, data), data, launcher(config))


def new_folder(path: Path, loop: Loop) -> RunFolder:
    config = {"method": "line", "config": loop.method.config.to_dict()}
    return RunFolder.create(path, "line", config, loop.checkpoint())
