"""Barlow Twins: what is special about it, and that it can stand in for lightly's."""

import inspect

import pytest
import torch
from lightly.loss import BarlowTwinsLoss as LightlyBarlowTwinsLoss

from ipse.functional import barlow_twins_loss
from ipse.losses import BarlowTwinsLoss
from tests.cross_correlation_cases import (
    BARLOW_TWINS,
    assert_near,
    both_sides,
    make_views,
    value_and_gradients,
    wide_dtypes,
)
from tests.reference.cross_correlation import barlow_twins as barlow_twins_reference


@pytest.mark.parametrize("lambda_param", [5e-3, 0.0, 1.0])
@pytest.mark.parametrize("shape", [(2, 1), (32, 64), (64, 32)], ids=str)
def test_equals_lightly(lambda_param: float, shape: tuple[int, int]) -> None:
    views = make_views(*shape, torch.float64)
    wanted = value_and_gradients(LightlyBarlowTwinsLoss(lambda_param), *views)
    got = value_and_gradients(BarlowTwinsLoss(lambda_param), *views)
    sizes = BARLOW_TWINS.sizes(*views, lambda_param=lambda_param)
    assert_near(got[0], wanted[0], sizes.value, 1e-10)
    for mine, theirs in zip(got[1:], wanted[1:], strict=True):
        assert_near(mine, theirs, sizes.gradient, 1e-10)


def test_lightly_conformance_at_full_width() -> None:
    """lightly's own case: 32 samples of the paper's 8192 features."""
    views = make_views(32, 8192)
    wanted = value_and_gradients(LightlyBarlowTwinsLoss(), *views)
    got = value_and_gradients(BarlowTwinsLoss(), *views)
    assert_near(got[0], wanted[0], wanted[0].item(), 1e-5)
    for mine, theirs in zip(got[1:], wanted[1:], strict=True):
        # Both are float32: the difference of two such errors.
        assert_near(mine, theirs, theirs.abs().max().item(), 2e-5)


def test_signature_is_that_of_lightly() -> None:
    mine, theirs = (
        inspect.signature(c).parameters for c in (BarlowTwinsLoss, LightlyBarlowTwinsLoss)
    )
    assert [(p.name, p.default) for p in mine.values()] == [
        (p.name, p.default) for p in theirs.values()
    ]
    mine, theirs = (inspect.signature(c.forward) for c in (BarlowTwinsLoss, LightlyBarlowTwinsLoss))
    assert list(mine.parameters) == list(theirs.parameters)


@both_sides
@wide_dtypes
def test_affine_maps_of_the_features_change_nothing(side: str, dtype: torch.dtype) -> None:
    """x -> 2 x + 4: exact in floating point but for ``eps`` and the rounding of the sum."""
    z1, z2 = make_views(32, 40, dtype)
    plain = barlow_twins_loss(z1, z2, side=side, eps=0.0)
    moved = barlow_twins_loss(2 * z1 + 4, 2 * z2 + 4, side=side, eps=0.0)
    assert_near(moved, plain, plain.item(), {torch.float32: 1e-5, torch.float64: 1e-13}[dtype])


@both_sides
def test_known_values(side: str) -> None:
    """Columns of a Hadamard matrix: standardised and uncorrelated as they stand."""
    h = torch.tensor([[1, 1, 1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1]], dtype=torch.float64)
    loss = lambda z1, z2: barlow_twins_loss(z1, z2, 0.25, eps=0.0, side=side).item()  # noqa: E731
    assert loss(h, h) == 0  # C is the identity
    assert loss(h, -h) == 3 * 4  # C is minus the identity
    assert loss(h, h.roll(1, 1)) == 3 + 0.25 * 3  # C is a permutation
    ones = torch.ones_like(h)
    assert barlow_twins_loss(ones, h, side=side).item() == 3  # a constant view: C is zero


@both_sides
def test_two_samples_have_almost_no_gradient(side: str) -> None:
    """Standardised columns of two samples are +-1 wherever they lie: only eps lets them move."""
    views = [z.requires_grad_() for z in make_views(2, 12, torch.float64)]
    barlow_twins_loss(*views, side=side).backward()
    exact = [z.detach().clone().requires_grad_() for z in views]
    barlow_twins_reference(*exact).backward()
    size = BARLOW_TWINS.sizes(*(z.detach() for z in views)).gradient
    assert exact[0].grad.abs().max() < 0.1 * size
    for mine, theirs in zip(views, exact, strict=True):
        assert_near(mine.grad, theirs.grad, size, 1e-10)


@pytest.mark.parametrize("eps", [0.0, 1e-5, 0.5])
@both_sides
def test_eps(side: str, eps: float) -> None:
    views = make_views(20, 15, torch.float64)
    wanted = barlow_twins_reference(*views, eps=eps)
    got = barlow_twins_loss(*views, eps=eps, side=side)
    assert_near(got, wanted, wanted.item(), 1e-10)


def test_module_is_the_function() -> None:
    views = make_views(20, 15)
    assert torch.equal(BarlowTwinsLoss(0.1)(*views), barlow_twins_loss(*views, 0.1))
    assert repr(BarlowTwinsLoss()) == (
        "BarlowTwinsLoss(lambda_param=0.005, gather_distributed=False)"
    )
    assert not list(BarlowTwinsLoss().parameters())
    assert not BarlowTwinsLoss().state_dict()
