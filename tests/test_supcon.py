"""SupCon's function: derivatives and the two conventions; the module is in test_supcon_loss.py."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ipse.functional import supcon_loss
from tests.reference.similarity import supcon as reference


def make_features(samples: int, views: int, features: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (samples, views, features)
    return torch.randn(shape, generator=generator, dtype=torch.float64) / features**0.5


@given(
    samples=st.integers(1, 15),
    views=st.integers(1, 4),
    features=st.integers(1, 20),
    classes=st.integers(1, 6),
    temperature=st.sampled_from([0.07, 0.5, 5.0]),
    contrast_mode=st.sampled_from(["all", "one"]),
    reduction=st.sampled_from(["mean", "positives"]),
    seed=st.integers(0, 2**16),
)
def test_equals_the_reference(
    samples: int,
    views: int,
    features: int,
    classes: int,
    temperature: float,
    contrast_mode: str,
    reduction: str,
    seed: int,
) -> None:
    if samples * views == 1:
        views = 2
    labels = torch.randint(classes, (samples,), generator=torch.Generator().manual_seed(seed))
    leaves = [make_features(samples, views, features, seed).requires_grad_() for _ in range(2)]
    keywords = {
        "temperature": temperature,
        "contrast_mode": contrast_mode,
        "reduction": reduction,
    }
    value = supcon_loss(leaves[0], labels, **keywords)
    wanted = reference(leaves[1], labels, **keywords)
    torch.testing.assert_close(value, wanted, rtol=1e-10, atol=1e-11)
    value.backward()
    wanted.backward()
    size = max(1.0, leaves[1].grad.abs().max().item())
    torch.testing.assert_close(leaves[0].grad, leaves[1].grad, rtol=1e-9, atol=1e-11 * size)


@pytest.mark.parametrize("kind", ["labels", "mask", "views"])
@pytest.mark.parametrize("contrast_mode", ["all", "one"])
def test_gradgradcheck(kind: str, contrast_mode: str) -> None:
    leaf = make_features(4, 2, 3).requires_grad_()
    labels = torch.tensor([0, 1, 0, 2]) if kind == "labels" else None
    mask = torch.rand(4, 4, generator=torch.Generator().manual_seed(0)).double()
    mask = mask if kind == "mask" else None
    function = lambda f: supcon_loss(f, labels, mask, 0.5, contrast_mode=contrast_mode)  # noqa: E731
    assert torch.autograd.gradcheck(function, leaf)
    assert torch.autograd.gradgradcheck(function, leaf)


def test_a_single_row() -> None:
    """It has neither positives nor negatives."""
    leaf = make_features(1, 1, 3).requires_grad_()
    for reduction in ("mean", "positives"):
        value = supcon_loss(leaf, torch.tensor([4]), reduction=reduction)
        assert value == 0
        (gradient,) = torch.autograd.grad(value, leaf)
        assert (gradient == 0).all()


def test_conventions_differ_by_the_share_of_anchors_with_a_positive() -> None:
    features = make_features(7, 1, 4)
    labels = torch.tensor([0, 1, 0, 2, 0, 1, 5])  # five of the seven have one
    mean = supcon_loss(features, labels, reduction="mean")
    positives = supcon_loss(features, labels, reduction="positives")
    torch.testing.assert_close(mean, positives * 5 / 7, rtol=1e-13, atol=0)
