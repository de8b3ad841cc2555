"""The similarity engine's losses against their float64 references: values, gradients, dtypes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.similarity_cases import (
    CASES,
    Case,
    assert_matches_reference,
    each_case,
    inputs_for,
    value_and_gradients,
    wide_dtypes,
)

# Around every block of the core: panels (4 to 48 columns), tiles, 256-deep passes.
SHAPES = [(1, 1), (2, 1), (3, 5), (17, 49), (33, 300), (65, 129), (130, 33)]


@each_case
@wide_dtypes
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_value_and_gradients(case: Case, dtype: torch.dtype, shape: tuple[int, int]) -> None:
    if shape[0] < case.least:
        pytest.skip("too few samples for a finite loss")
    assert_matches_reference(case, inputs_for(case, *shape, dtype))


SEEDS = st.integers(0, 2**16)
SIZES = {"samples": st.integers(2, 40), "features": st.integers(1, 130), "seed": SEEDS}
TEMPERATURES = st.sampled_from([0.01, 0.07, 0.5, 1.0, 10.0, -0.2, -1.0])


@pytest.mark.parametrize("case", [c for c in CASES if c.normalized], ids=lambda case: case.name)
@wide_dtypes
@given(**SIZES, temperature=TEMPERATURES, exponent=st.integers(-12, 12))
def test_any_shape_temperature_and_length(
    case: Case,
    dtype: torch.dtype,
    samples: int,
    features: int,
    seed: int,
    temperature: float,
    exponent: int,
) -> None:
    inputs = inputs_for(case, samples, features, dtype, seed=seed, scale=2.0**exponent)
    assert_matches_reference(case, inputs, temperature=temperature)


@pytest.mark.parametrize("case", [c for c in CASES if not c.normalized], ids=lambda c: c.name)
@wide_dtypes
@given(**SIZES, scale=st.sampled_from([0.01, 0.3, 1.0, 14.0, 100.0, -2.0]))
def test_any_shape_and_scale(
    case: Case, dtype: torch.dtype, samples: int, features: int, seed: int, scale: float
) -> None:
    inputs = inputs_for(case, samples, features, dtype, seed=seed)
    if case.name == "supcon":
        keywords = {"temperature": 1 / scale, "base_temperature": 1 / scale}
    else:
        keywords = {"logit_scale": scale}
    assert_matches_reference(case, inputs, **keywords)


@each_case
@wide_dtypes
@given(samples=st.integers(2, 20), features=st.integers(1, 20), seed=SEEDS)
def test_learned_temperature(
    case: Case, dtype: torch.dtype, samples: int, features: int, seed: int
) -> None:
    inputs = inputs_for(case, samples, features, dtype, seed=seed)
    name = "temperature" if "temperature" in case.keywords else "logit_scale"
    keywords = {name: torch.tensor(case.keywords[name], dtype=dtype)}
    if "logit_bias" in case.keywords:
        keywords["logit_bias"] = torch.tensor(-0.5, dtype=dtype)
    assert_matches_reference(case, inputs, **keywords)


@each_case
@wide_dtypes
@given(seed=SEEDS, zero=st.lists(st.integers(0, 15), min_size=1, max_size=8, unique=True))
def test_zero_rows(case: Case, dtype: torch.dtype, seed: int, zero: list[int]) -> None:
    """They count as zero vectors; their gradient is zero where rows are normalised."""
    x, y = inputs_for(case, 8, 6, dtype, seed=seed)
    for row in zero:
        (x if row < 8 else y)[row % 8] = 0
    if case.normalized:
        assert_matches_reference(case, (x, y))
    else:
        value, gradients = value_and_gradients(case, (x, y))
        assert value.isfinite()
        assert all(gradient.isfinite().all() for gradient in gradients)


@each_case
@pytest.mark.parametrize(("dtype", "unit"), [(torch.bfloat16, 2**-8), (torch.float16, 2**-11)])
@pytest.mark.parametrize("shape", [(2, 1), (17, 49), (65, 33)], ids=str)
def test_half_precision_is_computed_in_float32(
    case: Case, dtype: torch.dtype, unit: float, shape: tuple[int, int]
) -> None:
    """The value as from the same numbers in float32; each gradient rounded once at the end."""
    inputs = inputs_for(case, *shape, dtype)
    value, gradients = value_and_gradients(case, inputs)
    exact, wanted = value_and_gradients(case, tuple(x.double() for x in inputs))
    assert value.dtype is torch.float32
    assert value.item() == pytest.approx(exact.item(), rel=1e-5, abs=1e-5)
    for got, gradient in zip(gradients, wanted, strict=True):
        assert got.dtype is dtype
        bound = unit * gradient.abs() + 1e-5 * (gradient.abs().max() + 1) + 2**-24
        assert bool(((got.double() - gradient).abs() <= bound).all())
