"""Piecewise values: pure functions of a run's progress from 0 to 1."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Generic, TypeVar

__all__ = ["PiecewiseConstant", "PiecewiseLinear", "Progress", "exact"]

Progress = float | Fraction
"""How much of a run is done: 0 at the start, 1 at the end."""

ValueT = TypeVar("ValueT")


def exact(number: Progress) -> Fraction:
    """The simple fraction that a number stands for: 0.6 as a float lies a little below 3/5.

    Exact fractions let a stage begin at the very step where its border lies.
    """
    return Fraction(number).limit_denominator(10**9)


class PiecewiseConstant(Generic[ValueT]):
    """One value after another.

    Args:
        values: One value for each piece.
        ends: Progress at which each piece ends, ascending, the last 1; default: equal pieces. At
            the border itself the next piece has begun.

    Raises:
        ValueError: No values, or ends that do not fit them.
    """

    def __init__(self, values: Sequence[ValueT], ends: Sequence[Progress] | None = None) -> None:
        if not values:
            raise ValueError("PiecewiseConstant: values must be at least one, got none")
        self.values = tuple(values)
        count = len(self.values)
        given = [Fraction(i + 1, count) for i in range(count)] if ends is None else ends
        self.ends = tuple(exact(end) for end in given)
        ascending = all(one < other for one, other in pairwise((Fraction(0), *self.ends)))
        if len(self.ends) != count or not ascending or self.ends[-1] != 1:
            raise ValueError(
                f"PiecewiseConstant: ends must be {count} ascending numbers from above 0 to 1, "
                f"got {list(map(float, self.ends))}"
            )

    def piece(self, progress: Progress) -> int:
        """Which piece it is at this progress; before 0 the first, from 1 on the last."""
        return min(bisect_right(self.ends, progress), len(self.ends) - 1)

    def __call__(self, progress: Progress) -> ValueT:
        """The value at this progress."""
        return self.values[self.piece(progress)]


class PiecewiseLinear:
    """Straight lines between points.

    Args:
        points: (progress, value) pairs by ascending progress. Before the first and after the last
            the value stays as it is there.

    Raises:
        ValueError: No points, or not ascending.
    """

    def __init__(self, points: Sequence[tuple[Progress, float]]) -> None:
        self.points = tuple((float(at), float(value)) for at, value in points)
        if not points or any(one[0] >= other[0] for one, other in pairwise(self.points)):
            raise ValueError(
                f"PiecewiseLinear: points must be at least one, by ascending progress, "
                f"got {list(points)}"
            )

    def __call__(self, progress: Progress) -> float:
        """The value at this progress."""
        at = float(progress)
        right = bisect_right([point[0] for point in self.points], at)
        if right == 0:
            return self.points[0][1]
        if right == len(self.points):
            return self.points[-1][1]
        (start, low), (end, high) = self.points[right - 1 : right + 1]
        return low + (high - low) * (at - start) / (end - start)
