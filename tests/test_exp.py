"""The vector exponential and logarithm of the kernels, against NumPy's long doubles."""

import numpy as np
import pytest

from ipse import _core
from tests.exp_isa import apply, units

TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


@TYPES
def test_exponential_to_the_last_place(dtype: type) -> None:
    assert units(_core.exponential, np.exp, dtype, *EXP_RANGE[dtype]) < 1.5


@TYPES
def test_log1p_to_the_last_place(dtype: type) -> None:
    assert units(_core.log1p_unit, np.log1p, dtype, 0, 1) < 3
    tiny = np.geomspace(np.finfo(dtype).tiny, 1e-3, 1000, dtype=dtype)
    exact = np.log1p(tiny.astype(np.longdouble))
    error = np.abs(apply(_core.log1p_unit, tiny) - exact) / np.spacing(exact.astype(dtype))
    assert error.max() < 3


EXP_RANGE = {np.float32: (-87.3, 88.7), np.float64: (-708.3, 709.7)}


@TYPES
def test_exponential_at_the_edges(dtype: type) -> None:
    low, high = EXP_RANGE[dtype]
    values = np.array([-np.inf, low - 1, -1e30, 0, high + 1, 1e30, np.inf, np.nan], dtype)
    wanted = np.array([0, 0, 0, 1, np.inf, np.inf, np.inf, np.nan], dtype)
    np.testing.assert_array_equal(apply(_core.exponential, values), wanted)


@TYPES
def test_exponential_grows(dtype: type) -> None:
    """Where the reduction steps from one power of two to the next, too."""
    steps = np.arange(-100, 100) * np.log(2) / 2
    values = np.sort(np.concatenate([steps, steps + 1e-6, steps - 1e-6])).astype(dtype)
    values = values[(values > EXP_RANGE[dtype][0]) & (values < EXP_RANGE[dtype][1])]
    results = apply(_core.exponential, values)
    assert (np.diff(results) >= -np.spacing(results[1:])).all()


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"exponential: out must be as values, got \(1, 2\)"):
        _core.exponential(np.zeros((1, 3), np.float32), np.zeros((1, 2), np.float32))
    with pytest.raises(TypeError, match="log1p_unit: values must be float32 or float64"):
        _core.log1p_unit(np.zeros((1, 3), np.float16), np.zeros((1, 3), np.float16))
