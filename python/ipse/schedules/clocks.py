"""Clocks: how far a run is after so many steps, counted in steps, epochs or compute.

Every clock is a pure function of the number of steps done, so a run that is resumed at a step is
where an uninterrupted one would be.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from fractions import Fraction
from typing import Protocol

from ipse.schedules.pieces import PiecewiseConstant

__all__ = ["Clock", "ComputeClock", "Cost", "EpochClock", "StepClock", "quadratic_cost"]

Cost = Callable[[int, int], float | Fraction]
"""Cost of a step at a size, given the full size as the second argument; 1 at the full size."""


def quadratic_cost(size: int, base_size: int) -> Fraction:
    """(size / base_size)^2: what a convolution costs, or a transformer's linear layers."""
    return Fraction(size * size, base_size * base_size)


class Clock(Protocol):
    """What tells a schedule its progress.

    Attributes:
        total_steps: Steps of the whole run.
    """

    total_steps: int

    def progress(self, step: int) -> Fraction:
        """The part of the run that is done after `step` steps, from 0 to 1."""


class StepClock:
    """Progress in steps.

    Args:
        total_steps: Steps of the whole run.
    """

    def __init__(self, total_steps: int) -> None:
        self.total_steps = _positive("StepClock: total_steps", total_steps)

    def progress(self, step: int) -> Fraction:
        """See `Clock`."""
        return min(Fraction(step, self.total_steps), Fraction(1))


class EpochClock:
    """Progress in whole epochs: it moves only where an epoch begins.

    Args:
        epochs: Epochs of the whole run.
        steps_per_epoch: Steps of each.
    """

    def __init__(self, epochs: int, steps_per_epoch: int) -> None:
        self.epochs = _positive("EpochClock: epochs", epochs)
        self.steps_per_epoch = _positive("EpochClock: steps_per_epoch", steps_per_epoch)
        self.total_steps = epochs * steps_per_epoch

    def progress(self, step: int) -> Fraction:
        """See `Clock`."""
        return min(Fraction(step // self.steps_per_epoch, self.epochs), Fraction(1))


class ComputeClock:
    """Progress in compute: a step at a small size moves it little.

    Pieces of equal progress then are pieces of equal cost, and a piece at a small size has many
    steps.

    Args:
        sizes: Size of the images by progress; its last value is the full size.
        budget: Cost of the whole run, in steps at the full size.
        cost: Cost of a step.

    Raises:
        ValueError: A budget that is not positive, or a cost that is not.
    """

    def __init__(
        self, sizes: PiecewiseConstant[int], budget: float, cost: Cost = quadratic_cost
    ) -> None:
        if not 0 < budget < math.inf:
            raise ValueError(f"ComputeClock: budget must be above 0 and finite, got {budget}")
        base_size = sizes.values[-1]
        self._advance: list[Fraction] = []
        # Step and progress at which each piece begins: a piece ends with the step that reaches its
        # border, and what that step does beyond it counts for the next piece.
        self._begin: list[tuple[int, Fraction]] = []
        step, progress = 0, Fraction(0)
        for size, end in zip(sizes.values, sizes.ends, strict=True):
            price = Fraction(cost(size, base_size))
            if price <= 0:
                raise ValueError(f"ComputeClock: cost must be above 0, got {price} at size {size}")
            self._begin.append((step, progress))
            self._advance.append(price / Fraction(budget))
            steps = max(0, math.ceil((end - progress) / self._advance[-1]))
            step, progress = step + steps, progress + steps * self._advance[-1]
        self.total_steps = step

    def progress(self, step: int) -> Fraction:
        """See `Clock`."""
        piece = bisect_right(self._begin, step, key=lambda begin: begin[0]) - 1
        first, progress = self._begin[max(piece, 0)]
        return min(progress + (step - first) * self._advance[max(piece, 0)], Fraction(1))


def _positive(name: str, number: int) -> int:
    if number < 1:
        raise ValueError(f"{name} must be at least 1, got {number}")
    return number
