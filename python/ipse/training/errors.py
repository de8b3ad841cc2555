"""Errors of a run that a user can act on."""

from __future__ import annotations

from pathlib import Path

__all__ = ["Interrupted", "RunError"]


class RunError(RuntimeError):
    """A run that cannot start, go on or be resumed; the message is one clear line."""


class Interrupted(BaseException):
    """A signal asked the run to stop; all that is needed to go on is on the disk.

    Like KeyboardInterrupt it is no Exception: no library in between may take it for an error.

    Attributes:
        signal: The signal's number.
        folder: The run folder to resume; None if there is none yet.
    """

    def __init__(self, signal: int) -> None:
        super().__init__(f"stopped by signal {signal}")
        self.signal = signal
        self.folder: Path | None = None
