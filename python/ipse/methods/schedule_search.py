"""Greedy search for EfficientTrain's sizes on one's own data: `ipse search-schedule`.

Every schedule is tried by a training on a part of the training samples; the accuracy on the others
decides. Test samples are never looked at.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ipse import data as datasets
from ipse.data import ImageData
from ipse.evaluation import extract, score
from ipse.methods._classifier import Classifier
from ipse.methods.efficienttrain import EfficientTrain, EfficientTrainConfig
from ipse.schedules import SearchResult, fixed_compute_search, greedy_search, scaled_sizes
from ipse.training import ConfigError, option
from ipse.training.device import launcher
from ipse.training.randomness import Stream, generator, seeded

__all__ = ["ScheduleSearchConfig", "search_schedule", "split_validation", "train_and_score"]


@dataclass(frozen=True, kw_only=True)
class ScheduleSearchConfig(EfficientTrainConfig):
    """Settings of the search, and of the trainings that it compares.

    `variant` decides what is searched for: `et` the cheapest schedule that keeps the accuracy,
    `et++` the most accurate one for the compute.
    """

    stages: int = option(5, "number of stages", minimum=1)
    candidates: str | None = option(
        None, "sizes to choose from (default: 96, 128, 160, 192 and 224 of 224)"
    )
    tolerance: float = option(
        0.0, "points of accuracy below the baseline that count as kept", minimum=0
    )
    validation: float = option(
        0.2, "part of the training samples that judge", minimum=0.01, maximum=0.9
    )
    memory: str = option("schedule-search.json", "file of what was tried; a search goes on from it")


def search_schedule(
    config: ScheduleSearchConfig, report: Callable[[str], None] | None = None
) -> SearchResult:
    """Searches for the sizes of EfficientTrain's stages.

    Args:
        config: The settings; `sizes` must not be among them.
        report: Called with a line for each schedule looked at.

    Returns:
        The sizes found; `--sizes` of `ipse run efficienttrain` takes them.

    Raises:
        ConfigError: Settings that do not fit, or a memory file of another search.
        DataError: As `ipse.data.load`.
    """
    if config.sizes is not None:
        raise ConfigError(f"sizes: got {config.sizes}, but they are what is searched for")
    data = datasets.load(config.data, config.root, config.train_size, config.test_size)
    split = split_validation(data, config.validation, config.seed)
    names = EfficientTrainConfig.defaults()
    own = {name: value for name, value in config.to_dict().items() if name in names}

    def evaluate(sizes: Sequence[int]) -> float:
        own["sizes"] = ",".join(map(str, sizes))
        return train_and_score(EfficientTrainConfig(**own), split)

    search = fixed_compute_search if config.variant == "et++" else greedy_search
    extra = {} if config.variant == "et++" else {"tolerance": config.tolerance}
    try:
        return search(
            evaluate,
            _candidates(config, data),
            config.stages,
            memory=Path(config.memory),
            label=_label(config),
            report=report,
            **extra,
        )
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(str(error)) from error


def train_and_score(config: EfficientTrainConfig, data: ImageData) -> float:
    """Trains without a run folder; the accuracy on the test part, in per cent.

    Of supervised training it is the network's own, of other methods that of a linear probe on the
    features.
    """
    method = EfficientTrain(config, data)
    fabric = launcher(config)
    method.attach(fabric)
    method.train()
    device = fabric.device
    with seeded(config.seed, Stream.PREPARE, device=device):
        method.prepare(data)
    for number in range(method.total_steps):
        epoch, step = divmod(number, method.steps_per_epoch)
        if step == 0:
            order = method.order(epoch)
        indices = order[step * config.batch_size : (step + 1) * config.batch_size]
        with seeded(config.seed, Stream.MODULES, epoch, step, device):
            method.step(
                data.batch(indices, device),
                generator(config.seed, Stream.STEP, epoch, step, device),
            )
    method.eval()
    if isinstance(method.learner, Classifier):
        return method.learner.accuracy(data.test_images, data.test_labels)
    return score(extract(method.features, data, device), data).linear


def split_validation(data: ImageData, part: float, seed: int) -> ImageData:
    """The data set with a random part of its training samples in place of the test samples."""
    count = len(data.train_images)
    held = max(1, round(part * count))
    order = torch.randperm(count, generator=generator(seed, Stream.PREPARE))
    judges, rest = order[:held].sort().values, order[held:].sort().values
    return replace(
        data,
        train_images=data.train_images[rest],
        train_labels=data.train_labels[rest],
        test_images=data.train_images[judges],
        test_labels=data.train_labels[judges],
    )


def _candidates(config: ScheduleSearchConfig, data: ImageData) -> list[int]:
    full = data.train_images.shape[-1]
    if config.candidates is None:
        return scaled_sizes(full, multiple_of=config.multiple_of)
    try:
        sizes = [int(word) for word in config.candidates.split(",")]
    except ValueError:
        sizes = []
    if not sizes or max(sizes) != full:
        raise ConfigError(
            f"candidates: got {config.candidates!r}, must be numbers such as 20,24,{full}, "
            f"the largest the full size"
        )
    return sizes


def _label(config: ScheduleSearchConfig) -> str:
    """What an accuracy depends on: everything but where and how the search looks."""
    apart = {"out", "root", "memory", "candidates", "tolerance", "stages", "sizes", "device"}
    apart |= {"checkpoint_seconds"}
    values = dataclasses.asdict(config)
    return json.dumps({name: values[name] for name in sorted(values) if name not in apart})
