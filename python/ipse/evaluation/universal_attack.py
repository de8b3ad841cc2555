"""AdvEncoder: one perturbation, learned from a frozen encoder, that breaks what is built on it.

The attack sees neither the encoder's training data nor the later tasks: only the encoder and some
unrelated images. It pushes the encodings of perturbed images away from those of the originals, and
keeps what it changes out of the low frequencies, where eyes would notice.

For testing one's own encoders. Source: Z. Zhou et al., Downstream-agnostic Adversarial Examples,
ICCV 2023, arXiv 2307.12280. The reference does not clip perturbed images to [0, 1]; here they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ipse.evaluation.perturbation_generator import FreePixels, PerturbationGenerator
from ipse.evaluation.universal_perturbation import (
    UniversalPerturbation,
    corner_patch_mask,
    require_unit_range,
)
from ipse.functional import band_energy, info_nce_loss

__all__ = ["AttackSettings", "fit_universal_perturbation"]

Encode = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class AttackSettings:
    """How a universal perturbation is fitted; the defaults are the paper's unless they say other.

    Attributes:
        epsilon: Largest change of any pixel, of [0, 1]; a patch is not bounded.
        mode: `perturbation`, or `patch`: a small square that replaces what was there.
        source: `generator`, as in the paper, or `direct`: free pixels that move by the sign of
            their gradient, in steps that shrink from a quarter of the largest change.
        criterion: The adversarial term: `info_nce`, or `cosine`, the mean similarity of an
            image's encoding to that of its perturbed copy. (The reference's cosine runs over the
            batch's axis; here it is over the features.)
        alpha: Weight of the adversarial term.
        radius: Changes of frequencies below it are what the image terms punish.
        temperature: Of the InfoNCE loss.
        epochs: Passes over the surrogate images.
        batch_size: Images of a step; also the negatives of each.
        learning_rate: Of the generator's Adam, betas (0.5, 0.999).
        patch_area: The patch's part of the image.
        noise_samples: The generator's images that are merged to one; the paper has 256.
        width: Channels of the generator's widest layer.
    """

    epsilon: float = 10 / 255
    mode: str = "perturbation"
    source: str = "generator"
    criterion: str = "info_nce"
    alpha: float = 5.0
    radius: float = 8.0
    temperature: float = 0.1
    epochs: int = 20
    batch_size: int = 256
    learning_rate: float = 2e-4
    patch_area: float = 0.03
    noise_samples: int = 16
    width: int = 1024

    def __post_init__(self) -> None:
        if not 0 < self.epsilon <= 1:
            raise ValueError(f"AttackSettings: epsilon must be in (0, 1], got {self.epsilon}")
        for name, value, allowed in (
            ("mode", self.mode, ("perturbation", "patch")),
            ("source", self.source, ("generator", "direct")),
            ("criterion", self.criterion, ("info_nce", "cosine")),
        ):
            if value not in allowed:
                choices = " or ".join(map(repr, allowed))
                raise ValueError(f"AttackSettings: {name} must be {choices}, got {value!r}")
        if self.epochs < 1 or self.batch_size < 2:
            raise ValueError(
                f"AttackSettings: epochs must be at least 1 and batch_size at least 2, "
                f"got {self.epochs} and {self.batch_size}"
            )


def fit_universal_perturbation(
    encode: Encode, images: Tensor, settings: AttackSettings, seed: int = 0
) -> UniversalPerturbation:
    """Fits one perturbation to a frozen encoder on surrogate images.

    Minimises ``alpha * L_adv + L_q + L_hf``, where ``L_adv`` is minus the InfoNCE loss between
    the encodings of each image and of its perturbed copy, and the image terms together are the
    mean energy of the change's low frequencies (Parseval; the change is that after clipping).
    The encodings of the unperturbed images are computed once.

    Args:
        encode: Images [N, C, H, W] in [0, 1] to features [N, D], differentiable; an nn.Module
            must be in eval mode. Its parameters are left alone.
        images: Surrogate images, at least 2; never those that accuracy is later measured on.
        settings: What to fit, and how.
        seed: The fit is a function of it and the other arguments.

    Raises:
        ValueError: Images are not [N, C, H, W] in [0, 1] or fewer than 2, or the encoder is in
            train mode.
    """
    name = "fit_universal_perturbation"
    require_unit_range(name, images)
    if len(images) < 2:
        raise ValueError(f"{name}: images must be at least 2, got {len(images)}")
    owner = getattr(encode, "__self__", encode)
    if isinstance(owner, nn.Module) and owner.training:
        raise ValueError(f"{name}: the encoder must be in eval mode, got train mode")
    channels, height, width = images.shape[1:]
    device = images.device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        source = _source(settings, channels, height, width).to(device)
        mask = None
        if settings.mode == "patch":
            mask = corner_patch_mask(height, width, settings.patch_area).to(device)
        clean = _encode_all(encode, images, settings.batch_size)
        losses = _minimise(encode, images, clean, source, mask, settings, seed)
    with torch.no_grad():
        delta = _bounded(source(), settings)
    return UniversalPerturbation(delta, mask, tuple(losses))


def _source(
    settings: AttackSettings, channels: int, height: int, width: int
) -> FreePixels | PerturbationGenerator:
    if settings.source == "direct":
        return FreePixels(channels, height, width)
    return PerturbationGenerator(channels, height, width, settings.noise_samples, settings.width)


def _bounded(made: Tensor, settings: AttackSettings) -> Tensor:
    """The source's output as a perturbation, or as the pixels of a patch."""
    if settings.mode == "patch":
        return ((made + 1) / 2).clamp(0, 1)
    if settings.source == "direct":  # the box is the bound
        return settings.epsilon * made
    return made.clamp(-settings.epsilon, settings.epsilon)


