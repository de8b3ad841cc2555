"""CLIP's special cases; the rest is in test_similarity*.py and test_image_text_losses.py."""

import math

import pytest
import torch

from ipse.functional import clip_loss, info_nce_loss
from tests.cross_correlation_cases import make_views


def test_is_the_mean_of_both_directions() -> None:
    image, text = (torch.nn.functional.normalize(z, dim=1) for z in make_views(9, 5, torch.float64))
    both = info_nce_loss(image, text, None, 0.2) + info_nce_loss(text, image, None, 0.2)
    torch.testing.assert_close(clip_loss(image, text, 5.0), both / 2, rtol=1e-12, atol=0)
    torch.testing.assert_close(clip_loss(text, image, 5.0), both / 2, rtol=1e-12, atol=0)


def test_known_values() -> None:
    eye = torch.eye(5, dtype=torch.float64)
    wanted = math.log(1 + 4 * math.exp(-2))
    assert clip_loss(eye, eye, 2.0).item() == pytest.approx(wanted, rel=1e-14)
    assert clip_loss(eye, eye, 0.0).item() == pytest.approx(math.log(5), rel=1e-14)
    assert clip_loss(eye[:1], eye[1:2], 3.0).item() == 0


def test_scale_as_open_clip_has_it() -> None:
    """A one-element tensor, the exponential of a parameter, at its bound of 100."""
    image, text = (torch.nn.functional.normalize(z, dim=1) for z in make_views(40, 16))
    log_scale = torch.tensor([math.log(100)], requires_grad=True)
    clip_loss(image, text, log_scale.exp()).backward()
    exact = torch.tensor(100.0, dtype=torch.float64, requires_grad=True)
    clip_loss(image.double(), text.double(), exact).backward()
    assert log_scale.grad.item() == pytest.approx(100 * exact.grad.item(), rel=1e-4)
