"""EfficientTrain: low frequencies first, then the whole image, and ever stronger augmentation.

Every epoch shows all images, but at first only an easy part of each: its low frequencies, cropped
out of its spectrum, which also makes it smaller and the step cheaper. The learning rate follows one
cosine over all stages and the optimizer goes on through them. The last stage is at the full size,
so that BatchNorm's running statistics are those of what the network will see.

Source: Y. Wang et al., EfficientTrain, arXiv 2211.09703, ICCV 2023; EfficientTrain++,
arXiv 2405.08768, TPAMI 2024.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from ipse.data import Batch, ImageData
from ipse.evaluation import Picture, Table
from ipse.functional import fourier_crop, lanczos_crop
from ipse.methods._classifier import Classifier, ClassifierConfig
from ipse.methods._wrapped import WrappingMethod, wrapped_config
from ipse.schedules import Schedule, efficienttrain, efficienttrain_plus
from ipse.training import ConfigError, Method, RunConfig, option

__all__ = ["EfficientTrain", "EfficientTrainConfig"]


@dataclass(frozen=True, kw_only=True)
class EfficientTrainConfig(RunConfig):
    """Settings of EfficientTrain, with defaults for supervised training on a CPU.

    For ImageNet the paper trains for 300 epochs with AdamW, batch 4096 and rate 4e-3.
    """

    slug: ClassVar[str] = "efficienttrain"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "fashion-mnist": {"epochs": 10, "train_size": 10000},
        "surgery": {"epochs": 15},
    }

    epochs: int = option(
        30, "passes over the training samples; for et++ the compute of so many", minimum=1
    )
    batch_size: int = option(128, "samples per step", minimum=2)
    base: str | None = option(
        None, "method to train this way, such as barlow-twins (default: supervised training)"
    )
    base_settings: str = option("", "settings of that method, such as dimension=64,hidden=128")
    variant: str = option(
        "et", "stages of equal epochs, or of equal compute", choices=("et", "et++")
    )
    mode: str = option("fourier", "how images are made smaller", choices=("fourier", "lanczos"))
    sizes: str | None = option(
        None, "image size of each stage, such as 14,20,28 (default: the published schedule)"
    )
    multiple_of: int = option(2, "what sizes must be multiples of; a patch size", minimum=1)
    magnitude: float | None = option(
        None,
        "one strength of augmentation throughout (default: grows with the stages)",
        minimum=0,
        maximum=10,
    )
    learning_rate: float = option(3e-3, "AdamW's base rate, of supervised training", minimum=0)
    weight_decay: float = option(0.05, "AdamW's weight decay, of supervised training", minimum=0)
    label_smoothing: float = option(
        0.1, "part of a label's weight that all classes share", minimum=0, maximum=1
    )


class EfficientTrain(WrappingMethod[EfficientTrainConfig]):
    """The curriculum; the learning is done by a supervised learner or by the chosen method.

    Views are made at the full size and then cropped, as in the paper; a method that does not know
    `after_view` is given cropped images. Only supervised training has its augmentation
    strengthened.

    Attributes:
        learner: What learns.
        schedule: Its values `size` and `magnitude` say what is shown.
        size: Size of the images in the present step.
    """

    title = "EfficientTrain"
    about = (
        "A network is shown all images from the start, but first only their low frequencies: "
        "their coarse shapes, in fewer pixels. Such steps are cheap. Towards the end it sees "
        "whole images, more strongly distorted. It arrives where it would have arrived with "
        "whole images throughout, in about two thirds of the time."
    )
    Config = EfficientTrainConfig

    def build(self, data: ImageData) -> None:
        height, width = data.train_images.shape[-2:]
        if height != width:
            raise ConfigError(f"data: efficienttrain needs square images, got {height} x {width}")
        self.size = self.full_size = width
        self.schedule = self.new_schedule()
        self.total_steps = self.schedule.total_steps
        kind, config = self._learner()
        self.adopt(kind(config, data, total_steps=self.total_steps))
        self.uses_labels = self.learner.uses_labels
        self._try_sizes(data)
        if self.config.variant == "et++":
            for schedule in self.schedules.values():
                _follow(schedule, self.schedule)
        self.learner.after_view = self.shrink

    def new_schedule(self) -> Schedule:
        """The schedule of the settings.

        Raises:
            ConfigError: Sizes that cannot be.
        """
        config = self.config
        sizes = None if config.sizes is None else _parse_sizes(config.sizes)
        make = efficienttrain if config.variant == "et" else efficienttrain_plus
        try:
            return make(
                self.full_size,
                config.epochs,
                self.steps_per_epoch,
                sizes=sizes,
                multiple_of=config.multiple_of,
            )
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def _learner(self) -> tuple[type[Method[Any]], RunConfig]:
        config = self.config
        if config.base is not None:
            return wrapped_config(config, config.base, config.base_settings)
        names = [field.name for field in dataclasses.fields(ClassifierConfig)]
        own = {name: value for name, value in config.to_dict().items() if name in names}
        return Classifier, ClassifierConfig(**own)

    @torch.no_grad()
    def _try_sizes(self, data: ImageData) -> None:
        # Better now than hours later.
        training = self.learner.training
        self.learner.eval()
        for size in sorted(set(self.schedule.function("size").values)):  # type: ignore[attr-defined]
            try:
                self.learner.features(torch.zeros(2, data.channels, size, size))
            except (RuntimeError, ValueError) as error:
                reason = str(error).strip().split("\n", maxsplit=1)[0]
                raise ConfigError(
                    f"sizes: the network cannot take {size} x {size} images: {reason}"
                ) from error
        self.learner.train(training)

    def shrink(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] at the present size [N, C, size, size]."""
        crop = fourier_crop if self.config.mode == "fourier" else lanczos_crop
        return crop(images, self.size)

    def step(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
        self.size = self.schedule["size"]
        scalars = {"size": torch.tensor(self.size)}
        if isinstance(self.learner, Classifier):
            given = self.config.magnitude
            self.learner.magnitude = self.schedule["magnitude"] if given is None else given
            scalars["magnitude"] = torch.tensor(self.learner.magnitude)
        if not self.learner.applies_after_view:
            batch = dataclasses.replace(batch, images=self.shrink(batch.images))
        learned = self.learner.step(batch, generator)
        self.schedule.advance()
        return {**learned, **scalars}

    def state(self) -> dict[str, Any]:
        return {**super().state(), "schedule": self.schedule.state_dict()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        super().load_state(state)
        self.schedule.load_state_dict(state["schedule"])

    def pictures(self, untrained: Self, data: ImageData) -> Sequence[Picture]:
        return self.learner.pictures(untrained.learner, data)

    def tables(self, untrained: Self, data: ImageData) -> Sequence[Table]:
        tables = [self.curriculum(), *self.learner.tables(untrained.learner, data)]
        if not isinstance(self.learner, Classifier):
            return tables
        assert isinstance(untrained.learner, Classifier)
        rows = {
            name: {"test accuracy %": learner.accuracy(data.test_images, data.test_labels)}
            for name, learner in (("untrained", untrained.learner), ("trained", self.learner))
        }
        caption = "What the network itself says of test images at the full size."
        return [*tables, Table("classifier", "The classifier's own answers", caption, rows)]

    def curriculum(self) -> Table:
        """What each stage showed, and what it cost."""
        stages: dict[tuple[float, float], dict[str, float]] = {}
        for step in range(self.total_steps):
            shown = self.schedule.at(step)
            strength = (
                shown["magnitude"] if self.config.magnitude is None else self.config.magnitude
            )
            row = stages.setdefault(
                (shown["size"], shown["magnitude"]),
                {"size": shown["size"], "magnitude": strength, "steps": 0, "cost": 0.0},
            )
            row["steps"] += 1
            row["cost"] += (shown["size"] / self.full_size) ** 2 / self.steps_per_epoch
        spent = sum(row["cost"] for row in stages.values())
        caption = (
            f"The stages in their order. Cost is what the steps cost in epochs at the full size, "
            f"if a step costs in proportion to the pixels; all stages together cost {spent:.2f}, "
            f"and {self.total_steps / self.steps_per_epoch:.2f} epochs were run."
        )
        rows = {f"stage {number}": row for number, row in enumerate(stages.values(), 1)}
        return Table("curriculum", "What was shown when", caption, rows)


def _parse_sizes(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"sizes: got {text!r}, must be numbers such as 14,20,28") from error


def _follow(rate: LRScheduler, schedule: Schedule) -> None:
    """Lets a learning rate that is a function of the step follow the schedule's clock instead."""
    if not isinstance(rate, LambdaLR):
        return
    total, clock = schedule.total_steps, schedule.clock

    def at_progress(factor: Callable[[int], float]) -> Callable[[int], float]:
        return lambda step: factor(round(clock.progress(step) * total))

    rate.lr_lambdas = [at_progress(factor) for factor in rate.lr_lambdas]
