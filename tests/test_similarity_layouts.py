"""Inputs of any strides, poison beside them, and NaN and infinity inside."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.similarity_cases import (
    CASES,
    OPERATORS,
    Case,
    each_case,
    inputs_for,
    value_and_gradients,
)

N, D = 22, 75


def _transposed(x: Tensor) -> Tensor:
    return x.T.contiguous().T


def _sliced_columns(x: Tensor) -> Tensor:
    wide = x.new_full((N, D + 9), float("nan"))
    wide[:, 4 : 4 + D] = x
    return wide[:, 4 : 4 + D]


def _sliced_rows(x: Tensor) -> Tensor:
    tall = x.new_full((N + 5, D), float("nan"))
    tall[3 : 3 + N] = x
    return tall[3 : 3 + N]


def _every_second(x: Tensor) -> Tensor:
    spaced = x.new_full((2 * N, 2 * D), float("nan"))
    spaced[::2, ::2] = x
    return spaced[::2, ::2]


def _storage_offset(x: Tensor) -> Tensor:
    """Starts one element in: aligned to the element, not to a vector register."""
    flat = torch.cat([x.new_full((1,), float("nan")), x.flatten()])
    return flat[1:].view(N, D)


LAYOUTS = [_transposed, _sliced_columns, _sliced_rows, _every_second, _storage_offset]


@each_case
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str
)
def test_layout_changes_nothing(
    case: Case, layout: Callable[[Tensor], Tensor], dtype: torch.dtype
) -> None:
    plain = inputs_for(case, N, D, dtype)
    value, gradients = value_and_gradients(case, plain)
    rounding = {torch.bfloat16: 2**-8, torch.float16: 2**-11}.get(dtype, 0.0)
    relative = (1e-13 if dtype is torch.float64 else 1e-6) + 2 * rounding
    for inputs in ((layout(plain[0]), plain[1]), tuple(layout(x) for x in plain)):
        got, found = value_and_gradients(case, inputs)
        torch.testing.assert_close(got, value, rtol=relative, atol=0)
        for mine, exact in zip(found, gradients, strict=True):
            size = exact.abs().max().item()
            torch.testing.assert_close(mine, exact, rtol=relative, atol=relative * size)


@each_case
def test_inputs_are_left_alone(case: Case) -> None:
    inputs = inputs_for(case, N, D)
    before = [x.clone() for x in inputs]
    value_and_gradients(case, inputs)
    assert all(torch.equal(a, b) for a, b in zip(inputs, before, strict=True))


@pytest.mark.parametrize("case", OPERATORS, ids=lambda case: case.name)
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("where", [(0, 0), (21, 74), (13, 0)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16], ids=str)
def test_non_finite_input_shows_in_the_result(
    case: Case, poison: float, where: tuple[int, int], dtype: torch.dtype
) -> None:
    for which in (0, 1):
        inputs = [x.clone() for x in inputs_for(case, N, D, dtype)]
        inputs[which][where] = poison
        value, gradients = value_and_gradients(case, tuple(inputs))
        assert not value.isfinite()
        assert not gradients[which][where[0]].isfinite().all()


@pytest.mark.parametrize("case", [c for c in CASES if c.normalized], ids=lambda case: case.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_rows_of_extreme_length(case: Case, dtype: torch.dtype) -> None:
    """Sixteen orders of magnitude between rows of one batch."""
    x, y = inputs_for(case, 6, 5, dtype)
    value, _ = value_and_gradients(case, (x, y))
    for factor in (1e-8, 1e8):
        scaled = x.clone()
        scaled[2] *= factor
        got, gradients = value_and_gradients(case, (scaled, y))
        torch.testing.assert_close(got, value, rtol=2e-6, atol=0)
        assert all(gradient.isfinite().all() for gradient in gradients)
