"""Writing files so that a reader, at any moment, finds the old content or the new, never a part."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

__all__ = ["sync_folder", "write_file"]


def write_file(path: Path, write: bytes | str | Callable[[IO[bytes]], None]) -> None:
    """Writes `path` under a temporary name, forces it to the disk, then renames it into place.

    Args:
        path: The file to create or replace.
        write: Its content, or a function that writes the content to an open binary file.
            Only one process may write to a path at a time.

    Raises:
        OSError: The file cannot be written; nothing is left behind and the old file is intact.
    """
    # Always the same name: what a killed process left is overwritten by the next write.
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with temporary.open("wb") as file:
            if callable(write):
                write(file)
            else:
                file.write(write.encode() if isinstance(write, str) else write)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Forces a folder's entries to the disk: without it a rename may be lost with the power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
