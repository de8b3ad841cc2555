"""EfficientTrain++'s epochs: counted anew, as the released code does it, where the size changes.

At a smaller size an epoch is cheaper, so more of them make the same compute. The code gives every
stage a clock of its own, so many epochs as the whole budget would be at the stage's size, and
expresses the epochs done so far on it whenever the size changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

__all__ = ["EpochStage", "EpochTableClock", "epoch_table"]


class EpochStage(NamedTuple):
    """One stage, on its own clock.

    Attributes:
        size: Size of the images.
        clock: Epochs that the whole budget would be at this size; the learning rate's length.
        start: Epoch at which the stage begins.
        end: Epoch before which it ends.
    """

    size: int
    clock: int
    start: int
    end: int

    @property
    def epochs(self) -> int:
        """Epochs that the stage runs for."""
        return max(0, self.end - self.start)


def epoch_table(
    sizes: Sequence[int],
    base_size: int,
    epochs: float,
    *,
    replay: Sequence[int] | None = None,
) -> list[EpochStage]:
    """The stages of EfficientTrain++ in whole epochs.

    Args:
        sizes: Size of each stage.
        base_size: The full size.
        epochs: Budget, in epochs at the full size.
        replay: How often each stage trains on a loaded batch; default: once. An epoch over the
            loader then is worth so many.

    Returns:
        One `EpochStage` for each size, with the released code's roundings.

    Raises:
        ValueError: `replay` does not fit the sizes, or a stage is shorter than an epoch.
    """
    times = [1] * len(sizes) if replay is None else list(replay)
    if len(times) != len(sizes) or min(times) < 1:
        raise ValueError(
            f"epoch_table: replay must be {len(sizes)} numbers from 1 up, got {replay}"
        )
    table: list[EpochStage] = []
    for index, (size, repeat) in enumerate(zip(sizes, times, strict=True)):
        clock = int(Fraction(epochs) * Fraction(base_size, size) ** 2 / repeat)
        start = 0
        if table:
            start = table[-1].end
            # In two steps, each rounded, as in the released code.
            start = round(Fraction(start * times[index - 1], repeat))
            start = round(Fraction(start * table[-1].size ** 2, size**2))
        stage = EpochStage(size, clock, start, clock * (index + 1) // len(sizes))
        if stage.epochs == 0:
            raise ValueError(
                f"epoch_table: epochs must give every stage at least one, "
                f"got {epochs}, none for stage {index + 1} of {len(sizes)}"
            )
        table.append(stage)
    return table


class EpochTableClock:
    """Progress through an `epoch_table`: a stage's epochs, as parts of its own clock.

    Args:
        table: The stages.
        steps_per_epoch: Steps of an epoch, the same in each.
    """

    def __init__(self, table: Sequence[EpochStage], steps_per_epoch: int) -> None:
        if steps_per_epoch < 1:
            raise ValueError(
                f"EpochTableClock: steps_per_epoch must be at least 1, got {steps_per_epoch}"
            )
        self.table = tuple(table)
        self.steps_per_epoch = steps_per_epoch
        self.total_steps = steps_per_epoch * sum(stage.epochs for stage in table)

    def progress(self, step: int) -> Fraction:
        """The part of the run that is done after `step` steps, from 0 to 1.

        The code's roundings leave a stage up to an epoch before or behind its place. So that equal
        pieces of progress are the stages, progress is held to its stage's piece.
        """
        count = len(self.table)
        done = Fraction(step, self.steps_per_epoch)
        for index, stage in enumerate(self.table):
            if done < stage.epochs:
                # Just below the border, which belongs to the next stage.
                last = Fraction(index + 1, count) - Fraction(1, 10**12)
                return min(max((stage.start + done) / stage.clock, Fraction(index, count)), last)
            done -= stage.epochs
        return Fraction(1)
