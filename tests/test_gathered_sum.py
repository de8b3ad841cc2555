"""gathered_sum: weighted sums of chosen rows."""

import numpy as np
import pytest
import torch
from hypothesis import given

from ipse import _core
from tests import gathered_cases as cases
from tests.neighbours_cases import randn
from tests.reference import neighbours as reference

OP = torch.ops.ipse.gathered_sum.default


@given(case=cases.cases)
def test_matches_the_definition(case: dict) -> None:
    _, y, weights, indices = cases.make(**case)
    got = OP(weights, indices, y)
    assert got.dtype == y.dtype
    cases.assert_near(got, reference.gathered_sum(weights, indices, y), indices.shape[1])


def test_derivatives_and_registration() -> None:
    _, y, weights, indices = cases.make(4, 5, 3, 6, torch.float64, "gaps", 0)
    cases.assert_citizen(OP, (weights, indices, y))


def test_threads_change_no_bit() -> None:
    weights, y = randn(200, 30, seed=0).numpy(), randn(90, 70, seed=1).numpy()
    indices = np.random.default_rng(0).integers(-1, 90, (200, 30))
    cases.assert_same_for_all_threads(
        lambda *a: _core.gathered_sum(*a), [weights, indices, y], (200, 70)
    )


def test_messages() -> None:
    weights, y = torch.zeros(2, 4), torch.zeros(6, 3)
    indices = torch.zeros(2, 4, dtype=torch.long)
    with pytest.raises(ValueError, match=r"same shape \(M, k\), got \(2, 3\) and \(2, 4\)"):
        OP(weights[:, :3], indices, y)
    with pytest.raises(TypeError, match=r"weights must be torch.float32, got torch.float64"):
        OP(weights.double(), indices, y)
    with pytest.raises(ValueError, match="indices must be from -1 to 5, got 6"):
        OP(weights, indices + 6, y)
