"""``ClipLoss`` and ``SigLipLoss`` in place of open_clip's, on one process."""

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from ipse.functional import clip_loss, siglip_loss
from ipse.losses import ClipLoss, SigLipLoss
from tests.cross_correlation_cases import make_views
from tests.reference import similarity as reference

SHAPES = [(1, 4), (2, 1), (5, 3), (33, 16)]


def make_pairs(samples: int, features: int) -> tuple[Tensor, Tensor]:
    image, text = make_views(samples, features, torch.float64)
    return normalize(image, dim=1), normalize(text, dim=1)


def everything(loss: Any, *inputs: Tensor) -> list[Tensor]:
    """The value and the gradients by all inputs."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    value = loss(*leaves)
    return [value.detach(), *torch.autograd.grad(value, leaves)]


def assert_same(mine: list[Tensor], theirs: list[Tensor]) -> None:
    for got, wanted in zip(mine, theirs, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-12)


def cross_entropies(image: Tensor, text: Tensor, logit_scale: Tensor) -> Tensor:
    """open_clip's lines: cross entropy both ways, with the diagonal as labels."""
    logits = logit_scale * image @ text.T
    labels = torch.arange(len(image))
    return (cross_entropy(logits, labels) + cross_entropy(logits.T, labels)) / 2


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("scale", [1.0, 14.3, 100.0, -2.0])
def test_clip(shape: tuple[int, int], scale: float) -> None:
    pairs = (*make_pairs(*shape), torch.tensor(scale, dtype=torch.float64))
    mine = everything(ClipLoss(), *pairs)
    assert_same(mine, everything(reference.clip, *pairs))
    assert_same(mine, everything(cross_entropies, *pairs))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("scale", "bias"), [(10.0, -10.0), (1.0, 0.0), (100.0, 5.0), (-3.0, 1.0)])
def test_siglip(shape: tuple[int, int], scale: float, bias: float) -> None:
    numbers = torch.tensor([scale, bias], dtype=torch.float64).unbind()
    pairs = (*make_pairs(*shape), *numbers)
    assert_same(everything(SigLipLoss(), *pairs), everything(reference.siglip, *pairs))


def test_siglip_without_bias() -> None:
    image, text = make_pairs(5, 3)
    torch.testing.assert_close(SigLipLoss()(image, text, 3.0), reference.siglip(image, text, 3.0))


def test_bias_of_clip_changes_nothing() -> None:
    image, text = make_pairs(5, 3)
    bias = torch.tensor(3.0, requires_grad=True)
    loss = ClipLoss()(image, text, 2.0, bias)
    assert torch.equal(loss.detach(), ClipLoss()(image, text, 2.0))
    loss.backward()
    assert bias.grad == 0


def test_features_are_not_normalised() -> None:
    image, text = make_pairs(5, 3)
    for loss, exact in ((ClipLoss(), reference.clip), (SigLipLoss(), reference.siglip)):
        torch.testing.assert_close(loss(2 * image, text, 3.0), exact(2 * image, text, 3.0))


def test_output_dictionary() -> None:
    image, text = make_pairs(5, 3)
    for loss in (ClipLoss(), SigLipLoss()):
        found = loss(image, text, 3.0, output_dict=True)
        assert list(found) == ["contrastive_loss"]
        assert torch.equal(found["contrastive_loss"], loss(image, text, 3.0))


# Of open_clip 2.32 and later; what we add comes after.
SIGNATURES = {
    ClipLoss: {
        "local_loss": False,
        "gather_with_grad": False,
        "cache_labels": False,
        "rank": 0,
        "world_size": 1,
    },
    SigLipLoss: {
        "cache_labels": False,
        "rank": 0,
        "world_size": 1,
        "dist_impl": None,
        "chunk_size": 0,
    },
}


@pytest.mark.parametrize("loss", SIGNATURES)
def test_signature_is_that_of_open_clip(loss: type) -> None:
    wanted = SIGNATURES[loss]
    mine = {p.name: p.default for p in inspect.signature(loss).parameters.values()}
    assert list(mine.items())[: len(wanted)] == list(wanted.items())
    forward = list(inspect.signature(loss.forward).parameters)
    names = ["image_features", "text_features", "logit_scale", "logit_bias", "output_dict"]
    assert forward == ["self", *names]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("loss", [ClipLoss(), SigLipLoss()], ids=["clip", "siglip"])
def test_half_precision(loss: Any, dtype: torch.dtype) -> None:
    image, text = (x.to(dtype) for x in make_pairs(9, 8))
    value, *gradients = everything(lambda a, b: loss(a, b, 10.0, -3.0), image, text)
    exact, *wanted = everything(lambda a, b: loss(a, b, 10.0, -3.0), image.double(), text.double())
    assert value.dtype is torch.float32
    assert value.item() == pytest.approx(exact.item(), rel=1e-5)
    for got, gradient in zip(gradients, wanted, strict=True):
        assert got.dtype is dtype
        assert (got.double() - gradient).abs().max() < 2**-7 * gradient.abs().max()


def test_modules_are_the_functions() -> None:
    image, text = make_views(20, 15)
    assert torch.equal(ClipLoss()(image, text, 2.0), clip_loss(image, text, 2.0))
    assert torch.equal(SigLipLoss()(image, text, 2.0, -1.0), siglip_loss(image, text, 2.0, -1.0))
    assert "ring=False" in repr(ClipLoss())
    assert "dist_impl='bidir'" in repr(SigLipLoss())
    assert not ClipLoss().state_dict()


def test_errors() -> None:
    with pytest.raises(ValueError, match="ClipLoss: ring=True needs gather_with_grad=True"):
        ClipLoss(ring=True)
    with pytest.raises(ValueError, match="SigLipLoss: dist_impl must be one of bidir, shift, red"):
        SigLipLoss(dist_impl="tree")
