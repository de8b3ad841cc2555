"""scattered_sum: every row added, weighted, to the rows that chose it; the same bits always."""

import numpy as np
import pytest
import torch
from hypothesis import given

from ipse import _core
from tests import gathered_cases as cases
from tests.neighbours_cases import randn
from tests.reference import neighbours as reference

OP = torch.ops.ipse.scattered_sum.default


@given(case=cases.cases)
def test_matches_the_definition(case: dict) -> None:
    x, y, weights, indices = cases.make(**case)
    got = OP(weights, indices, x, len(y))
    assert got.dtype == x.dtype
    exact = reference.scattered_sum(weights, indices, x, len(y))
    cases.assert_near(got, exact, indices.numel())


def test_derivatives_and_registration() -> None:
    x, _, weights, indices = cases.make(4, 5, 3, 6, torch.float64, "gaps", 0)
    cases.assert_citizen(OP, (weights, indices, x), 5)


def test_threads_change_no_bit() -> None:
    weights, x = randn(200, 30, seed=0).numpy(), randn(200, 70, seed=1).numpy()
    indices = np.random.default_rng(0).integers(-1, 9, (200, 30))
    cases.assert_same_for_all_threads(
        lambda *a: _core.scattered_sum(*a), [weights, indices, x], (9, 70)
    )


def test_messages() -> None:
    weights, x = torch.zeros(2, 4), torch.zeros(2, 3)
    indices = torch.zeros(2, 4, dtype=torch.long)
    with pytest.raises(ValueError, match="indices must be from -1 to 0, got 1"):
        OP(weights, indices + 1, x, 1)
    with pytest.raises(ValueError, match=r"indices must have shape \(2, 4\), got \(1, 4\)"):
        OP(weights[:1], indices[:1], x, 1)
