"""What a schedule search has tried, in a file, so that an interrupted search goes on."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = ["Evaluate", "Memory"]

Evaluate = Callable[[tuple[int, ...]], float]
"""Trains with one size for each stage and returns the validation accuracy."""


class Memory:
    """Evaluates every schedule once.

    Args:
        evaluate: What tries a schedule.
        path: JSON file that keeps what is known; it is replaced whole after every evaluation.
            None: kept only here.
        label: What the accuracies depend on beside the sizes.
        report: Called with a line for each schedule asked for.

    Raises:
        ValueError: The file is damaged, or holds accuracies with another label.
    """

    def __init__(
        self,
        evaluate: Evaluate,
        path: str | Path | None = None,
        label: str = "",
        report: Callable[[str], None] | None = None,
    ) -> None:
        self.evaluate = evaluate
        self.path = None if path is None else Path(path)
        self.label = label
        self.report = report or (lambda line: None)
        self.calls = 0
        self.known: dict[str, float] = {}
        if self.path is not None and self.path.exists():
            self.known = self._read(self.path)

    def __call__(self, sizes: Sequence[int]) -> float:
        """The accuracy of a schedule, from the file if it is there.

        Raises:
            ValueError: `evaluate` returned no finite number.
        """
        self.calls += 1
        name = ",".join(map(str, sizes))
        again = name in self.known
        if not again:
            accuracy = float(self.evaluate(tuple(sizes)))
            if not math.isfinite(accuracy):
                raise ValueError(
                    f"evaluate: must return a finite accuracy, got {accuracy} for {name}"
                )
            self.known[name] = accuracy
            self._write()
        self.report(f"{name}: {self.known[name]:.4g}{' (known)' if again else ''}")
        return self.known[name]

    def _read(self, path: Path) -> dict[str, float]:
        try:
            content = json.loads(path.read_text())
            label = content["label"]
            known = {str(name): float(value) for name, value in content["accuracies"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"memory: {path} is not the file of a search: {error}") from error
        if label != self.label:
            raise ValueError(
                f"memory: {path} must be of this search ({self.label!r}), got {label!r}"
            )
        return known

    def _write(self) -> None:
        if self.path is None:
            return
        content = {"label": self.label, "accuracies": self.known}
        partial = self.path.with_name(f".{self.path.name}.partial")
        partial.write_text(json.dumps(content, indent=2) + "\n")
        os.replace(partial, self.path)
