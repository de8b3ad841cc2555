"""Showing how a run gets on: a live bar in a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import TaskID

__all__ = [
    "PlainProgress",
    "Progress",
    "SilentProgress",
    "Snapshot",
    "TerminalProgress",
    "for_stream",
]


class Snapshot(Protocol):
    """What the loop tells about the moment."""

    step: int
    total_steps: int
    epoch: int
    epochs: int
    loss: float
    images_per_second: float
    seconds_left: float


class Progress(Protocol):
    """What a run reports to."""

    def message(self, text: str) -> None:
        """A line that stays, such as which stage begins."""

    def training(self, moment: Snapshot) -> None:
        """Called after steps, often."""

    def close(self) -> None:
        """Training has ended, one way or another."""


class SilentProgress:
    """Shows nothing; what a library call uses."""

    def message(self, text: str) -> None:
        """Nothing."""

    def training(self, moment: Snapshot) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class PlainProgress:
    """One plain line every few seconds, without escape codes: for files, pipes and CI.

    Args:
        stream: Where to write; default: standard output.
        seconds: Least time between two lines.
    """

    def __init__(self, stream: TextIO | None = None, seconds: float = 5.0) -> None:
        self._stream = stream or sys.stdout
        self._seconds = seconds
        self._last = time.monotonic()

    def message(self, text: str) -> None:
        """Writes the line."""
        print(text, file=self._stream, flush=True)

    def training(self, moment: Snapshot) -> None:
        """Writes a line if the last one is long enough ago, and for the last step."""
        now = time.monotonic()
        if now - self._last < self._seconds and moment.step < moment.total_steps:
            return
        self._last = now
        self.message(
            f"epoch {moment.epoch}/{moment.epochs}  step {moment.step}/{moment.total_steps}  "
            f"loss {moment.loss:.4g}  {moment.images_per_second:.0f} images/s  "
            f"{_clock(moment.seconds_left)} left"
        )

    def close(self) -> None:
        """Nothing to end."""


class TerminalProgress:
    """A live bar drawn by rich."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bars

        self._console = Console()
        self._bars = Bars(
            TextColumn("[bold]epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("loss [cyan]{task.fields[loss]:.4g}"),
            TextColumn("[green]{task.fields[speed]:.0f}[/] images/s"),
            TextColumn("{task.fields[left]} left"),
            console=self._console,
        )
        self._task: TaskID | None = None

    def message(self, text: str) -> None:
        """Writes the line, above the bar if there is one."""
        self._console.print(text, highlight=False, markup=False)

    def training(self, moment: Snapshot) -> None:
        """Moves the bar."""
        shown: dict[str, Any] = {
            "epoch": moment.epoch,
            "epochs": moment.epochs,
            "loss": moment.loss,
            "speed": moment.images_per_second,
            "left": _clock(moment.seconds_left),
        }
        if self._task is None:
            self._task = self._bars.add_task("train", total=moment.total_steps, **shown)
            self._bars.start()
        self._bars.update(self._task, completed=moment.step, **shown)

    def close(self) -> None:
        """Leaves the bar as it is and gives the terminal back."""
        self._bars.stop()


def for_stream(stream: TextIO) -> Progress:
    """A live bar if `stream` is a terminal, else plain lines."""
    return TerminalProgress() if stream.isatty() else PlainProgress(stream)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
