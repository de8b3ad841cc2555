"""Stopping at a step boundary on Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ipse.training.errors import Interrupted

__all__ = ["StopSignal"]


class StopSignal:
    """Turns SIGINT and SIGTERM into `Interrupted`, inside a `with` block.

    Within `deferred()` a first signal is only noted, for the loop to save its state and raise at
    the next step boundary; a second one raises at once. Elsewhere every signal raises at once.
    Outside the main thread, where Python allows no signal handlers, it does nothing.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._deferring = False
        self._previous: dict[int, object] = {}

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Notes a signal instead of raising, until the block ends."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    def raise_if_received(self) -> None:
        """Raises `Interrupted` if a signal has been noted."""
        if self.received is not None:
            raise Interrupted(self.received)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        again, self.received = self.received is not None, number
        if again or not self._deferring:
            raise Interrupted(number)
