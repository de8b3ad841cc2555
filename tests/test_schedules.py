"""The schedule engine: pieces, clocks, sizes, and the published schedules in their numbers."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipse.schedules import (
    ComputeClock,
    EpochClock,
    EpochTableClock,
    PiecewiseConstant,
    PiecewiseLinear,
    Schedule,
    StepClock,
    check_sizes,
    cosine,
    cost_factor,
    efficienttrain,
    efficienttrain_plus,
    epoch_table,
    scaled_sizes,
    stage_magnitudes,
)

PLUS_SIZES = [96] * 2 + [160] * 4 + [224] * 4
DEIT_SIZES = [96] * 2 + [160] * 4 + [192] * 2 + [224] * 2

# Pieces


def test_pieces_change_at_their_borders() -> None:
    pieces = PiecewiseConstant("abc", [0.2, 0.6, 1.0])
    assert [pieces(at) for at in (0, 0.19, 0.2, Fraction(3, 5), 0.999, 1, 7)] == list("aabcccc")
    # 3/5 as a float lies below 3/5: the border is where the float says, not a step later.
    assert PiecewiseConstant([1, 2], [0.6, 1])(Fraction(3, 5)) == 2
    equal = PiecewiseConstant(range(10))
    assert [equal(Fraction(i, 10)) for i in range(10)] == list(range(10))


def test_lines() -> None:
    line = PiecewiseLinear([(0.25, 1.0), (0.5, 3.0), (1.0, 0.0)])
    assert [line(at) for at in (0, 0.25, 0.375, 0.5, 0.75, 1, 2)] == [1, 1, 2, 3, 1.5, 0, 0]
    assert PiecewiseLinear([(0.5, 4.0)])(0.1) == 4.0


@pytest.mark.parametrize("ends", [[0.5], [0.5, 0.9], [0.5, 0.4, 1.0], [0.0, 1.0], [1.0, 1.0]])
def test_pieces_refuse_other_ends(ends: list[float]) -> None:
    with pytest.raises(ValueError, match=r"PiecewiseConstant: ends must be 2 ascending"):
        PiecewiseConstant([1, 2], ends)


def test_empty_pieces_are_refused() -> None:
    with pytest.raises(ValueError, match="values must be at least one"):
        PiecewiseConstant([])
    with pytest.raises(ValueError, match="points must be at least one"):
        PiecewiseLinear([])
    with pytest.raises(ValueError, match="by ascending progress"):
        PiecewiseLinear([(0.5, 1), (0.5, 2)])


# Clocks


def test_step_and_epoch_clocks() -> None:
    steps, epochs = StepClock(8), EpochClock(4, 2)
    assert [steps.progress(i) for i in range(10)] == [*(Fraction(i, 8) for i in range(9)), 1]
    assert [4 * epochs.progress(i) for i in range(10)] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert steps.total_steps == epochs.total_steps == 8


def test_compute_clock_shares_the_compute() -> None:
    """Two halves of equal cost: a size of half the side takes four times the steps."""
    sizes = PiecewiseConstant([14, 28])
    clock = ComputeClock(sizes, 10)
    shown = [sizes(clock.progress(step)) for step in range(clock.total_steps)]
    assert shown == [14] * 20 + [28] * 5
    assert [20 * clock.progress(step) for step in (0, 10, 20, 21, 25, 99)] == [0, 5, 10, 12, 20, 20]


@given(
    sizes=st.lists(st.integers(1, 32), min_size=1, max_size=8),
    budget=st.floats(1.0, 500.0),
    power=st.sampled_from([1, 2, 3.5]),
)
def test_compute_clock_is_the_sum_of_its_steps(
    sizes: list[int], budget: float, power: float
) -> None:
    """Against adding up the costs step by step, in exact arithmetic."""
    pieces = PiecewiseConstant(sizes)
    cost = lambda size, base: (size / base) ** power  # noqa: E731
    clock = ComputeClock(pieces, budget, cost)
    spent, step = Fraction(0), 0
    while spent < Fraction(budget):
        progress = clock.progress(step)
        assert progress == spent / Fraction(budget)
        spent += Fraction(cost(pieces(progress), sizes[-1]))
        step += 1
    assert step == clock.total_steps
    assert clock.progress(step) == 1


def test_compute_clock_takes_a_cost_of_ones_own() -> None:
    sizes = PiecewiseConstant([14, 28])
    clock = ComputeClock(sizes, 10, lambda size, base: 1.0)
    assert clock.total_steps == 10
    with pytest.raises(ValueError, match="cost must be above 0"):
        ComputeClock(sizes, 10, lambda size, base: 0.0)
    with pytest.raises(ValueError, match="budget must be above 0"):
        ComputeClock(sizes, 0)


# The engine


def test_values_are_a_function_of_the_step_alone() -> None:
    def new() -> Schedule:
        return efficienttrain_plus(28, 10, 7)

    whole = new()
    values = []
    while not whole.done:
        values.append((whole["size"], whole["magnitude"], whole.progress))
        whole.advance()
    resumed = new()
    resumed.advance(31)
    state = resumed.state_dict()
    again = new()
    again.load_state_dict(state)
    rest = []
    while not again.done:
        rest.append((again["size"], again["magnitude"], again.progress))
        assert again.at(again.step) == {"size": again["size"], "magnitude": again["magnitude"]}
        again.advance()
    assert rest == values[31:]
    with pytest.raises(ValueError, match=r"state must be of a schedule with \d+ steps, got one"):
        efficienttrain_plus(28, 9, 7).load_state_dict(state)


def test_what_the_engine_refuses() -> None:
    with pytest.raises(ValueError, match="values must be at least one"):
        Schedule(StepClock(3))
    schedule = Schedule(StepClock(3), a=cosine())
    with pytest.raises(ValueError, match="step must be at least 0, got -1"):
        schedule.at(-1)
    with pytest.raises(ValueError, match="steps must be at least 0, got -2"):
        schedule.advance(-2)
    with pytest.raises(ValueError, match="total_steps must be at least 1, got 0"):
        StepClock(0)


def test_cosine_rises_once_and_falls_once() -> None:
    factor = cosine(warmup=0.1, final=0.01)
    assert factor(0) == 0
    assert factor(0.05) == pytest.approx(0.5)
    assert factor(0.1) == 1
    assert factor(0.55) == pytest.approx(0.01 + 0.99 / 2)
    assert factor(1) == factor(2) == pytest.approx(0.01)
    values = [factor(i / 1000) for i in range(100, 1001)]
    assert all(one >= other for one, other in pairwise(values))
    assert cosine()(0) == 1
    with pytest.raises(ValueError, match="warmup"):
        cosine(1.0)


# Sizes


def test_sizes_scale_with_the_image() -> None:
    assert scaled_sizes(224) == [96, 128, 160, 192, 224]
    assert scaled_sizes(28) == [12, 16, 20, 24, 28]
    assert scaled_sizes(224, multiple_of=32) == [96, 128, 160, 192, 224]
    assert scaled_sizes(384, multiple_of=16) == [160, 224, 272, 336, 384]
    assert scaled_sizes(8) == [4, 4, 6, 6, 8]
    assert scaled_sizes(33)[-1] == 33  # the full size needs no crop, so it may be odd


@given(base=st.integers(4, 600), multiple=st.sampled_from([1, 2]))
def test_scaled_sizes_are_the_nearest_multiples(base: int, multiple: int) -> None:
    sizes = scaled_sizes(base, multiple_of=multiple)
    for size, wanted in zip(sizes, (96, 128, 160, 192), strict=False):
        assert size % multiple == 0 or size == base
        assert abs(size - wanted * base / 224) <= multiple / 2 or size == multiple
    assert sizes == sorted(sizes)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([21, 28], "must be multiples of 2, got 21"),
        ([30, 28], "must be from 2 to the full size 28, got 30"),
        ([0, 28], "must be from 2 to the full size 28, got 0"),
        ([20, 24], "must end with the full size 28, got 24"),
        ([], "must be at least one, got none"),
    ],
)
def test_wrong_sizes(sizes: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^efficienttrain: sizes {message}"):
        efficienttrain(28, 5, 2, sizes=sizes)


def test_patches_must_fit() -> None:
    with pytest.raises(ValueError, match="sizes must be multiples of 16, got 100"):
        check_sizes([100, 224], 224, 16)
    with pytest.raises(ValueError, match="base_size must be a multiple of 16, got 225"):
        scaled_sizes(225, multiple_of=16)
    with pytest.raises(ValueError, match=r"ratios must be above 0 and at most 1, got 1\.5"):
        scaled_sizes(224, [1.5])


def test_cost_factor_is_the_papers() -> None:
    factor = cost_factor([160, 160, 160, 192, 224], 224)
    assert factor == pytest.approx(0.6 * (160 / 224) ** 2 + 0.2 * (192 / 224) ** 2 + 0.2)
    assert round(factor, 3) == 0.653
    assert round(1 / factor, 2) == 1.53
    # 28 x 28 has the same parts.
    assert cost_factor([20, 20, 20, 24, 28], 28) == factor
    assert cost_factor([14, 28], 28, shares=[0.8, 0.2]) == pytest.approx(0.4)
    assert cost_factor([14, 28], 28, cost=lambda size, base: size / base) == 0.75
    with pytest.raises(ValueError, match="shares must be 2 numbers with the sum 1"):
        cost_factor([14, 28], 28, shares=[0.8, 0.3])


# EfficientTrain


@pytest.mark.parametrize("base", [224, 28])
def test_efficienttrain_is_the_cards_table(base: int) -> None:
    schedule = efficienttrain(base, 300, 3)
    assert schedule.total_steps == 900
    table = {}
    for epoch in range(1, 301):
        values = [schedule.at(3 * (epoch - 1) + step) for step in range(3)]
        assert values[0] == values[1] == values[2]
        table[epoch] = (values[0]["size"] * 224 // base, values[0]["magnitude"])
    for first, last, size, magnitude in [
        (1, 60, 160, 1),
        (61, 120, 160, 3),
        (121, 180, 160, 5),
        (181, 240, 192, 7),
        (241, 300, 224, 9),
    ]:
        assert {table[epoch] for epoch in range(first, last + 1)} == {(size, magnitude)}


def test_efficienttrains_linear_ramp() -> None:
    schedule = efficienttrain(224, 300, 2, ramp="linear")
    assert [schedule.at(2 * epoch)["magnitude"] for epoch in (0, 100, 300)] == [0, 3, 9]
    with pytest.raises(ValueError, match="ramp must be stages or linear, got 'steps'"):
        efficienttrain(224, 300, 2, ramp="steps")


def test_magnitudes() -> None:
    assert stage_magnitudes(5) == [1, 3, 5, 7, 9]
    assert stage_magnitudes(10, first=0) == list(range(10))
    assert stage_magnitudes(1) == [9]


@pytest.mark.parametrize("epochs", [5, 7, 10, 13, 99])
def test_stages_end_at_the_released_codes_epochs(epochs: int) -> None:
    schedule = efficienttrain(28, epochs, 4)
    magnitudes = [schedule.at(4 * epoch)["magnitude"] for epoch in range(epochs)]
    ends = [magnitudes.index(magnitude + 2) for magnitude in (1, 3, 5, 7)]
    assert ends == [int(epochs / 5 * (stage + 1)) for stage in range(4)]
    assert schedule.at(schedule.total_steps - 1) == {"size": 28, "magnitude": 9}


def test_every_stage_needs_an_epoch() -> None:
    with pytest.raises(ValueError, match="epochs must be at least the 5 stages, got 4"):
        efficienttrain(28, 4, 10)


# EfficientTrain++


def test_plus_epochs_are_the_released_rules() -> None:
    """200 equivalent epochs, by hand: int(200 (224/B)^2), ends at tenths, counted anew twice."""
    table = epoch_table(PLUS_SIZES, 224, 200)
    assert [stage.clock for stage in table] == [1088] * 2 + [392] * 4 + [200] * 4
    assert [stage.end for stage in table] == [108, 217, 117, 156, 196, 235, 140, 160, 180, 200]
    # round(217 * 96^2 / 160^2) = 78, round(235 * 160^2 / 224^2) = 120
    assert [stage.start for stage in table] == [0, 108, 78, 117, 156, 196, 120, 140, 160, 180]
    assert [stage.epochs for stage in table] == [108, 109, 39, 39, 40, 39, 20, 20, 20, 20]
    # Two thirds of 300 epochs' compute, within a third of an epoch.
    spent = sum(stage.epochs * (stage.size / 224) ** 2 for stage in table)
    assert spent == pytest.approx(200, abs=0.5)


def test_plus_epochs_with_replay() -> None:
    """DeiT-S: an epoch over the loader is worth as many as the buffer replays."""
    table = epoch_table(DEIT_SIZES, 224, 200, replay=[4] * 2 + [2] * 4 + [1] * 4)
    assert [stage.clock for stage in table] == [272] * 2 + [196] * 4 + [272] * 2 + [200] * 2
    assert [stage.end for stage in table] == [27, 54, 58, 78, 98, 117, 190, 217, 180, 200]
    # round(54 * 4 / 2) = 108 -> round(108 * .36) = 39; 117 * 2 -> round(234 / 1.44) = 162
    # (162.5 rounds to even); round(217 * (192/224)^2) = 159
    assert [stage.start for stage in table] == [0, 27, 39, 58, 78, 98, 162, 190, 159, 180]


def test_plus_epochs_refuse_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="replay must be 2 numbers from 1 up"):
        epoch_table([14, 28], 28, 10, replay=[1])
    with pytest.raises(ValueError, match="none for stage 3 of 10"):
        epoch_table(PLUS_SIZES, 224, 5)


@pytest.mark.parametrize("whole_epochs", [False, True])
def test_plus_stages_have_equal_compute(whole_epochs: bool) -> None:
    schedule = efficienttrain_plus(224, 200, 5, whole_epochs=whole_epochs)
    spent = dict.fromkeys(range(10), 0.0)
    before = 0.0
    for step in range(schedule.total_steps):
        values = schedule.at(step)
        assert values["size"] == PLUS_SIZES[round(values["magnitude"])]
        spent[round(values["magnitude"])] += (values["size"] / 224) ** 2 / 5
        progress = float(schedule.clock.progress(step))
        assert progress >= before
        before = progress
    # Twenty epochs each; the code's roundings move a border by less than an epoch.
    assert all(abs(cost - 20) < (0.8 if whole_epochs else 0.3) for cost in spent.values())
    assert schedule.at(schedule.total_steps - 1)["size"] == 224


@pytest.mark.parametrize("recipe", ["default", "deit"])
def test_plus_rate_is_the_same_curve_of_compute(recipe: str) -> None:
    """The learning rate at a given part of the compute does not depend on the sizes."""
    schedule, rate, done = efficienttrain_plus(224, 20, 50, recipe=recipe), cosine(warmup=0.1), 0.0
    for step in range(schedule.total_steps):
        assert rate(schedule.clock.progress(step)) == pytest.approx(rate(done), abs=1e-9)
        done += (schedule.at(step)["size"] / 224) ** 2 / 1000


def test_plus_recipes() -> None:
    sizes = lambda recipe: efficienttrain_plus(224, 10, 5, recipe=recipe).function("size").values  # noqa: E731
    assert list(sizes("default")) == PLUS_SIZES
    assert list(sizes("deit")) == DEIT_SIZES
    assert list(sizes("convnext-tiny")) == [160] * 6 + [224] * 4
    with pytest.raises(ValueError, match="recipe must be one of default, deit, convnext-tiny"):
        efficienttrain_plus(224, 10, 5, recipe="swin")
    with pytest.raises(ValueError, match="replay needs whole_epochs"):
        efficienttrain_plus(224, 10, 5, replay=[1] * 10)


def test_table_clock() -> None:
    table = epoch_table([14, 28], 28, 4)
    assert [(s.clock, s.start, s.end) for s in table] == [(16, 0, 8), (4, 2, 4)]
    clock = EpochTableClock(table, 2)
    assert clock.total_steps == 20
    assert [float(clock.progress(step)) for step in (0, 1, 15, 16, 19, 20)] == pytest.approx(
        [0, 1 / 32, 15 / 32, 0.5, 7 / 8, 1]
    )
    assert math.isclose(clock.progress(20), 1)
    with pytest.raises(ValueError, match="steps_per_epoch must be at least 1"):
        EpochTableClock(table, 0)
