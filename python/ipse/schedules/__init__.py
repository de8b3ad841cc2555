"""Schedules of a run's progress: what changes while a network trains, and when.

schedule = efficienttrain(base_size=224, epochs=300, steps_per_epoch=1251)
schedule["size"], schedule["magnitude"]  # now; then schedule.advance()
"""

from ipse.schedules.clocks import Clock, ComputeClock, EpochClock, StepClock, quadratic_cost
from ipse.schedules.curricula import efficienttrain, efficienttrain_plus, stage_magnitudes
from ipse.schedules.epochs import EpochStage, EpochTableClock, epoch_table
from ipse.schedules.learning_rate import cosine
from ipse.schedules.pieces import PiecewiseConstant, PiecewiseLinear
from ipse.schedules.position import (
    resample_grid,
    resample_position_table,
    resample_relative_bias,
    sincos_table,
)
from ipse.schedules.replay import ReplayBuffer
from ipse.schedules.resampling import resample_parameters
from ipse.schedules.schedule import Schedule
from ipse.schedules.search import SearchResult, fixed_compute_search, greedy_search
from ipse.schedules.sizes import SIZE_RATIOS, check_sizes, cost_factor, scaled_sizes

__all__ = [
    "SIZE_RATIOS",
    "Clock",
    "ComputeClock",
    "EpochClock",
    "EpochStage",
    "EpochTableClock",
    "PiecewiseConstant",
    "PiecewiseLinear",
    "ReplayBuffer",
    "Schedule",
    "SearchResult",
    "StepClock",
    "check_sizes",
    "cosine",
    "cost_factor",
    "efficienttrain",
    "efficienttrain_plus",
    "epoch_table",
    "fixed_compute_search",
    "greedy_search",
    "quadratic_cost",
    "resample_grid",
    "resample_parameters",
    "resample_position_table",
    "resample_relative_bias",
    "scaled_sizes",
    "sincos_table",
    "stage_magnitudes",
]
