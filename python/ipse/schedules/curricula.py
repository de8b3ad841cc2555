"""The schedules of EfficientTrain and EfficientTrain++, for images of any size.

Both show a network the low frequencies of every image first, which also makes the image smaller
and the step cheaper, and strengthen the augmentation with time.

Source: Y. Wang et al., EfficientTrain, arXiv 2211.09703, ICCV 2023, and EfficientTrain++,
arXiv 2405.08768, TPAMI 2024; the numbers are those of the released code.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from ipse.schedules.clocks import ComputeClock, Cost, EpochClock, quadratic_cost
from ipse.schedules.epochs import EpochTableClock, epoch_table
from ipse.schedules.pieces import PiecewiseConstant, PiecewiseLinear
from ipse.schedules.schedule import Schedule
from ipse.schedules.sizes import check_sizes, scaled_sizes

__all__ = ["efficienttrain", "efficienttrain_plus", "stage_magnitudes"]

_STAGES = (160, 160, 160, 192, 224)
_PLUS_STAGES = {
    "default": (96,) * 2 + (160,) * 4 + (224,) * 4,
    "deit": (96,) * 2 + (160,) * 4 + (192,) * 2 + (224,) * 2,
    "convnext-tiny": (160,) * 6 + (224,) * 4,
}


def efficienttrain(
    base_size: int,
    epochs: int,
    steps_per_epoch: int,
    *,
    sizes: Sequence[int] | None = None,
    multiple_of: int = 2,
    ramp: str = "stages",
) -> Schedule:
    """EfficientTrain (ICCV): stages of equally many epochs.

    Args:
        base_size: The full size of the images.
        epochs: Epochs of the whole run.
        steps_per_epoch: Steps of each.
        sizes: Size of each stage, the last `base_size`. Default: the published schedule, the parts
            160, 160, 160, 192 and 224 of 224.
        multiple_of: What the sizes are rounded to.
        ramp: RandAugment's magnitude. `stages`: 1, 3, 5, 7, 9, one for each stage, as in the
            released code; `linear`: from 0 to 9 over all epochs, as the paper describes it.

    Returns:
        A schedule with the values `size` and `magnitude`, on an epoch clock.

    Raises:
        ValueError: Sizes that are odd, too large, or do not end with the full size; fewer epochs
            than stages; an unknown ramp.
    """
    if ramp not in ("stages", "linear"):
        raise ValueError(f"efficienttrain: ramp must be stages or linear, got {ramp!r}")
    stages = _published(base_size, _STAGES, multiple_of) if sizes is None else list(sizes)
    check_sizes(stages, base_size, multiple_of, "efficienttrain", ends_full=True)
    count = len(stages)
    if epochs < count:
        raise ValueError(
            f"efficienttrain: epochs must be at least the {count} stages, got {epochs}"
        )
    # Where the epochs do not divide, a stage ends early, as in the released code.
    ends = [Fraction(epochs * (stage + 1) // count, epochs) for stage in range(count)]
    steps = PiecewiseConstant(stage_magnitudes(count), ends)
    line = PiecewiseLinear([(0, 0), (1, 9)])
    return Schedule(
        EpochClock(epochs, steps_per_epoch),
        size=PiecewiseConstant(stages, ends),
        magnitude=steps if ramp == "stages" else line,
    )


def efficienttrain_plus(
    base_size: int,
    epochs: float,
    steps_per_epoch: int,
    *,
    sizes: Sequence[int] | None = None,
    recipe: str = "default",
    multiple_of: int = 2,
    whole_epochs: bool = False,
    replay: Sequence[int] | None = None,
    cost: Cost = quadratic_cost,
) -> Schedule:
    """EfficientTrain++: stages of equal compute, so that small images are shown more often.

    Args:
        base_size: The full size of the images.
        epochs: The compute of the whole run, in epochs at the full size. The paper's 200 give
            the accuracy of 300 without it.
        steps_per_epoch: Steps of an epoch.
        sizes: Size of each stage, the last `base_size`. Default: those of the recipe.
        recipe: `default`, `deit` or `convnext-tiny`: the released scripts' ten stages.
        multiple_of: What the sizes are rounded to.
        whole_epochs: Whether stages end with an epoch, by the released code's rule for counting
            epochs again at a change of size (`epoch_table`), rather than with a step.
        replay: With `whole_epochs`, how often each stage trains on a loaded batch (`ReplayBuffer`).
        cost: Cost of a step; without `whole_epochs`.

    Returns:
        A schedule with the values `size` and `magnitude` (0 to 9, growing with the stages). Its
        progress is the part of the compute that is spent, so a learning rate that is a function of
        progress, such as `cosine`, is the same curve at every size.

    Raises:
        ValueError: Sizes that are odd, too large, or do not end with the full size; an unknown
            recipe; `replay` without `whole_epochs`.
    """
    if recipe not in _PLUS_STAGES:
        known = ", ".join(_PLUS_STAGES)
        raise ValueError(f"efficienttrain_plus: recipe must be one of {known}, got {recipe!r}")
    if replay is not None and not whole_epochs:
        raise ValueError(f"efficienttrain_plus: replay needs whole_epochs, got {list(replay)}")
    named = _PLUS_STAGES[recipe]
    stages = _published(base_size, named, multiple_of) if sizes is None else list(sizes)
    check_sizes(stages, base_size, multiple_of, "efficienttrain_plus", ends_full=True)
    size = PiecewiseConstant(stages)
    magnitude = PiecewiseConstant(stage_magnitudes(len(stages), first=0))
    if whole_epochs:
        table = epoch_table(stages, base_size, epochs, replay=replay)
        return Schedule(EpochTableClock(table, steps_per_epoch), size=size, magnitude=magnitude)
    clock = ComputeClock(size, epochs * steps_per_epoch, cost)
    return Schedule(clock, size=size, magnitude=magnitude)


def stage_magnitudes(stages: int, first: float = 1.0, last: float = 9.0) -> list[float]:
    """RandAugment's magnitude of each stage, in equal steps; a single stage has the last.

    Args:
        stages: Number of stages.
        first: That of the first: 1 in EfficientTrain, 0 in EfficientTrain++.
        last: That of the last.
    """
    if stages == 1:
        return [last]
    return [first + (last - first) * stage / (stages - 1) for stage in range(stages)]


def _published(base_size: int, stages: Sequence[int], multiple_of: int) -> list[int]:
    return scaled_sizes(base_size, [Fraction(size, 224) for size in stages], multiple_of)
