"""``torch.ops.ipse.mass_topk_mask``, ``mass_curve`` and ``uniform_topk_mask``: which channels stay.

Choices have no derivative: none of these results carries a gradient.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ipse import _core
from ipse.ops import pruning_formulas as formulas
from ipse.ops._checks import check_float
from ipse.ops._registry import define, to_numpy

# Of each operator, what it calls in the core.
CORE_FUNCTIONS = {
    "mass_topk_mask": ("mass_topk_mask",),
    "mass_curve": ("mass_curve",),
    "uniform_topk_mask": ("uniform_topk_mask",),
}


def _check(function: str, response: Tensor, keep_at_least: int) -> None:
    check_float(function, "response", response)
    if response.dim() != 2 or response.shape[1] < 1:
        raise ValueError(
            f"{function}: response must be (N, C) with at least one channel, "
            f"got shape {tuple(response.shape)}"
        )
    if not 0 <= keep_at_least <= response.shape[1]:
        raise ValueError(
            f"{function}: keep_at_least must be from 0 to the number of channels, "
            f"{response.shape[1]}, got {keep_at_least}"
        )


def _check_mass(function: str, argument: str, mass: float) -> None:
    if not (0 < mass <= 1 or mass < 0):
        raise ValueError(
            f"{function}: {argument} must be above 0 and at most 1, or negative to keep every "
            f"channel, got {mass}"
        )


def _empty_mask(response: Tensor) -> tuple[Tensor, Tensor]:
    return (
        response.new_empty(response.shape, dtype=torch.bool),
        response.new_empty(response.shape[:1], dtype=torch.int64),
    )


def _mass_fake(response: Tensor, mass: float, keep_at_least: int) -> tuple[Tensor, Tensor]:
    _check("mass_topk_mask", response, keep_at_least)
    _check_mass("mass_topk_mask", "mass", mass)
    return _empty_mask(response)


def _mass_cpu(response: Tensor, mass: float, keep_at_least: int) -> tuple[Tensor, Tensor]:
    mask, counts = _mass_fake(response, mass, keep_at_least)
    arrays = to_numpy(mask), to_numpy(counts.view(-1, 1))
    _core.mass_topk_mask(to_numpy(response), mass, *arrays, keep_at_least, torch.get_num_threads())
    return mask, counts


def _mass_other(response: Tensor, mass: float, keep_at_least: int) -> tuple[Tensor, Tensor]:
    _mass_fake(response, mass, keep_at_least)
    return formulas.mass_topk_mask(response, mass, keep_at_least)


define(
    "mass_topk_mask(Tensor response, float mass, int keep_at_least)"
    " -> (Tensor mask, Tensor counts)",
    cpu=_mass_cpu,
    other=_mass_other,
    fake=_mass_fake,
    autocast_float32=False,
)


def _curve_fake(response: Tensor, grid: Sequence[float], keep_at_least: int) -> Tensor:
    _check("mass_curve", response, keep_at_least)
    for mass in grid:
        _check_mass("mass_curve", "every mass of the grid", mass)
    return response.new_empty((response.shape[0], len(grid)), dtype=torch.int64)


def _curve_cpu(response: Tensor, grid: Sequence[float], keep_at_least: int) -> Tensor:
    counts = _curve_fake(response, grid, keep_at_least)
    _core.mass_curve(
        to_numpy(response), grid, to_numpy(counts), keep_at_least, torch.get_num_threads()
    )
    return counts


def _curve_other(response: Tensor, grid: Sequence[float], keep_at_least: int) -> Tensor:
    _curve_fake(response, grid, keep_at_least)
    return formulas.mass_curve(response, grid, keep_at_least)


define(
    "mass_curve(Tensor response, float[] grid, int keep_at_least) -> Tensor",
    cpu=_curve_cpu,
    other=_curve_other,
    fake=_curve_fake,
    autocast_float32=False,
)


def _uniform_fake(response: Tensor, drop: float, keep_at_least: int) -> tuple[Tensor, Tensor]:
    _check("uniform_topk_mask", response, keep_at_least)
    if not 0 <= drop <= 1:
        raise ValueError(f"uniform_topk_mask: drop must be between 0 and 1, got {drop}")
    return _empty_mask(response)


def _uniform_cpu(response: Tensor, drop: float, keep_at_least: int) -> tuple[Tensor, Tensor]:
    mask, counts = _uniform_fake(response, drop, keep_at_least)
    arrays = to_numpy(mask), to_numpy(counts.view(-1, 1))
    most = formulas.most_kept(response, drop)
    _core.uniform_topk_mask(
        to_numpy(response), most, *arrays, keep_at_least, torch.get_num_threads()
    )
    return mask, counts


def _uniform_other(response: Tensor, drop: float, keep_at_least: int) -> tuple[Tensor, Tensor]:
    _uniform_fake(response, drop, keep_at_least)
    return formulas.uniform_topk_mask(response, drop, keep_at_least)


define(
    "uniform_topk_mask(Tensor response, float drop, int keep_at_least)"
    " -> (Tensor mask, Tensor counts)",
    cpu=_uniform_cpu,
    other=_uniform_other,
    fake=_uniform_fake,
    autocast_float32=False,
)
