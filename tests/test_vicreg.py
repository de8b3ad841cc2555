"""VICReg: what is special about it, and that it can stand in for lightly's."""

import inspect

import pytest
import torch
from lightly.loss import VICRegLoss as LightlyVICRegLoss

from ipse.functional import vicreg_loss
from ipse.losses import VICRegLoss
from tests.cross_correlation_cases import (
    VICREG,
    assert_near,
    both_sides,
    make_views,
    value_and_gradients,
)
from tests.reference.cross_correlation import vicreg as vicreg_reference

WEIGHTS = [(25.0, 25.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (2.0, 3.0, 40.0)]


@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
@pytest.mark.parametrize("shape", [(2, 1), (32, 64), (64, 32)], ids=str)
def test_equals_lightly(weights: tuple[float, float, float], shape: tuple[int, int]) -> None:
    views = make_views(*shape, torch.float64)
    wanted = value_and_gradients(LightlyVICRegLoss(*weights), *views)
    got = value_and_gradients(VICRegLoss(*weights), *views)
    sizes = VICREG.sizes(*views, *weights)
    assert_near(got[0], wanted[0], sizes.value, 1e-10)
    for mine, theirs in zip(got[1:], wanted[1:], strict=True):
        assert_near(mine, theirs, sizes.gradient, 1e-10)


@pytest.mark.parametrize("shape", [(6, 1, 5), (9, 4, 7), (5, 2, 3, 8)], ids=str)
def test_equals_lightly_with_positions(shape: tuple[int, ...]) -> None:
    """(N, ..., D): the mean over the positions, as VICRegL needs it."""
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    wanted = value_and_gradients(LightlyVICRegLoss(), z[0], z[1])
    got = value_and_gradients(VICRegLoss(), z[0], z[1])
    assert_near(got[0], wanted[0], wanted[0].item(), 1e-10)
    for mine, theirs in zip(got[1:], wanted[1:], strict=True):
        assert_near(mine, theirs, theirs.abs().max().item(), 1e-10)


def test_equals_lightly_in_float32_at_width() -> None:
    views = make_views(32, 2048)
    wanted = value_and_gradients(LightlyVICRegLoss(), *views)
    got = value_and_gradients(VICRegLoss(), *views)
    assert_near(got[0], wanted[0], wanted[0].item(), 1e-5)
    for mine, theirs in zip(got[1:], wanted[1:], strict=True):
        # Both are float32: the difference of two such errors.
        assert_near(mine, theirs, theirs.abs().max().item(), 2e-5)


def test_signature_is_that_of_lightly() -> None:
    mine, theirs = (inspect.signature(c).parameters for c in (VICRegLoss, LightlyVICRegLoss))
    assert [(p.name, p.default) for p in mine.values()] == [
        (p.name, p.default) for p in theirs.values()
    ]
    mine, theirs = (inspect.signature(c.forward) for c in (VICRegLoss, LightlyVICRegLoss))
    assert list(mine.parameters) == list(theirs.parameters)


@both_sides
def test_a_common_shift_changes_nothing(side: str) -> None:
    z1, z2 = make_views(32, 40, torch.float64)
    plain = vicreg_loss(z1, z2, side=side)
    assert_near(vicreg_loss(z1 + 8, z2 + 8, side=side), plain, plain.item(), 1e-13)
    # A shift of one view alone is what the invariance term sees.
    lone = vicreg_loss(z1 + 8, z2, 1.0, 0.0, 0.0, side=side)
    assert_near(lone, (z1 + 8 - z2).square().mean(), lone.item(), 1e-13)


@both_sides
def test_known_values(side: str) -> None:
    """Columns of a Hadamard matrix have variance 4/3 (unbiased) and no covariance."""
    h = torch.tensor([[1, 1, 1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1]], dtype=torch.float64)
    loss = lambda *a: vicreg_loss(*a, eps=0.0, side=side).item()  # noqa: E731
    assert loss(h, h, 25.0, 25.0, 0.0) == 0  # equal, and every deviation above 1
    assert loss(h, -h, 1.0, 0.0, 0.0) == 4  # mean of (2 h)^2
    assert loss(0 * h, 0 * h, 0.0, 25.0, 0.0) == 25  # collapsed: the whole hinge
    assert abs(loss(h, h, 0.0, 0.0, 1.0)) < 1e-14
    # One column in all three places: every covariance is 4/3, six of them off the diagonal.
    same = h[:, :1].expand(4, 3)
    assert loss(same, same, 0.0, 0.0, 1.0) == pytest.approx(2 * 6 / 3 * (4 / 3) ** 2, rel=1e-14)


@pytest.mark.parametrize("eps", [0.0, 1e-4, 0.5])
@both_sides
def test_eps(side: str, eps: float) -> None:
    views = make_views(20, 15, torch.float64, scale=0.5)
    wanted = vicreg_reference(*views, eps=eps)
    got = vicreg_loss(*views, eps=eps, side=side)
    assert_near(got, wanted, wanted.item(), 1e-10)


def test_module_is_the_function() -> None:
    views = make_views(20, 15)
    module = VICRegLoss(2.0, 3.0, 4.0, eps=0.1)
    assert torch.equal(module(*views), vicreg_loss(*views, 2.0, 3.0, 4.0, eps=0.1))
    assert repr(module) == (
        "VICRegLoss(lambda_param=2.0, mu_param=3.0, nu_param=4.0, "
        "gather_distributed=False, eps=0.1)"
    )
    assert not list(module.parameters())
    assert not module.state_dict()


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ((1, 4), (1, 4), "at least 2 samples, got 1"),
        ((1, 3, 4), (1, 3, 4), "at least 2 samples, got 1"),
        ((5, 3, 4), (5, 3, 5), r"\(5, 3, 4\)"),
        ((5, 3, 0), (5, 3, 0), "at least 1 feature, got 0"),
        ((5, 0, 4), (5, 0, 4), r"\(5, 0, 4\)"),
        ((4,), (4,), r"must be \(N, D\), got shape \(4,\)"),
    ],
    ids=str,
)
def test_module_names_bad_shapes(
    first: tuple[int, ...], second: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        VICRegLoss()(torch.zeros(first), torch.zeros(second))
