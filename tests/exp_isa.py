"""How far the vector functions are from exact; shared by test_exp.py and isa_suite.py."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ipse import _core

Array = np.ndarray[Any, Any]


def apply(function: Callable[[Array, Array], None], values: Array) -> Array:
    """A core function of matrices on a vector of values."""
    out = np.empty((1, len(values)), values.dtype)
    function(values[None, :], out)
    result: Array = out[0]
    return result


def units(
    function: Callable[[Array, Array], None],
    exact: Callable[[Array], Array],
    dtype: type,
    low: float,
    high: float,
) -> float:
    """The largest error over random values in units of the last place."""
    values = np.random.default_rng(0).uniform(low, high, 200_003).astype(dtype)
    wanted = exact(values.astype(np.longdouble))
    error = np.abs(apply(function, values) - wanted) / np.spacing(wanted.astype(dtype))
    return float(error.max())


def functions() -> dict[str, Array]:
    """For isa_suite.py: checked at this level; levels need not agree to the bit."""
    for dtype, low, high in ((np.float32, -87.3, 88.7), (np.float64, -708.3, 709.7)):
        # Without fused multiply-add the reduction rounds twice.
        assert units(_core.exponential, np.exp, dtype, low, high) < 2.5
        assert units(_core.log1p_unit, np.log1p, dtype, 0, 1) < 4
    return {}
