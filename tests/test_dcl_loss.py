"""``DCLLoss`` and ``DCLWLoss`` in place of lightly's."""

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightly.loss import DCLLoss as LightlyDCLLoss
from lightly.loss import DCLWLoss as LightlyDCLWLoss
from torch import Tensor, nn

from ipse.functional import dcl_loss, dclw_loss
from ipse.losses import DCLLoss, DCLWLoss
from tests.cross_correlation_cases import make_views, value_and_gradients
from tests.reference import similarity as reference

SHAPES = [(2, 1), (3, 2), (8, 16), (33, 64)]


def assert_equal_losses(mine: Callable[..., Tensor], theirs: Any, *views: Tensor) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lightly copies a tensor by torch.tensor
        wanted = value_and_gradients(theirs, *views)
    for got, exact in zip(value_and_gradients(mine, *views), wanted, strict=True):
        torch.testing.assert_close(got, exact, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0, 10.0])
def test_equals_lightly(shape: tuple[int, int], temperature: float) -> None:
    views = make_views(*shape, torch.float64)
    assert_equal_losses(DCLLoss(temperature), LightlyDCLLoss(temperature), *views)
    for sigma in (0.2, 0.5, 3.0):
        mine, theirs = DCLWLoss(temperature, sigma), LightlyDCLWLoss(temperature, sigma)
        assert_equal_losses(mine, theirs, *views)


WEIGHTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "by order": lambda z0, z1: z0[:, 0] - 2 * z1[:, 1],
    "with a gradient": lambda z0, z1: (z0 - z1).square().sum(1),
    "of the batch": lambda z0, z1: torch.softmax((z0 * z1).sum(1), 0),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weight_function_equals_lightly(name: str) -> None:
    """It sees the normalised views, each first once, and may carry a gradient."""
    views = make_views(9, 6, torch.float64)
    mine, theirs = (loss(0.3, WEIGHTS[name]) for loss in (DCLLoss, LightlyDCLLoss))
    assert_equal_losses(mine, theirs, *views)


@pytest.mark.parametrize(
    ("mine", "theirs"), [(DCLLoss, LightlyDCLLoss), (DCLWLoss, LightlyDCLWLoss)]
)
def test_signature_is_that_of_lightly(mine: type, theirs: type) -> None:
    ours, lightlys = (inspect.signature(c).parameters for c in (mine, theirs))
    assert [(p.name, p.default) for p in ours.values()] == [
        (p.name, p.default) for p in lightlys.values()
    ]
    ours, lightlys = (inspect.signature(c.forward) for c in (mine, theirs))
    assert list(ours.parameters) == list(lightlys.parameters)


def test_equals_the_double_loop() -> None:
    for shape in SHAPES:
        views = make_views(*shape, torch.float64)
        torch.testing.assert_close(DCLLoss()(*views), reference.dcl(*views))
        torch.testing.assert_close(DCLWLoss()(*views), reference.dclw(*views))


def test_one_sample_has_no_negatives() -> None:
    views = make_views(1, 4)
    assert DCLLoss()(*views) == LightlyDCLLoss()(*views) == -torch.inf


def test_zero_rows() -> None:
    z1, z2 = make_views(6, 5, torch.float64)
    z1[2], z2[2], z2[4] = 0, 0, 0
    for mine, exact in ((DCLLoss(), reference.dcl), (DCLWLoss(), reference.dclw)):
        wanted = value_and_gradients(exact, z1, z2)
        for got, part in zip(value_and_gradients(mine, z1, z2), wanted, strict=True):
            assert got.isfinite().all()
            torch.testing.assert_close(got, part, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("loss", [DCLLoss(), DCLWLoss(), DCLLoss(0.1, WEIGHTS["with a gradient"])])
def test_half_precision(dtype: torch.dtype, loss: DCLLoss) -> None:
    views = make_views(8, 5, dtype)
    value, *gradients = value_and_gradients(loss, *views)
    exact, *wanted = value_and_gradients(loss, *(view.double() for view in views))
    assert value.dtype is torch.float32
    assert value.item() == pytest.approx(exact.item(), rel=1e-2)
    for got, gradient in zip(gradients, wanted, strict=True):
        assert got.dtype is dtype
        assert (got.double() - gradient).abs().max() < 2e-2 * gradient.abs().max()


def test_learned_temperature() -> None:
    views = make_views(7, 5, torch.float64)
    for loss_type, exact in ((DCLLoss, reference.dcl), (DCLWLoss, reference.dclw)):
        loss = loss_type(nn.Parameter(torch.tensor(0.3, dtype=torch.float64)))
        loss(*views).backward()
        temperature = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
        exact(*views, temperature).backward()
        torch.testing.assert_close(loss.temperature.grad, temperature.grad)


def test_module_is_the_function() -> None:
    views = make_views(20, 15)
    assert torch.equal(DCLLoss(0.2)(*views), dcl_loss(*views, 0.2))
    assert torch.equal(DCLWLoss(0.2, 0.4)(*views), dclw_loss(*views, 0.2, 0.4))
    assert repr(DCLLoss()) == "DCLLoss(temperature=0.1, gather_distributed=False)"
    assert repr(DCLWLoss()) == "DCLWLoss(temperature=0.1, gather_distributed=False, sigma=0.5)"


@pytest.mark.parametrize("loss", [DCLLoss, DCLWLoss])
def test_no_temperature(loss: type) -> None:
    with pytest.raises(ValueError, match=f"{loss.__name__}: temperature must be at least 1e-08"):
        loss(0.0)
