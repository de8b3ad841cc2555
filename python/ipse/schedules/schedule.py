"""The engine: named values that follow a run's progress on one clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from ipse.schedules.clocks import Clock

__all__ = ["Schedule"]


class Schedule:
    """Values that change with a run's progress: image size, augmentation strength, learning rate.

    ::

        schedule = Schedule(
            EpochClock(300, 1251),
            size=PiecewiseConstant([160, 160, 160, 192, 224]),
            magnitude=PiecewiseLinear([(0, 0), (1, 9)]),
        )
        while not schedule.done:
            train_step(schedule["size"], schedule["magnitude"])
            schedule.advance()

    All values are pure functions of the steps done, which is the only state.

    Attributes:
        clock: What turns steps into progress.
        step: Steps done.

    Args:
        clock: A `StepClock`, an `EpochClock`, a `ComputeClock` or one of your own.
        values: By name, a function of progress such as `PiecewiseConstant`.

    Raises:
        ValueError: No values.
    """

    def __init__(self, clock: Clock, **values: Callable[[Fraction], Any]) -> None:
        if not values:
            raise ValueError("Schedule: values must be at least one, got none")
        self.clock = clock
        self.step = 0
        self._values = values

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.clock.total_steps

    @property
    def done(self) -> bool:
        """Whether all steps are done."""
        return self.step >= self.total_steps

    @property
    def progress(self) -> float:
        """The part of the run that is done, from 0 to 1, by the clock."""
        return float(self.clock.progress(self.step))

    def at(self, step: int) -> dict[str, Any]:
        """All values at a step, counted from 0.

        Raises:
            ValueError: The step is negative.
        """
        if step < 0:
            raise ValueError(f"Schedule.at: step must be at least 0, got {step}")
        progress = self.clock.progress(step)
        return {name: value(progress) for name, value in self._values.items()}

    def __getitem__(self, name: str) -> Any:
        """One value, now."""
        return self._values[name](self.clock.progress(self.step))

    def function(self, name: str) -> Callable[[Fraction], Any]:
        """One value as a function of progress."""
        return self._values[name]

    def advance(self, steps: int = 1) -> None:
        """To be called after each step.

        Raises:
            ValueError: `steps` is negative.
        """
        if steps < 0:
            raise ValueError(f"Schedule.advance: steps must be at least 0, got {steps}")
        self.step += steps

    def state_dict(self) -> dict[str, int]:
        """What a checkpoint needs: the steps done, and those planned, to know the run again."""
        return {"step": self.step, "total_steps": self.total_steps}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Goes to where `state_dict` was called.

        Raises:
            ValueError: The state comes from a schedule of another length.
        """
        if state["total_steps"] != self.total_steps:
            raise ValueError(
                f"Schedule.load_state_dict: state must be of a schedule with {self.total_steps} "
                f"steps, got one with {state['total_steps']}"
            )
        self.step = state["step"]
