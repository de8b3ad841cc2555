"""metrics.jsonl: one JSON line per step, and nothing in it that depends on the clock.

So two runs with the same settings on the same machine write the same bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from ipse.training.errors import RunError

__all__ = ["MetricsLog", "read_metrics"]


class MetricsLog:
    """Appends to a run's metrics, from a known position; use it in a `with` block.

    Args:
        path: The existing file.
        position: Its length at the checkpoint. What lies behind, perhaps a torn last line, was
            written after the checkpoint, will be computed again, and is cut off.

    Raises:
        RunError: The file cannot be opened, or is shorter than `position`.
    """

    def __init__(self, path: Path, position: int) -> None:
        try:
            self._file = path.open("r+b")
        except OSError as error:
            raise RunError(f"{path}: cannot be opened: {error.strerror or error}") from error
        length = os.fstat(self._file.fileno()).st_size
        if length < position:
            self._file.close()
            raise RunError(
                f"{path}: damaged: {length} bytes, the checkpoint was made at {position}"
            )
        self._file.truncate(position)
        self._file.seek(position)

    def append(self, values: Mapping[str, float | int]) -> None:
        """Adds one line, visible to readers at once."""
        self._file.write(json.dumps(dict(values)).encode() + b"\n")
        self._file.flush()

    def position(self) -> int:
        """Length so far, with everything up to it on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All whole lines; a torn last line is left out.

    Raises:
        RunError: The file cannot be read, or a line before the last is damaged.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from error
    # The piece after the last newline is empty, or a line that was being written.
    rows = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise RunError(f"{path}: damaged line {number}") from error
    return rows
