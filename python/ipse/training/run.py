"""A run from start to end: data, training, evaluation, report."""

from __future__ import annotations

import dataclasses
import json
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ipse import data as datasets
from ipse.data import ImageData
from ipse.evaluation import (
    Picture,
    Result,
    Scores,
    embedding,
    extract,
    loss_curve,
    png,
    raw_pixels,
    render_report,
    score,
)
from ipse.training.config import ConfigError, RunConfig
from ipse.training.device import launcher
from ipse.training.errors import Interrupted, RunError
from ipse.training.folder import RunFolder, require_free
from ipse.training.interrupt import StopSignal
from ipse.training.loop import Loop
from ipse.training.method import Method
from ipse.training.progress import Progress, SilentProgress
from ipse.training.versions import versions

__all__ = ["command_for", "continue_run", "start_run", "stored_config"]


def start_run(
    method: type[Method[Any]], config: RunConfig, progress: Progress | None = None
) -> Result:
    """Trains, evaluates and reports, in a new run folder.

    Args:
        method: The method's class.
        config: An instance of its `Config`.
        progress: What to report to; default: nothing is shown.

    Raises:
        ConfigError, DataError, RunError: With one line that says what is wrong. If that is found
            before the first checkpoint, no folder is left.
        Interrupted: A signal came; the folder can be resumed.
    """
    progress = progress or SilentProgress()
    out = None if config.out is None else Path(config.out)
    if out is not None:
        require_free(out)
    data, loop = _prepare(method, config)
    described = {
        "method": config.slug,
        "config": config.to_dict(),
        "command": command_for(config),
        "versions": versions(),
        "threads": torch.get_num_threads(),
    }
    folder = RunFolder.create(out, f"{config.slug}-{config.data}", described, loop.checkpoint())
    try:
        return _finish(folder, method, data, loop, progress)
    except Exception:
        if loop.step == 0:  # it never worked: leave nothing that looks like a run
            folder.remove()
        raise


def continue_run(
    method: type[Method[Any]],
    path: Path,
    root: str | None = None,
    progress: Progress | None = None,
) -> Result:
    """Continues a run from its last checkpoint; a finished run's result is only read.

    Args:
        method: The class of the method that made the run.
        path: The run folder.
        root: Where the data lies now, if elsewhere than at the start.
        progress: As for `start_run`.

    Raises:
        As `start_run`; RunError also for a damaged folder or checkpoint.
    """
    progress = progress or SilentProgress()
    folder, config = stored_config(method, path)
    if folder.result_file.exists():
        progress.message(f"{path} is already finished")
        return _stored_result(folder)
    checkpoint = folder.checkpoint()
    if checkpoint.slug != config.slug or checkpoint.config != config.to_dict():
        raise RunError(f"{folder.checkpoint_file}: made with other settings than config.json has")
    if root is not None:
        config = dataclasses.replace(config, root=root)
    data, loop = _prepare(method, config)
    loop.restore(checkpoint)
    if checkpoint.threads != torch.get_num_threads():
        progress.message(
            f"note: begun with {checkpoint.threads} threads, now {torch.get_num_threads()}; "
            f"sums may round differently"
        )
    progress.message(f"continuing {path} after step {checkpoint.step} of {loop.method.total_steps}")
    return _finish(folder, method, data, loop, progress)


def stored_config(method: type[Method[Any]], path: Path) -> tuple[RunFolder, RunConfig]:
    """Opens a run folder and rebuilds its configuration.

    Raises:
        RunError: No run folder, one of another method, or one with damaged settings.
    """
    folder = RunFolder.open(path)
    content = folder.config()
    slug = method.Config.slug
    if content.get("method") != slug:
        raise RunError(f"resume: {path} is a run of {content.get('method')!r}, not of {slug!r}")
    try:
        return folder, method.Config.create(**content["config"])
    except ConfigError as error:
        raise RunError(f"{folder.config_file}: {error}") from error


def command_for(config: RunConfig) -> str:
    """The shell command that makes the same run: only what differs from the defaults."""
    usual = type(config).create(data=config.data).to_dict()
    usual["data"] = type(config).defaults()["data"]
    words = ["ipse", "run", config.slug]
    for name, value in config.to_dict().items():
        if value != usual[name] and name not in ("out", "checkpoint_seconds"):
            flag = name.replace("_", "-")
            words += (
                [f"--{flag}" if value else f"--no-{flag}"]
                if isinstance(value, bool)
                else [
                    f"--{flag}",
                    str(value),
                ]
            )
    return shlex.join(words)


