"""SigLIP's special cases; the rest is in test_similarity*.py and test_image_text_losses.py."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ipse.functional import siglip_loss
from tests.cross_correlation_cases import make_views, value_and_gradients


def test_known_values() -> None:
    eye = torch.eye(5, dtype=torch.float64)
    wanted = math.log1p(math.exp(-3)) + 4 * math.log1p(math.exp(-1))
    assert siglip_loss(eye, eye, 4.0, -1.0).item() == pytest.approx(wanted, rel=1e-14)
    assert siglip_loss(eye, eye, 0.0).item() == pytest.approx(5 * math.log(2), rel=1e-14)


@pytest.mark.parametrize("logit", [-300.0, -30.0, 30.0, 300.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits(logit: float, dtype: torch.dtype) -> None:
    """Nothing overflows, and a confident right answer costs next to nothing."""
    one = torch.ones(1, 1, dtype=dtype)
    value, *gradients = value_and_gradients(siglip_loss, one, one, logit)
    assert value.item() == pytest.approx(max(-logit, 0), rel=1e-6, abs=1e-12)
    wanted = -logit if logit < 0 else 0
    assert gradients[0].item() == pytest.approx(wanted, rel=1e-6, abs=1e-10)


def all_negative(image: Tensor, text: Tensor, scale: float, bias: float) -> Tensor:
    return -logsigmoid(-(scale * image @ text.T + bias)).sum() / len(image)


@pytest.mark.parametrize("columns", [1, 4, 9, 70])
def test_unpaired(columns: int) -> None:
    """Texts of another process: no pair belongs together, and their number is their own."""
    image = make_views(6, 5, torch.float64)[0]
    text = make_views(columns, 5, torch.float64, seed=1)[0]
    unpaired = lambda i, t: siglip_loss(i, t, 2.0, -1.0, paired=False)  # noqa: E731
    exact = value_and_gradients(lambda i, t: all_negative(i, t, 2.0, -1.0), image, text)
    for got, wanted in zip(value_and_gradients(unpaired, image, text), exact, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-14)


def test_gradgradcheck_unpaired() -> None:
    image = make_views(4, 3, torch.float64)[0]
    text = make_views(5, 3, torch.float64, seed=1)[0]
    numbers = torch.tensor([1.5, -0.5], dtype=torch.float64).unbind()
    leaves = [x.clone().requires_grad_() for x in (image, text, *numbers)]
    function = lambda *x: siglip_loss(*x, paired=False)  # noqa: E731
    assert torch.autograd.gradcheck(function, leaves)
    assert torch.autograd.gradgradcheck(function, leaves)
