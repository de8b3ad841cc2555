"""The four defences that AdvEncoder's authors study, for one's own classifiers.

Input pre-processing, pruning the encoder, fine-tuning the classifier, and adversarial training. All
return something new; encoder and head that are passed in stay as they are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ipse.functional import fourier_crop

__all__ = ["PREPROCESSING", "fine_tune_classifier", "prune_encoder"]


def reduce_depth(images: Tensor) -> Tensor:
    """Images in [0, 1], rounded to eight intensities."""
    return (images * 7).round() / 7


def smooth(images: Tensor) -> Tensor:
    """Images shrunk to three quarters without aliases, and enlarged again."""
    height, width = images.shape[-2:]
    small = fourier_crop(images, (max(1, 3 * height // 4), max(1, 3 * width // 4)))
    return F.interpolate(small, (height, width), mode="bilinear").clamp(0, 1)


def add_noise(images: Tensor) -> Tensor:
    """Images with noise of deviation 0.05, the same for the same batch."""
    generator = torch.Generator(images.device).manual_seed(0)
    noise = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
    return (images + 0.05 * noise).clamp(0, 1)


PREPROCESSING: Mapping[str, Callable[[Tensor], Tensor]] = {
    "eight intensities": reduce_depth,
    "smoothing": smooth,
    "noise": add_noise,
}


def prune_encoder(encoder: nn.Module, part: float) -> nn.Module:
    """A copy whose weights of least magnitude are zero.

    Args:
        encoder: Anything with convolutions and linear layers.
        part: Of all their weights, in [0, 1).

    Raises:
        ValueError: `part` is not in [0, 1), or there is nothing to prune.
    """
    if not 0 <= part < 1:
        raise ValueError(f"prune_encoder: part must be in [0, 1), got {part}")
    pruned = copy.deepcopy(encoder)
    weights = [
        module.weight
        for module in pruned.modules()
        if isinstance(module, nn.Conv2d | nn.Linear | nn.Conv1d)
    ]
    if not weights:
        raise ValueError("prune_encoder: encoder has no convolution and no linear layer")
    sizes = torch.cat([weight.detach().abs().flatten() for weight in weights])
    count = int(part * len(sizes))
    if count > 0:
        threshold = sizes.kthvalue(count).values
        with torch.no_grad():
            for weight in weights:
                weight.mul_(weight.abs() > threshold)
    return pruned


def fine_tune_classifier(
    encoder: nn.Module,
    head: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    perturb: Callable[[Tensor], Tensor] | None = None,
    epochs: int = 3,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> nn.Sequential:
    """Copies of encoder and head, trained on together by Adam.

    Args:
        encoder: Images [N, C, H, W] to features [N, D].
        head: Features to logits.
        images, labels: Of the downstream task's training part.
        perturb: With it, adversarial training: every batch is seen as it is and perturbed.
        epochs, batch_size, learning_rate: Of the fit.
        seed: The result is a function of it and the other arguments.

    Returns:
        Encoder and head in one module, in eval mode.
    """
    classifier = nn.Sequential(copy.deepcopy(encoder), copy.deepcopy(head)).train()
    classifier.requires_grad_(True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adam = torch.optim.Adam(classifier.parameters(), lr=learning_rate)
        for _ in range(epochs):
            for indices in torch.randperm(len(images)).split(batch_size):
                chosen = indices.to(images.device)
                x, y = images[chosen], labels[chosen]
                if perturb is not None:
                    x, y = torch.cat([x, perturb(x)]), torch.cat([y, y])
                loss = F.cross_entropy(classifier(x), y)
                adam.zero_grad()
                loss.backward()
                adam.step()
    return classifier.eval()
