"""NT-Xent's special cases; the rest is in test_similarity*.py and test_ntxent_loss.py."""

import math

import pytest
import torch
from torch import Tensor

from ipse.functional import ntxent_loss
from tests.cross_correlation_cases import make_views, value_and_gradients
from tests.reference.similarity import ntxent as reference


@pytest.mark.parametrize("samples", [1, 2, 7, 100])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_identical_rows_give_the_logarithm_of_their_number(
    samples: int, dtype: torch.dtype
) -> None:
    row = torch.tensor([0.6, 0.8], dtype=dtype).expand(samples, 2)
    for temperature in (0.01, 1.0, -0.5):
        loss = ntxent_loss(row, row, temperature).item()
        assert loss == pytest.approx(math.log(2 * samples - 1), rel=1e-6, abs=1e-6)


def test_orthogonal_samples_with_equal_views() -> None:
    """s = 1 for the positive, 0 for all 2N - 2 others: log(1 + (2N - 2) exp(-1 / T))."""
    eye = torch.eye(5, dtype=torch.float64)
    wanted = math.log(1 + 8 * math.exp(-2))
    assert ntxent_loss(eye, eye, 0.5).item() == pytest.approx(wanted, rel=1e-14)


def test_one_sample_has_loss_zero_and_no_gradient() -> None:
    value, *gradients = value_and_gradients(ntxent_loss, *make_views(1, 5, torch.float64))
    assert value.item() == pytest.approx(0, abs=1e-14)
    assert all(gradient.abs().max() < 1e-13 for gradient in gradients)


def test_order_and_length_of_rows_do_not_matter() -> None:
    z1, z2 = make_views(12, 6, torch.float64)
    loss = ntxent_loss(z1, z2)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ntxent_loss(z1[order], z2[order]), loss, rtol=1e-13, atol=0)
    torch.testing.assert_close(ntxent_loss(z2, z1), loss, rtol=1e-13, atol=0)
    lengths = torch.linspace(0.1, 9, 12, dtype=torch.float64)[:, None]
    torch.testing.assert_close(ntxent_loss(z1 * lengths, z2), loss, rtol=1e-13, atol=0)


@pytest.mark.parametrize("views", [3, 4])
def test_more_views(views: int) -> None:
    leaves = [
        make_views(6, 5, torch.float64, seed=seed)[0].requires_grad_() for seed in range(views)
    ]
    exact = [leaf.detach().clone().requires_grad_() for leaf in leaves]
    value = ntxent_loss(leaves[0], leaves[1], 0.3, extra_views=leaves[2:])
    wanted = reference(exact[0], exact[1], 0.3, exact[2:])
    torch.testing.assert_close(value, wanted, rtol=1e-12, atol=0)
    found = torch.autograd.grad(value, leaves)
    for got, gradient in zip(found, torch.autograd.grad(wanted, exact), strict=True):
        torch.testing.assert_close(got, gradient, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("form", ["for each sample", "for each row", "one value"])
def test_forms_of_the_temperature(form: str) -> None:
    z1, z2 = make_views(6, 5, torch.float64)
    each = torch.linspace(0.1, 0.9, 6, dtype=torch.float64)
    given: Tensor = {
        "for each sample": each,
        "for each row": each.repeat(2),
        "one value": each[2:3],
    }[form]
    leaf = given.clone().requires_grad_()
    exact = (each if form != "one value" else each[2]).clone().requires_grad_()
    value, wanted = ntxent_loss(z1, z2, leaf), reference(z1, z2, exact)
    torch.testing.assert_close(value, wanted, rtol=1e-12, atol=0)
    value.backward()
    wanted.backward()
    gradient = leaf.grad.view(-1, *exact.shape).sum(0)
    torch.testing.assert_close(gradient.view(exact.shape), exact.grad, rtol=1e-11, atol=1e-14)


def test_a_row_of_a_thousand_equal_negatives() -> None:
    """The sum of many equal terms keeps its digits in float32."""
    z = torch.zeros(1000, 4)
    z[:, 0] = 1
    assert ntxent_loss(z, z, 0.01).item() == pytest.approx(math.log(1999), rel=1e-6)
