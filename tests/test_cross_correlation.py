"""Barlow Twins and VICReg against their float64 references: values, gradients, dtypes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.cross_correlation_cases import (
    BARLOW_TWINS,
    COMPUTE,
    HALF,
    TOLERANCE,
    VICREG,
    Loss,
    assert_matches_oracle,
    assert_near,
    both_losses,
    both_sides,
    make_views,
    oracle,
    value_and_gradients,
    wide_dtypes,
)

# Around every block of the core: panels (8 to 48 columns), 64-sample sums, 128 x 256 tiles,
# 256-deep passes; large enough for two threads; more samples than features and fewer.
SHAPES = [
    (2, 1),
    (3, 5),
    (17, 49),
    (33, 300),
    (65, 129),
    (130, 33),
    (300, 40),
    (40, 600),
    (400, 270),
]


@both_losses
@wide_dtypes
@pytest.mark.parametrize("side", ["samples", "features", "auto"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_value_and_gradients(
    loss: Loss, dtype: torch.dtype, side: str, shape: tuple[int, int]
) -> None:
    assert_matches_oracle(loss, *make_views(*shape, dtype), side)


@both_losses
@both_sides
@wide_dtypes
def test_error_is_small_against_the_gradient_itself(
    loss: Loss, side: str, dtype: torch.dtype
) -> None:
    """Without cancellation the bound holds relative to the largest entry, not only the terms."""
    views = make_views(48, 96, dtype)
    value, *gradients, _ = oracle(loss, *views)
    got = value_and_gradients(loss.function, *views, side=side)
    assert_near(got[0], value, value.item(), TOLERANCE[dtype])
    for mine, exact in zip(got[1:], gradients, strict=True):
        assert_near(mine, exact, exact.abs().max().item(), TOLERANCE[dtype])


SAMPLES = st.integers(2, 70)
FEATURES = st.integers(1, 130)
SEEDS = st.integers(0, 2**16)
# The mean of every feature in units of its spread: at 1e6 a float32 keeps 4 bits of the spread.
OFFSETS = st.sampled_from([0.0, 1.0, -30.0, 1e4, 1e6])


@both_sides
@wide_dtypes
@given(
    samples=SAMPLES,
    features=FEATURES,
    seed=SEEDS,
    exponent=st.integers(-15, 15),
    offset=OFFSETS,
    lambda_param=st.sampled_from([0.0, 5e-3, 0.1, 1.0, 50.0]),
)
def test_barlow_twins_anywhere(
    side: str,
    dtype: torch.dtype,
    samples: int,
    features: int,
    seed: int,
    exponent: int,
    offset: float,
    lambda_param: float,
) -> None:
    views = make_views(samples, features, dtype, seed=seed, scale=10.0**exponent, offset=offset)
    assert_matches_oracle(BARLOW_TWINS, *views, side, lambda_param=lambda_param)


WEIGHTS = st.sampled_from([0.0, 0.5, 25.0])


@both_sides
@wide_dtypes
@given(
    samples=SAMPLES,
    features=FEATURES,
    seed=SEEDS,
    # The covariance term grows with the fourth power: 1e8 is what float32 can hold.
    exponent=st.integers(-15, 7),
    offset=OFFSETS,
    lambda_param=WEIGHTS,
    mu_param=WEIGHTS,
    nu_param=WEIGHTS,
)
def test_vicreg_anywhere(
    side: str,
    dtype: torch.dtype,
    samples: int,
    features: int,
    seed: int,
    exponent: int,
    offset: float,
    lambda_param: float,
    mu_param: float,
    nu_param: float,
) -> None:
    views = make_views(samples, features, dtype, seed=seed, scale=10.0**exponent, offset=offset)
    weights = {"lambda_param": lambda_param, "mu_param": mu_param, "nu_param": nu_param}
    assert_matches_oracle(VICREG, *views, side, **weights)


@both_sides
@pytest.mark.parametrize("scale", [1e-30, 1e20, 1e30])
def test_barlow_twins_where_float32_squares_leave_the_range(side: str, scale: float) -> None:
    """The loss does not depend on the scale; a wrong finite value would go unnoticed."""
    assert_matches_oracle(BARLOW_TWINS, *make_views(16, 40, scale=scale), side)


@both_losses
@both_sides
@pytest.mark.parametrize("dtype", HALF, ids=str)
@given(samples=st.integers(3, 40), features=FEATURES, seed=SEEDS)
def test_half_precision_inputs(
    loss: Loss, side: str, dtype: torch.dtype, samples: int, features: int, seed: int
) -> None:
    """Computed in float32 from the rounded inputs; only the gradient is rounded, once."""
    views = make_views(samples, features, dtype, seed=seed)
    value, *gradients, sizes = oracle(loss, *views)
    got = value_and_gradients(loss.function, *views, side=side)
    assert got[0].dtype == torch.float32
    assert_near(got[0], value, sizes.value, TOLERANCE[torch.float32])
    info = torch.finfo(dtype)
    for mine, exact in zip(got[1:], gradients, strict=True):
        assert mine.dtype == dtype
        # Half a unit in the last place, of the subnormals too, on top of float32's error.
        rounding = exact.abs() * info.eps / 2 + info.smallest_normal * info.eps / 2
        float32_error = TOLERANCE[torch.float32] * sizes.gradient
        assert bool(((mine.double() - exact).abs() <= rounding * 1.001 + float32_error).all())


@both_losses
@both_sides
@pytest.mark.parametrize("dtype", COMPUTE, ids=str)
def test_value_is_the_same_with_and_without_gradients(
    loss: Loss, side: str, dtype: torch.dtype
) -> None:
    z1, z2 = make_views(20, 70, dtype)
    plain = loss.function(z1, z2, side=side)
    assert not plain.requires_grad
    tracked = loss.function(z1.clone().requires_grad_(), z2, side=side)
    assert tracked.requires_grad
    assert torch.equal(plain, tracked.detach())
    with torch.no_grad():
        assert not loss.function(z1.clone().requires_grad_(), z2, side=side).requires_grad


@both_losses
@both_sides
def test_one_view_may_be_a_constant(loss: Loss, side: str) -> None:
    z1, z2 = make_views(20, 70)
    _, g1, g2 = value_and_gradients(loss.function, z1, z2, side=side)
    leaf = z1.clone().requires_grad_()
    loss.function(leaf, z2, side=side).backward()
    assert torch.equal(leaf.grad, g1)
    leaf = z2.clone().requires_grad_()
    loss.function(z1, leaf, side=side).backward()
    assert torch.equal(leaf.grad, g2)


@both_losses
@both_sides
def test_one_tensor_as_both_views(loss: Loss, side: str) -> None:
    z, _ = make_views(20, 30, torch.float64)
    mine, exact = (z.clone().requires_grad_() for _ in range(2))
    value, wanted = loss.function(mine, mine, side=side), loss.reference(exact, exact)
    sizes = loss.sizes(z, z)
    assert_near(value.detach(), wanted.detach(), sizes.value, 1e-10)
    value.backward()
    wanted.backward()
    assert_near(mine.grad, exact.grad, sizes.gradient, 1e-10)


@both_losses
@both_sides
@wide_dtypes
def test_incoming_gradient_scales_the_outgoing(loss: Loss, side: str, dtype: torch.dtype) -> None:
    views = make_views(20, 70, dtype)
    _, *gradients = value_and_gradients(loss.function, *views, side=side)
    leaves = [z.clone().requires_grad_() for z in views]
    loss.function(*leaves, side=side).backward(torch.tensor(-4.0, dtype=dtype))
    for leaf, gradient in zip(leaves, gradients, strict=True):
        size = gradient.abs().max().item()
        assert_near(leaf.grad, -4 * gradient, size, 10 * torch.finfo(dtype).eps)


@both_losses
def test_auto_is_one_of_the_two_sides(loss: Loss) -> None:
    for shape, side in (((8, 40), "samples"), ((40, 8), "features")):
        views = make_views(*shape)
        assert torch.equal(loss.function(*views), loss.function(*views, side=side))