@torch.no_grad()
def _encode_all(encode: Encode, images: Tensor, batch_size: int) -> Tensor:
    return torch.cat([encode(part) for part in images.split(batch_size)])


def _minimise(
    encode: Encode,
    images: Tensor,
    clean: Tensor,
    source: FreePixels | PerturbationGenerator,
    mask: Tensor | None,
    settings: AttackSettings,
    seed: int,
) -> list[float]:
    parameters = list(source.parameters())
    adam = torch.optim.Adam(parameters, lr=settings.learning_rate, betas=(0.5, 0.999))
    order = torch.Generator().manual_seed(seed)
    size = min(settings.batch_size, len(images))
    steps = len(images) // size
    losses = []
    for epoch in range(settings.epochs):
        total = 0.0
        batches = torch.randperm(len(images), generator=order)[: steps * size].view(-1, size)
        for step, indices in enumerate(batches):
            perturb = UniversalPerturbation(_bounded(source(), settings), mask)
            x = images[indices.to(images.device)]
            loss = _loss(encode, x, clean[indices.to(clean.device)], perturb, settings)
            total += float(loss.detach())
            # Of the source alone: the encoder's parameters get no gradient.
            grads = torch.autograd.grad(loss, parameters)
            if isinstance(source, FreePixels):
                done = (epoch * steps + step) / (settings.epochs * steps)
                source.descend(grads[0], 0.25 * (1 - done) + 0.01)
            else:
                for parameter, grad in zip(parameters, grads, strict=True):
                    parameter.grad = grad
                adam.step()
        losses.append(total / steps)
    return losses


def _loss(
    encode: Encode,
    x: Tensor,
    clean: Tensor,
    perturb: UniversalPerturbation,
    settings: AttackSettings,
) -> Tensor:
    perturbed = perturb(x)
    change = perturbed - x
    # mean(change^2) - mean(H(change)^2), H keeping the high frequencies.
    visible = band_energy(change, settings.radius).mean() / (x.shape[-2] * x.shape[-1])
    if settings.alpha == 0:
        return visible
    encoded = encode(perturbed)
    if settings.criterion == "cosine":
        return visible + settings.alpha * F.cosine_similarity(clean, encoded).mean()
    return visible - settings.alpha * info_nce_loss(
        clean, encoded, temperature=settings.temperature
    )
