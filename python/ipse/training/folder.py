"""The run folder: everything a run leaves behind, whole at every moment of its life."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ipse.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ipse.training.errors import RunError
from ipse.training.files import sync_folder, write_file
from ipse.training.metrics import MetricsLog, read_metrics

__all__ = ["RunFolder"]


class RunFolder:
    """A folder with `config.json`, `metrics.jsonl`, `checkpoint.pt` and, in the end, the results.

    Use `create` for a new run and `open` for an existing one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_file = path / "config.json"
        self.metrics_file = path / "metrics.jsonl"
        self.checkpoint_file = path / "checkpoint.pt"
        self.result_file = path / "result.json"
        self.report_file = path / "report.html"

    @classmethod
    def create(
        cls, out: Path | None, name: str, config: dict[str, Any], start: Checkpoint
    ) -> RunFolder:
        """Creates a run folder that can be resumed from the first moment it is visible.

        It is filled under a temporary name beside its place, then renamed.

        Args:
            out: Where; it must not exist or be empty. None: the first free `runs/<name>-<n>`.
            name: Stem for the default place.
            config: Content of config.json.
            start: The checkpoint before the first step.

        Raises:
            RunError: The place is taken or cannot be written.
        """
        parent = Path("runs") if out is None else out.absolute().parent
        temporary = parent / f".{name}.{uuid.uuid4().hex[:12]}.partial"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            temporary.mkdir()
            folder = cls(temporary)
            write_file(folder.config_file, json.dumps(config, indent=2) + "\n")
            write_file(folder.metrics_file, b"")
            save_checkpoint(folder.checkpoint_file, start)
            path = _move(temporary, out) if out else _move_to_free(temporary, parent / name)
            sync_folder(parent)
        except OSError as error:
            place = out or parent
            raise RunError(f"out: cannot write to {place}: {error.strerror or error}") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Opens an existing run folder.

        Raises:
            RunError: There is no such folder, or it is not a run's.
        """
        folder = cls(path)
        if not path.is_dir():
            raise RunError(f"resume: no folder {path}")
        for file in (folder.config_file, folder.metrics_file, folder.checkpoint_file):
            if not file.is_file():
                raise RunError(f"resume: {path} is not a run folder: it has no {file.name}")
        return folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes from continuing the same run; a killed one lets go by itself.

        Raises:
            RunError: Another process holds it.
        """
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise RunError(f"resume: another process is at work on {self.path}") from error
        finally:
            os.close(descriptor)

    def config(self) -> dict[str, Any]:
        """The content of config.json.

        Raises:
            RunError: It is damaged.
        """
        try:
            content = json.loads(self.config_file.read_text())
        except (OSError, ValueError) as error:
            raise RunError(f"{self.config_file}: damaged: {error}") from error
        if not isinstance(content, dict) or not isinstance(content.get("config"), dict):
            raise RunError(f"{self.config_file}: damaged: no settings in it")
        return content

    def checkpoint(self) -> Checkpoint:
        """The last checkpoint, checked."""
        return load_checkpoint(self.checkpoint_file)

    def save(self, checkpoint: Checkpoint) -> None:
        """Replaces the last checkpoint."""
        save_checkpoint(self.checkpoint_file, checkpoint)

    def metrics_log(self, position: int) -> MetricsLog:
        """Opens the metrics for appending at a checkpoint's position."""
        return MetricsLog(self.metrics_file, position)

    def metrics(self) -> list[dict[str, Any]]:
        """All metrics so far."""
        return read_metrics(self.metrics_file)

    def write(self, name: str, content: bytes | str) -> None:
        """Creates or replaces one file of the run, whole or not at all."""
        write_file(self.path / name, content)

    def remove(self) -> None:
        """Deletes the run."""
        shutil.rmtree(self.path, ignore_errors=True)


def require_free(out: Path) -> None:
    """Checks early, before data is loaded, that a new run may be written to `out`.

    Raises:
        RunError: It exists and is not an empty folder.
    """
    try:
        taken = out.exists() and (not out.is_dir() or any(out.iterdir()))
    except OSError as error:
        raise RunError(f"out: cannot write to {out}: {error.strerror or error}") from error
    if taken:
        raise RunError(
            f"out: {out} already exists; continue it with --resume {out} or choose another"
        )


def _move(temporary: Path, out: Path) -> Path:
    require_free(out)
    os.rename(temporary, out)  # fails, as it should, if someone filled it since
    return out


def _move_to_free(temporary: Path, stem: Path) -> Path:
    number = 1
    while True:
        path = stem.with_name(f"{stem.name}-{number}")
        if not path.exists():
            try:
                os.rename(temporary, path)
            except OSError:
                # Taken by another run in this very moment; anything else repeats below and is real.
                if not path.exists():
                    raise
            else:
                return path
        number += 1
