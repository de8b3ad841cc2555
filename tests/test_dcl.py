"""DCL's special cases; the rest is in test_similarity*.py and test_dcl_loss.py."""

import math

import pytest
import torch

from ipse.functional import dcl_loss, dclw_loss
from tests.cross_correlation_cases import make_views, value_and_gradients
from tests.reference import similarity as reference


def test_orthogonal_samples_with_equal_views() -> None:
    """All 2N - 2 negatives at 0, the positive at 1: log(2N - 2) - 1 / T."""
    eye = torch.eye(5, dtype=torch.float64)
    assert dcl_loss(eye, eye, 0.5).item() == pytest.approx(math.log(8) - 2, rel=1e-14)


def test_one_sample_has_no_negatives() -> None:
    value, *gradients = value_and_gradients(dcl_loss, *make_views(1, 5, torch.float64))
    assert value == -torch.inf
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_weights_of_the_positives() -> None:
    z1, z2 = make_views(7, 5, torch.float64)
    weights = torch.linspace(-1, 2, 7, dtype=torch.float64)
    mine, exact = (weights.clone().requires_grad_() for _ in range(2))
    value, wanted = dcl_loss(z1, z2, 0.2, mine), reference.dcl(z1, z2, 0.2, exact)
    torch.testing.assert_close(value, wanted, rtol=1e-12, atol=0)
    value.backward()
    wanted.backward()
    torch.testing.assert_close(mine.grad, exact.grad, rtol=1e-12, atol=0)
    torch.testing.assert_close(dcl_loss(z1, z2, 0.2, torch.ones(7)), dcl_loss(z1, z2, 0.2))


def test_temperature_for_each_sample() -> None:
    z1, z2 = make_views(7, 5, torch.float64)
    temperatures = torch.linspace(0.1, 0.9, 7, dtype=torch.float64)
    wanted = reference.dcl(z1, z2, temperatures)
    torch.testing.assert_close(dcl_loss(z1, z2, temperatures), wanted, rtol=1e-12, atol=0)
    ones = torch.ones(7, dtype=torch.float64)
    torch.testing.assert_close(dcl_loss(z1, z2, temperatures, ones), wanted, rtol=1e-12, atol=0)


@pytest.mark.parametrize("sigma", [0.1, 0.5, 5.0])
def test_weighted_loss(sigma: float) -> None:
    """No gradient passes through the weights."""
    views = make_views(9, 6, torch.float64)
    mine = value_and_gradients(dclw_loss, *views, 0.2, sigma)
    for got, wanted in zip(
        mine, value_and_gradients(reference.dclw, *views, 0.2, sigma), strict=True
    ):
        torch.testing.assert_close(got, wanted, rtol=1e-11, atol=1e-13)


def test_weights_of_equally_hard_positives_are_one() -> None:
    z = make_views(9, 6, torch.float64)[0]
    torch.testing.assert_close(dclw_loss(z, 3 * z), dcl_loss(z, 3 * z), rtol=1e-12, atol=0)
