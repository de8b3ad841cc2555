"""float16 and bfloat16 on their way in (exact) and out (rounded to nearest even)."""

import numpy as np
import pytest
import torch

from ipse import _core

PATTERNS = np.arange(2**16, dtype=np.uint16)
TORCH = {"float16": torch.float16, "bfloat16": torch.bfloat16}
half_dtypes = pytest.mark.parametrize("dtype", TORCH)


def as_operand(patterns: np.ndarray, dtype: str) -> np.ndarray:
    return patterns.view(np.float16) if dtype == "float16" else patterns


def as_tensor(patterns: np.ndarray, dtype: str) -> torch.Tensor:
    return torch.from_numpy(patterns).view(TORCH[dtype])


@half_dtypes
@pytest.mark.parametrize("layout", ["rows", "columns", "panel of depths"])
def test_every_pattern_widens_exactly(dtype: str, layout: str) -> None:
    """Through a product with 1, read along each of the ways a panel is packed."""
    wanted = as_tensor(PATTERNS, dtype).float().numpy()
    operand = as_operand(PATTERNS, dtype)
    if layout == "panel of depths":
        # (64, 1024) times the identity: neighbours lie along the sum, so NaN and infinity
        # would spread over their row. They are in the other two layouts.
        finite = np.isfinite(wanted)
        left = np.where(finite, PATTERNS, 0).astype(np.uint16).reshape(64, 1024)
        got = np.empty((64, 1024), np.float32)
        _core.gemm(as_operand(left, dtype), np.eye(1024, dtype=np.float32), got)
        got, wanted = got.reshape(-1), np.where(finite, wanted, 0)
    else:
        left = operand.reshape(1, -1).T if layout == "rows" else np.repeat(operand[:, None], 2, 1)
        out = np.empty((2**16, 1), np.float32)
        right = np.zeros((1, left.shape[1]), np.float32)
        right[0, 0] = 1
        if layout == "columns":
            left[:, 1] = 0
        _core.gemm(left, right, out)
        got = out[:, 0]
    assert np.array_equal(got, wanted, equal_nan=True)
    assert np.array_equal(np.isnan(got), np.isnan(wanted))


def narrowed(values: np.ndarray, factor: float, dtype: str) -> np.ndarray:
    """The core's rounding of ``factor * values``: bit patterns, in the order of ``values``.

    The VICReg gradient of two samples (a, -a) against zero, its invariance term alone, is
    ``grad lambda / D * a``, computed in float32 and written in half; lambda is D here.
    """
    features = values.shape[0]
    view = np.stack([values, values ^ 0x8000])  # the sign is the top bit of both formats
    operand, zero = as_operand(view, dtype), as_operand(np.zeros_like(view), dtype)
    gradient = as_operand(np.empty_like(view), dtype)
    moments = np.zeros((2, 3), np.float32)
    parameters = (float(features), 0.0, 0.0, 1e-4)
    _core.vicreg_backward(operand, zero, moments, factor, *parameters, "samples", gradient)
    return gradient.view(np.uint16)[0]


def finite_positive(dtype: str, below: float) -> np.ndarray:
    """A power-of-two number of patterns with values in [0, below]."""
    values = as_tensor(PATTERNS[: 2**15], dtype).float().numpy()
    patterns = PATTERNS[: 2**15][values <= below]
    return np.resize(patterns, 2**15)


# Exact in float32: 11 bits of a half times at most 13 of the factor. Powers of two walk
# through the subnormals and over the top; the others make ties and near-ties.
FACTORS = [1.0, 2.0**-14, 2.0**-20, 1 + 2.0**-11, 1 + 2.0**-10, 1 - 2.0**-12, 0.7001953125]
FACTORS += [2.0**10, 2.0**-5 * (1 + 2.0**-12), 2.0**-10 * (1 - 2.0**-12)]


@half_dtypes
@pytest.mark.parametrize("factor", FACTORS)
def test_narrowing_rounds_to_nearest_even(dtype: str, factor: float) -> None:
    # The square of the largest bfloat16 would overflow the variance.
    patterns = finite_positive(dtype, below=65504.0 if dtype == "float16" else 1e15)
    exact = as_tensor(patterns, dtype).float() * np.float32(factor)
    wanted = exact.to(TORCH[dtype]).view(torch.uint16).numpy()
    assert np.array_equal(narrowed(patterns, factor, dtype), wanted)


@half_dtypes
@pytest.mark.parametrize("power", [-140, -133, -120, 100, 113, 126])
def test_narrowing_at_the_ends_of_the_range(dtype: str, power: int) -> None:
    """Float32 subnormals, zero and infinity; the sign of zero is lost in the sum of terms."""
    patterns = finite_positive(dtype, below=16384.0)
    factor = 2.0**power
    exact = as_tensor(patterns, dtype).double() * factor
    wanted = exact.float().to(TORCH[dtype]).view(torch.uint16).numpy()
    assert np.array_equal(narrowed(patterns, factor, dtype), wanted)
    negative = narrowed(patterns, -factor, dtype)
    is_zero = wanted == 0
    assert np.array_equal(negative[~is_zero], wanted[~is_zero] ^ 0x8000)
    assert not (negative[is_zero] & 0x7FFF).any()


@half_dtypes
def test_nan_stays_nan(dtype: str) -> None:
    got = narrowed(finite_positive(dtype, below=1.0)[:1024], float("nan"), dtype)
    assert as_tensor(got, dtype).isnan().all()
