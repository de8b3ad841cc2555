"""``torch.ops.ipse.band_pass`` and ``band_energy`` of planes (P, H, W).

``band_pass`` is linear and its own transpose, so its derivatives are itself; ``band_energy``
differentiates through it. Nothing is kept for a backward but the input.
"""

from typing import Any

import torch
from torch import Tensor

from ipse import _core
from ipse.ops import style_formulas as formulas
from ipse.ops._bands import SHAPES, Band, find_band, find_window
from ipse.ops._planes import check_planes, is_wide, like, lines_of
from ipse.ops._registry import COMPUTE_DTYPES, define, to_numpy

# What each op calls in the core.
CORE_FUNCTIONS = {"band_pass": ("band_filter",), "band_energy": ("band_energy",)}


def check_band(function: str, low: float, high: float, shape: str) -> None:
    """Raises ValueError unless ``0 <= low <= high`` and the shape is known."""
    if shape not in SHAPES:
        allowed = " or ".join(map(repr, SHAPES))
        raise ValueError(f"{function}: shape must be {allowed}, got {shape!r}")
    if not 0 <= low <= high:
        raise ValueError(f"{function}: needs 0 <= low <= high, got {low} and {high}")


def _mask(band: Band, like: Tensor) -> Tensor:
    return torch.from_numpy(band.mask.copy()).to(like.device)


def _band_pass_fake(x: Tensor, low: float, high: float, shape: str) -> Tensor:
    check_planes("band_pass", "x", x)
    check_band("band_pass", low, high, shape)
    return like(x)


def _band_pass_cpu(x: Tensor, low: float, high: float, shape: str) -> Tensor:
    out = _band_pass_fake(x, low, high, shape)
    height, width = x.shape[1:]
    band = find_band(height, width, low, high, shape)
    if is_wide(x, *band.mask.shape):
        return formulas.band_pass(x, _mask(band, x), band.keep)
    _core.band_filter(
        lines_of(x), height, band.mask, band.keep, lines_of(out), torch.get_num_threads()
    )
    return out


def _band_pass_other(x: Tensor, low: float, high: float, shape: str) -> Tensor:
    check_planes("band_pass", "x", x)
    check_band("band_pass", low, high, shape)
    band = find_band(*x.shape[1:], low, high, shape)
    return formulas.band_pass(x, _mask(band, x), band.keep)


def _setup_band_pass(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.band = inputs[1:]


def _band_pass_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    return torch.ops.ipse.band_pass(grad, *ctx.band), None, None, None


define(
    "band_pass(Tensor x, float low, float high, str shape) -> Tensor",
    cpu=_band_pass_cpu,
    other=_band_pass_other,
    fake=_band_pass_fake,
    setup_context=_setup_band_pass,
    backward=_band_pass_backward,
)


def _band_energy_fake(x: Tensor, low: float, high: float, shape: str) -> Tensor:
    check_planes("band_energy", "x", x)
    check_band("band_energy", low, high, shape)
    return x.new_empty(x.shape[:1], dtype=COMPUTE_DTYPES[x.dtype])


def _band_energy_cpu(x: Tensor, low: float, high: float, shape: str) -> Tensor:
    energy = _band_energy_fake(x, low, high, shape)
    height, width = x.shape[1:]
    band = find_window(height, width, low, high, shape)
    if is_wide(x, *band.mask.shape):
        return formulas.band_energy(x, _mask(band, x))
    _core.band_energy(
        lines_of(x), height, band.mask, to_numpy(energy.view(-1, 1)), torch.get_num_threads()
    )
    return energy


def _band_energy_other(x: Tensor, low: float, high: float, shape: str) -> Tensor:
    check_planes("band_energy", "x", x)
    check_band("band_energy", low, high, shape)
    band = find_window(*x.shape[1:], low, high, shape)
    return formulas.band_energy(x, _mask(band, x))


def _setup_band_energy(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, *ctx.band = inputs
    ctx.save_for_backward(x)


def _band_energy_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    (x,) = ctx.saved_tensors
    low_pass = torch.ops.ipse.band_pass(x, *ctx.band)
    return (2 * grad[:, None, None] * low_pass).to(x.dtype), None, None, None


define(
    "band_energy(Tensor x, float low, float high, str shape) -> Tensor",
    cpu=_band_energy_cpu,
    other=_band_energy_other,
    fake=_band_energy_fake,
    setup_context=_setup_band_energy,
    backward=_band_energy_backward,
)
