"""A table of numbers that a method adds to its result and report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Table"]


@dataclass(frozen=True)
class Table:
    """What a method measured beside the usual accuracies.

    Attributes:
        name: Its key in result.json.
        title: Heading.
        caption: What the numbers are and how to read them, for a newcomer.
        rows: By the row's heading, its numbers by the column's; all rows have the same columns.

    Raises:
        ValueError: There are no rows, or their columns differ.
    """

    name: str
    title: str
    caption: str
    rows: Mapping[str, Mapping[str, float]]

    def __post_init__(self) -> None:
        columns = {tuple(row) for row in self.rows.values()}
        if len(columns) != 1:
            raise ValueError(
                f"Table: rows must be at least one, all with the same columns, "
                f"got {sorted(columns)} in {self.name!r}"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """Headings of the columns."""
        return tuple(next(iter(self.rows.values())))
