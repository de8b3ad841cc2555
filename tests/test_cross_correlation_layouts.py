"""Views of any strides, and the same numbers whatever the layout."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from ipse import _core
from tests.cross_correlation_cases import (
    TOLERANCE,
    Loss,
    assert_near,
    both_losses,
    both_sides,
    make_views,
    oracle,
    value_and_gradients,
)

N, D = 22, 75


def _transposed(z: Tensor) -> Tensor:
    return z.T.contiguous().T


def _sliced_columns(z: Tensor) -> Tensor:
    wide = z.new_full((N, D + 9), float("nan"))
    wide[:, 4 : 4 + D] = z
    return wide[:, 4 : 4 + D]


def _sliced_rows(z: Tensor) -> Tensor:
    tall = z.new_full((N + 5, D), float("nan"))
    tall[3 : 3 + N] = z
    return tall[3 : 3 + N]


def _every_second(z: Tensor) -> Tensor:
    spaced = z.new_full((2 * N, 2 * D), float("nan"))
    spaced[::2, ::2] = z
    return spaced[::2, ::2]


def _storage_offset(z: Tensor) -> Tensor:
    """Starts one element in: aligned to the element, not to a vector register."""
    flat = torch.cat([z.new_full((1,), float("nan")), z.flatten()])
    return flat[1:].view(N, D)


LAYOUTS: list[Callable[[Tensor], Tensor]] = [
    _transposed,
    _sliced_columns,
    _sliced_rows,
    _every_second,
    _storage_offset,
]


@both_losses
@both_sides
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__[1:])
def test_layout_does_not_change_a_bit(
    loss: Loss, side: str, dtype: torch.dtype, layout: Callable[[Tensor], Tensor]
) -> None:
    z1, z2 = make_views(N, D, dtype)
    plain = value_and_gradients(loss.function, z1, z2, side=side)
    laid_out = layout(z1)
    assert torch.equal(laid_out, z1)
    for first, second in ((laid_out, z2), (laid_out, layout(z2))):
        got = value_and_gradients(loss.function, first, second, side=side)
        for mine, wanted in zip(got, plain, strict=True):
            assert torch.equal(mine, wanted)


@both_losses
@both_sides
@pytest.mark.parametrize("axis", [0, 1])
def test_expanded_views(loss: Loss, side: str, axis: int) -> None:
    """Stride 0: one row for the whole batch (no variance), one column for all features."""
    z, other = make_views(N, D, torch.float64)
    expanded = (z[:1] if axis == 0 else z[:, :1]).expand(N, D)
    value, *gradients, sizes = oracle(loss, expanded, other)
    got = value_and_gradients(loss.function, expanded, other, side=side)
    assert_near(got[0], value, sizes.value, TOLERANCE[torch.float64])
    for mine, exact in zip(got[1:], gradients, strict=True):
        assert_near(mine, exact, sizes.gradient, TOLERANCE[torch.float64])


@both_losses
@both_sides
def test_negated_view_of_a_complex_tensor(loss: Loss, side: str) -> None:
    """The imaginary part of a conjugate carries torch's negative bit: memory holds -z."""
    z1, z2 = make_views(N, D)
    negative = torch.complex(torch.zeros_like(z1), -z1).conj().imag
    assert negative.is_neg()
    assert torch.equal(negative, z1)
    got = loss.function(negative, z2, side=side)
    assert torch.equal(got, loss.function(z1, z2, side=side))


def _core_run(
    loss: Loss, z1: np.ndarray, z2: np.ndarray, side: str
) -> tuple[float, np.ndarray, np.ndarray]:
    """Value and gradients through the NumPy entry points."""
    samples, features = z1.shape
    shape = (samples, samples + 1) if side == "samples" else (features, features)
    moments = np.full(shape, np.nan)
    forward = getattr(_core, f"{loss.name}_forward")
    backward = getattr(_core, f"{loss.name}_backward")
    value = forward(z1, z2, *loss.values, side, moments)
    gradients = [np.full(z1.shape, np.nan) for _ in range(2)]
    backward(z1, z2, moments, 1.0, *loss.values, side, *gradients)
    return value, *gradients


@both_losses
@both_sides
@pytest.mark.parametrize("axis", [0, 1])
def test_negative_strides_through_the_core(loss: Loss, side: str, axis: int) -> None:
    """torch has no negative strides; NumPy does, and the core takes NumPy arrays."""
    z1, z2 = (z.numpy() for z in make_views(N, D, torch.float64))
    plain = _core_run(loss, z1, z2, side)
    backwards = np.flip(z1, axis).copy()
    reversed_view = np.flip(backwards, axis)
    assert reversed_view.strides[axis] < 0
    got = _core_run(loss, reversed_view, z2, side)
    for mine, wanted in zip(got, plain, strict=True):
        assert np.array_equal(mine, wanted)


@both_losses
@both_sides
def test_core_keeps_nothing_unless_asked(loss: Loss, side: str) -> None:
    z1, z2 = (z.numpy() for z in make_views(N, D, torch.float64))
    forward = getattr(_core, f"{loss.name}_forward")
    assert forward(z1, z2, *loss.values, side) == _core_run(loss, z1, z2, side)[0]
