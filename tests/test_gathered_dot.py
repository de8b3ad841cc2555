"""gathered_dot: the similarities of rows and their chosen columns."""

import numpy as np
import pytest
import torch
from hypothesis import given

from ipse import _core
from tests import gathered_cases as cases
from tests.neighbours_cases import randn
from tests.reference import neighbours as reference

OP = torch.ops.ipse.gathered_dot.default


@given(case=cases.cases)
def test_matches_the_definition(case: dict) -> None:
    x, y, _, indices = cases.make(**case)
    got = OP(x, y, indices)
    assert got.dtype == cases.compute_dtype(x.dtype)
    cases.assert_near(got, reference.gathered_dot(x, y, indices), x.shape[1])


def test_derivatives_and_registration() -> None:
    x, y, _, indices = cases.make(4, 5, 3, 6, torch.float64, "gaps", 0)
    cases.assert_citizen(OP, (x, y, indices))


def test_threads_change_no_bit() -> None:
    x, y = randn(200, 70, seed=0).numpy(), randn(90, 70, seed=1).numpy()
    indices = np.random.default_rng(0).integers(-1, 90, (200, 30))
    cases.assert_same_for_all_threads(lambda *a: _core.gathered_dot(*a), [x, y, indices], (200, 30))


@pytest.mark.parametrize(
    ("index", "message"), [(6, "from -1 to 5, got 6"), (-2, "from -1 to 5, got -2")]
)
def test_indices_out_of_range(index: int, message: str) -> None:
    indices = torch.tensor([[0, index]])
    with pytest.raises(ValueError, match=f"^gathered_dot: indices must be {message}$"):
        OP(torch.zeros(1, 3), torch.zeros(6, 3), indices)


def test_messages() -> None:
    x, y, indices = torch.zeros(2, 3), torch.zeros(6, 3), torch.zeros(2, 4, dtype=torch.long)
    with pytest.raises(ValueError, match=r"indices must have shape \(2, 4\), got \(1, 4\)"):
        OP(x, y, indices[:1])
    with pytest.raises(TypeError, match=r"indices must be int64, got torch\.int32"):
        OP(x, y, indices.int())
    with pytest.raises(ValueError, match="same number of features"):
        OP(x, y[:, :2], indices)
    with pytest.raises(ValueError, match=r"indices must be \(M, k\), got shape \(2,\)"):
        OP(x, y, indices[:, 0])
