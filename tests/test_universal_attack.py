"""AdvEncoder's attack and defences: bounds, exactness, what is refused."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ipse.evaluation import (
    PREPROCESSING,
    AttackSettings,
    UniversalPerturbation,
    fine_tune_classifier,
    fit_mlp_head,
    fit_universal_perturbation,
    measure_robustness,
    prune_encoder,
    random_signs,
)
from ipse.evaluation.perturbation_generator import PerturbationGenerator
from ipse.evaluation.universal_attack import _loss
from ipse.evaluation.universal_perturbation import corner_patch_mask


def make_encoder(channels: int = 1) -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(channels, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.LazyLinear(6)]
    encoder = nn.Sequential(*layers).eval()
    encoder(torch.zeros(1, channels, 12, 12))
    return encoder


def make_images(count: int = 40, channels: int = 1) -> Tensor:
    return torch.rand(count, channels, 12, 12, generator=torch.Generator().manual_seed(1))


QUICK: dict[str, Any] = {"epochs": 2, "batch_size": 16, "radius": 2.0, "width": 16}
KINDS = [
    {"source": "direct"},
    {"source": "generator", "noise_samples": 3},
    {"source": "direct", "criterion": "cosine"},
    {"source": "direct", "mode": "patch", "patch_area": 0.1},
    {"source": "generator", "mode": "patch", "patch_area": 0.1, "noise_samples": 2},
    {"source": "direct", "alpha": 0.0},
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_bounded_and_the_same_for_the_same_seed(kind: dict[str, Any]) -> None:
    encoder, images = make_encoder(), make_images()
    settings = AttackSettings(epsilon=0.1, **QUICK, **kind)
    learned = fit_universal_perturbation(encoder, images, settings, seed=3)
    assert learned.delta.shape == (1, 1, 12, 12)
    assert len(learned.losses) == 2
    perturbed = learned(images)
    assert perturbed.min() >= 0
    assert perturbed.max() <= 1
    if settings.mode == "perturbation":
        assert learned.delta.abs().max() <= torch.tensor(0.1)
        assert (perturbed - images).abs().max() <= 0.1 + 1e-7
    else:
        assert learned.mask is not None
        outside = learned.mask.expand_as(images) == 0
        assert torch.equal(perturbed[outside], images[outside])
    again = fit_universal_perturbation(encoder, images, settings, seed=3)
    assert torch.equal(again.delta, learned.delta)
    assert again.losses == learned.losses
    other = fit_universal_perturbation(encoder, images, settings, seed=4)
    assert not torch.equal(other.delta, learned.delta)
    # The encoder is as it was, and has no gradient.
    assert all(parameter.grad is None for parameter in encoder.parameters())


def test_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    fit_universal_perturbation(make_encoder(), make_images(), AttackSettings(**QUICK))
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), wanted)


def test_the_attack_goes_down_further_than_chance() -> None:
    encoder, images = make_encoder(), make_images(64)
    settings = AttackSettings(epsilon=0.2, source="direct", **{**QUICK, "epochs": 15})
    learned = fit_universal_perturbation(encoder, images, settings)

    def loss(perturb: UniversalPerturbation) -> float:
        with torch.no_grad():
            return float(_loss(encoder, images, encoder(images), perturb, settings))

    chance = [loss(random_signs((1, 12, 12), 0.2, seed)) for seed in range(5)]
    assert loss(learned) < min(chance)


@pytest.mark.parametrize("criterion", ["info_nce", "cosine"])
def test_loss_is_the_papers(criterion: str) -> None:
    """alpha L_adv + L_q + L_hf with the FFTs written out."""
    encoder, images = make_encoder(), make_images(9).double()
    encoder.double()
    perturb = UniversalPerturbation(0.3 * (2 * make_images(1).double() - 1))
    settings = AttackSettings(**QUICK, criterion=criterion)
    x, changed = images, perturb(images)
    rows = torch.fft.fftfreq(12, 1 / 12, dtype=torch.float64)
    keep = (rows[:, None] ** 2 + rows**2).sqrt() >= settings.radius

    def high(z: Tensor) -> Tensor:
        return torch.fft.ifft2(torch.fft.fft2(z) * keep).real

    a, b = encoder(x), encoder(changed)
    if criterion == "info_nce":
        logits = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / settings.temperature
        adversarial = -F.cross_entropy(logits, torch.arange(9))
    else:
        adversarial = F.cosine_similarity(a, b).mean()
    visible = (changed - x).square().mean()
    hidden = -(high(x) - high(changed)).square().mean()
    wanted = settings.alpha * adversarial + visible + hidden
    got = _loss(encoder, x, a, perturb, settings)
    torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-12)


def test_generator_is_the_papers_at_64_pixels() -> None:
    generator = PerturbationGenerator(3, 64, 64, samples=2)
    shapes = [
        tuple(module.weight.shape)
        for module in generator.modules()
        if isinstance(module, nn.ConvTranspose2d)
    ]
    assert shapes == [
        (100, 1024, 4, 4),
        (1024, 512, 4, 4),
        (512, 256, 4, 4),
        (256, 128, 4, 4),
        (128, 3, 4, 4),
    ]
    assert generator.merge.weight.shape == (1, 2, 3, 3)
    assert generator().shape == (1, 3, 64, 64)


@pytest.mark.parametrize("size", [(4, 4), (8, 8), (28, 28), (20, 33), (200, 100)])
def test_generator_of_any_size(size: tuple[int, int]) -> None:
    assert PerturbationGenerator(2, *size, samples=2, largest=16)().shape == (1, 2, *size)


def test_patch_is_the_papers_at_64_pixels() -> None:
    mask = corner_patch_mask(64, 64, 0.03)
    assert int(mask.sum()) == 11 * 11
    assert mask[0, 0, 39:50, 39:50].min() == 1
    with pytest.raises(ValueError, match="area must give a square that fits a 8 x 8 image"):
        corner_patch_mask(8, 8, 0.01)


def test_robustness_counts() -> None:
    labels = torch.tensor([0, 1, 1, 0])
    images = torch.tensor([0.0, 1.0, 0.2, 0.9]).view(4, 1, 1, 1)

    def classify(x: Tensor) -> Tensor:
        bright = x.flatten(1)
        return torch.cat([0.5 - bright, bright - 0.5], 1)

    result = measure_robustness(classify, images, labels, lambda x: 1 - x, batch_size=3)
    assert (result.clean, result.adversarial) == (50, 50)
    assert (result.decline, result.fooling) == (0, 100)
    dark = measure_robustness(classify, images, labels, torch.zeros_like)
    assert (dark.adversarial, dark.fooling) == (50, 50)
    with pytest.raises(ValueError, match="images and labels must be as many"):
        measure_robustness(classify, images, labels[:2], torch.zeros_like)


def test_head_learns_and_repeats() -> None:
    source = torch.Generator().manual_seed(0)
    labels = torch.arange(300) % 3
    features = 3 * F.one_hot(labels, 8).float() + torch.randn(300, 8, generator=source)
    head = fit_mlp_head(features, labels, 3, epochs=20, batch_size=32)
    assert float((head(features).argmax(1) == labels).double().mean()) > 0.9
    again = fit_mlp_head(features, labels, 3, epochs=20, batch_size=32)
    assert torch.equal(head(features), again(features))


def test_defences_return_something_new() -> None:
    encoder, images = make_encoder(), make_images()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    for defend in PREPROCESSING.values():
        seen = defend(images)
        assert seen.shape == images.shape
        assert seen.min() >= 0
        assert seen.max() <= 1
        assert torch.equal(seen, defend(images))
    pruned = prune_encoder(encoder, 0.5)
    weights = torch.cat([m.weight.flatten() for m in (pruned[0], pruned[3])])
    assert int((weights == 0).sum()) == weights.numel() // 2
    assert torch.equal(prune_encoder(encoder, 0.0)(images), encoder(images))
    labels = torch.arange(40) % 2
    head = fit_mlp_head(encoder(images).detach(), labels, 2, epochs=1)
    signs = random_signs((1, 12, 12), 0.1, 0)
    tuned = fine_tune_classifier(encoder, head, images, labels, perturb=signs, epochs=1)
    again = fine_tune_classifier(encoder, head, images, labels, perturb=signs, epochs=1)
    assert torch.equal(tuned(images), again(images))
    assert not torch.equal(tuned(images), head(encoder(images)))
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epsilon": 0.0}, "epsilon must be in (0, 1], got 0.0"),
        ({"epsilon": -0.1}, "epsilon must be in (0, 1], got -0.1"),
        ({"mode": "sticker"}, "mode must be 'perturbation' or 'patch', got 'sticker'"),
        ({"source": "magic"}, "source must be 'generator' or 'direct', got 'magic'"),
        ({"criterion": "l2"}, "criterion must be 'info_nce' or 'cosine', got 'l2'"),
        ({"batch_size": 1}, "batch_size at least 2, got 20 and 1"),
    ],
)
def test_settings_that_cannot_work(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        AttackSettings(**changes)


def test_what_the_attack_refuses() -> None:
    encoder, images, settings = make_encoder(), make_images(), AttackSettings(**QUICK)
    for wrong in (images * 255, images - 0.5, images * torch.nan):
        with pytest.raises(ValueError, match=re.escape("images must have intensities in [0, 1]")):
            fit_universal_perturbation(encoder, wrong, settings)
    with pytest.raises(ValueError, match=re.escape("images must be (N, C, H, W) with N >= 1")):
        fit_universal_perturbation(encoder, images[:0], settings)
    with pytest.raises(ValueError, match="images must be at least 2, got 1"):
        fit_universal_perturbation(encoder, images[:1], settings)
    encoder.train()
    with pytest.raises(ValueError, match="the encoder must be in eval mode, got train mode"):
        fit_universal_perturbation(encoder, images, settings)
    with pytest.raises(ValueError, match=re.escape("part must be in [0, 1), got 1")):
        prune_encoder(encoder, 1)
    with pytest.raises(ValueError, match="no convolution and no linear layer"):
        prune_encoder(nn.ReLU(), 0.5)
