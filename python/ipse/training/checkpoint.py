"""Checkpoints: one checked file that holds all a run needs to go on."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from ipse.training.errors import RunError
from ipse.training.files import write_file

__all__ = ["Checkpoint", "load_checkpoint", "save_checkpoint"]

_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A run's state at a step boundary.

    Attributes:
        slug: The method.
        config: The method's configuration as plain values.
        step: Steps done.
        epoch: Whole epochs done.
        step_in_epoch: Steps done in the epoch that comes after those.
        metrics_bytes: Length of metrics.jsonl at this step.
        seconds: Training time so far, over all sessions.
        threads: torch's number of CPU threads; sums may round differently with another.
        versions: Of ipse and torch.
        state: Networks, optimizers and schedules, from `Method.state`.
    """

    slug: str
    config: dict[str, Any]
    step: int
    epoch: int
    step_in_epoch: int
    metrics_bytes: int
    seconds: float
    threads: int
    versions: dict[str, str]
    state: dict[str, Any]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint in place of the last one; a crash leaves one of the two, whole."""
    content = {
        "format": _FORMAT,
        **{f.name: getattr(checkpoint, f.name) for f in fields(checkpoint)},
    }
    write_file(path, lambda file: torch.save(content, file))


def load_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint onto the CPU. No code stored in the file is run.

    Raises:
        RunError: The file is missing, damaged, or not a checkpoint of this format.
    """
    _verify_checksums(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = str(error).strip().split("\n", maxsplit=1)[0]
        raise RunError(f"{path}: not a readable checkpoint: {reason}") from error
    names = {field.name for field in fields(Checkpoint)}
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise RunError(f"{path}: not a checkpoint of format {_FORMAT} (found {found})")
    if missing := names - content.keys():
        raise RunError(f"{path}: damaged checkpoint: no {', '.join(sorted(missing))}")
    return Checkpoint(**{name: content[name] for name in names})


def _verify_checksums(path: Path) -> None:
    """torch.save writes a zip file with a CRC per tensor, which torch.load does not always check;
    a flipped bit would otherwise become a silently different run."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except FileNotFoundError as error:
        raise RunError(f"{path}: no such checkpoint") from error
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise RunError(f"{path}: corrupt or truncated checkpoint: {error}") from error
    if damaged is not None:
        raise RunError(f"{path}: corrupt checkpoint: wrong checksum in {damaged}")
