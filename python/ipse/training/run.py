"""A run from start to end, and its continuation."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import torch

from ipse import data as datasets
from ipse.data import ImageData
from ipse.evaluation import Result
from ipse.training.conclude import conclude, stored_result
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
        ConfigError, DataError, RunError: With one line that says what is wrong. If not even one
            step was done, no folder is left.
        Interrupted: A signal came; its `folder` can be resumed, if there is one yet.
    """
    progress = progress or SilentProgress()
    out = None if config.out is None else Path(config.out)
    if out is not None:
        require_free(out)
    with StopSignal() as stop:
        data, loop = _prepare(method, config, config.root)
        described = {
            "method": config.slug,
            "config": config.to_dict(),
            "command": command_for(config),
            "versions": versions(),
            "threads": torch.get_num_threads(),
        }
        name = f"{config.slug}-{config.data}"
        folder = RunFolder.create(out, name, described, loop.checkpoint())
        try:
            with folder.locked():
                return _finish(folder, method, data, loop, stop, progress)
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
        As `start_run`; RunError also for a damaged folder or checkpoint, and for one that
        another process is at work on.
    """
    progress = progress or SilentProgress()
    folder, config = stored_config(method, path)
    with folder.locked(), StopSignal() as stop:
        if folder.result_file.exists():
            progress.message(f"{path} is already finished")
            return stored_result(folder)
        checkpoint = folder.checkpoint()
        if checkpoint.slug != config.slug or checkpoint.config != config.to_dict():
            raise RunError(f"{folder.checkpoint_file}: made with other settings than config.json")
        data, loop = _prepare(method, config, root or config.root)
        loop.restore(checkpoint)
        if checkpoint.threads != torch.get_num_threads():
            progress.message(
                f"note: begun with {checkpoint.threads} threads, now {torch.get_num_threads()}; "
                f"sums may round differently"
            )
        progress.message(f"continuing after step {loop.step} of {loop.method.total_steps}")
        return _finish(folder, method, data, loop, stop, progress)


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
        if value == usual[name] or name in ("out", "checkpoint_seconds"):
            continue
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", str(value)]
    return shlex.join(words)


def _prepare(
    method: type[Method[Any]], config: RunConfig, root: str | None
) -> tuple[ImageData, Loop]:
    data = datasets.load(config.data, root, config.train_size, config.test_size)
    return data, Loop(method(config, data), data, launcher(config))


def _finish(
    folder: RunFolder,
    method: type[Method[Any]],
    data: ImageData,
    loop: Loop,
    stop: StopSignal,
    progress: Progress,
) -> Result:
    try:
        loop.run(folder, stop, progress)
        progress.message("evaluating")
        return conclude(folder, method, data, loop)
    except Interrupted as stopped:
        stopped.folder = folder.path
        raise
