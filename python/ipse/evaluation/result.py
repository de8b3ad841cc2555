"""What a run found out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Result", "Scores"]


@dataclass(frozen=True)
class Scores:
    """Test accuracies of one feature space, in per cent.

    Attributes:
        knn: Of weighted 20-nearest-neighbour classification.
        linear: Of logistic regression.
    """

    knn: float
    linear: float


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a run found out, and where it lies.

    Attributes:
        slug: The method.
        data: The data set.
        scores: By feature space: `raw pixels`, `untrained encoder`, `trained encoder`.
        final_loss: Mean loss of the last epoch.
        steps: Training steps.
        train_seconds: Time spent training, over all sessions.
        evaluation_seconds: Time spent evaluating and drawing.
        folder: The run folder.
        report: The report in it.
        tables: What the method measured beside the accuracies: by table, row and column.
    """

    slug: str
    data: str
    scores: Mapping[str, Scores]
    final_loss: float
    steps: int
    train_seconds: float
    evaluation_seconds: float
    folder: Path
    report: Path
    tables: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON. Paths are left out: a run folder may be moved."""
        return {
            "slug": self.slug,
            "data": self.data,
            "scores": {
                name: {"knn": scores.knn, "linear": scores.linear}
                for name, scores in self.scores.items()
            },
            "final_loss": self.final_loss,
            "steps": self.steps,
            "train_seconds": self.train_seconds,
            "evaluation_seconds": self.evaluation_seconds,
            "tables": {name: dict(rows) for name, rows in self.tables.items()},
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], folder: Path, report: Path) -> Result:
        """The result that `to_dict` wrote.

        Raises:
            KeyError, TypeError: The content is not a result's.
        """
        plain = {name: content[name] for name in content if name != "scores"}
        scores = {name: Scores(**values) for name, values in content["scores"].items()}
        plain.setdefault("tables", {})  # older runs have none
        return cls(**plain, scores=scores, folder=folder, report=report)