def _prepare(method: type[Method[Any]], config: RunConfig) -> tuple[ImageData, Loop]:
    data = datasets.load(config.data, config.root, config.train_size, config.test_size)
    return data, Loop(method(config, data), data, launcher(config))


def _finish(
    folder: RunFolder,
    method: type[Method[Any]],
    data: ImageData,
    loop: Loop,
    progress: Progress,
) -> Result:
    try:
        with StopSignal() as stop:
            loop.run(folder, stop, progress)
            return _conclude(folder, method, data, loop, progress)
    except Interrupted as stopped:
        stopped.folder = folder.path
        raise


def _conclude(
    folder: RunFolder,
    method: type[Method[Any]],
    data: ImageData,
    loop: Loop,
    progress: Progress,
) -> Result:
    """Everything after training; it can be repeated any number of times."""
    begun = time.monotonic()
    progress.message("evaluating")
    scores, pictures = _evaluate(method, data, loop, folder)
    metrics = folder.metrics()
    last = [row["loss"] for row in metrics if row["epoch"] == loop.method.config.epochs]
    result = Result(
        slug=loop.method.config.slug,
        data=data.name,
        scores=scores,
        final_loss=sum(last) / len(last),
        steps=loop.step,
        train_seconds=loop.seconds,
        evaluation_seconds=time.monotonic() - begun,
        folder=folder.path,
        report=folder.report_file,
    )
    _write_report(folder, loop.method, result, pictures, data)
    return result


def _evaluate(
    method: type[Method[Any]], data: ImageData, loop: Loop, folder: RunFolder
) -> tuple[dict[str, Scores], list[Picture]]:
    trained, config = loop.method, loop.method.config
    # Built from the same seed: exactly the network that training started from.
    untrained = method(config, data)
    untrained.attach(launcher(config))
    trained.eval()
    untrained.eval()
    before = extract(untrained.features, data, loop.device)
    after = extract(trained.features, data, loop.device)
    scores = {
        "raw pixels": score(raw_pixels(data), data),
        "untrained encoder": score(before, data),
        "trained encoder": score(after, data),
    }
    panels = {"before training": before.test, "after training": after.test}
    pictures = [
        Picture(
            name="loss",
            title="Loss during training",
            caption="The quantity that training makes smaller. Falling and then level means that "
            "training has run its course; still falling at the end means that more epochs would "
            "probably help. The absolute value depends on the settings and says little.",
            figure=loss_curve(folder.metrics()),
        ),
        Picture(
            name="embedding",
            title="Where the test images lie",
            caption="Each dot is one test image, placed by t-SNE so that images with similar "
            "features come close together. Colours are the true classes, which training never "
            "saw. Separate islands of one colour are what good features look like. Distances "
            "between islands and the axes themselves mean nothing.",
            figure=embedding(panels, data.test_labels, data.classes, config.seed),
        ),
        *trained.pictures(untrained, data),
    ]
    return scores, pictures


def _write_report(
    folder: RunFolder,
    method: Method[Any],
    result: Result,
    pictures: Sequence[Picture],
    data: ImageData,
) -> None:
    images = [(picture, png(picture.figure)) for picture in pictures]
    for picture, content in images:
        folder.write(f"{picture.name}.png", content)
    report = render_report(
        title=method.title,
        about=method.about,
        result=result,
        data=data,
        images=images,
        settings=_settings(method.config),
        described=folder.config(),
    )
    folder.write("report.html", report)
    # Last of all: its presence says that the run is finished.
    folder.write("result.json", json.dumps(result.to_dict(), indent=2) + "\n")


def _settings(config: RunConfig) -> list[tuple[str, str, str]]:
    """Name, value and meaning of every setting."""
    values = config.to_dict()
    return [
        (field.name, str(values[field.name]), str(field.metadata["help"]))
        for field in dataclasses.fields(config)
    ]


def _stored_result(folder: RunFolder) -> Result:
    try:
        content = json.loads(folder.result_file.read_text())
        return Result.from_dict(content, folder.path, folder.report_file)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{folder.result_file}: damaged: {error}") from error
