"""What a perturbation does to classifiers that stand on an encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Robustness", "fit_mlp_head", "measure_robustness"]

Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Robustness:
    """Accuracies of one classifier on the same held-out images, in per cent.

    Attributes:
        clean: Of the images as they are.
        adversarial: Of the perturbed images.
        decline: What part of the clean accuracy is lost, ``100 (clean - adversarial) / clean``.
        fooling: How many predictions change, right or wrong.
    """

    clean: float
    adversarial: float
    decline: float
    fooling: float


@torch.no_grad()
def measure_robustness(
    classify: Callable[[Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    perturb: Change,
    batch_size: int = 1000,
) -> Robustness:
    """Both accuracies of one classifier, and how often it changes its mind.

    Args:
        classify: Images [N, C, H, W] to logits [N, K]; an nn.Module in eval mode.
        images: Held-out images: neither the head nor the perturbation has seen them.
        labels: int64 tensor [N].
        perturb: Images to perturbed images.
        batch_size: Images classified at once.

    Raises:
        ValueError: There are no images, or another number of labels.
    """
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError(
            f"measure_robustness: images and labels must be as many, at least 1, "
            f"got {len(images)} and {len(labels)}"
        )
    before, after = [], []
    for part in images.split(batch_size):
        before.append(classify(part).argmax(1).cpu())
        after.append(classify(perturb(part)).argmax(1).cpu())
    plain, changed = torch.cat(before), torch.cat(after)
    labels = labels.cpu()
    clean = 100 * float((plain == labels).double().mean())
    adversarial = 100 * float((changed == labels).double().mean())
    decline = 100 * (clean - adversarial) / clean if clean > 0 else 0.0
    fooling = 100 * float((plain != changed).double().mean())
    return Robustness(clean, adversarial, decline, fooling)


def fit_mlp_head(
    features: Tensor,
    labels: Tensor,
    classes: int,
    *,
    epochs: int = 30,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> nn.Sequential:
    """The paper's downstream head: D-D-D-C with ReLU and dropout 0.2, fitted on clean features.

    Args:
        features: float tensor [N, D].
        labels: int64 tensor [N] with values in [0, classes).
        classes: C.
        epochs, batch_size, learning_rate: Of the fit by Adam.
        seed: The head is a function of it and the other arguments.

    Returns:
        The head in eval mode: features [N, D] to logits [N, C].
    """
    width = features.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [nn.Linear(width, width), nn.ReLU(), nn.Dropout(0.2)]
        head = nn.Sequential(*layers, nn.Linear(width, classes)).to(features.device)
        adam = torch.optim.Adam(head.parameters(), lr=learning_rate)
        for _ in range(epochs):
            for indices in torch.randperm(len(features)).split(batch_size):
                chosen = indices.to(features.device)
                loss = F.cross_entropy(head(features[chosen]), labels[chosen])
                adam.zero_grad()
                loss.backward()
                adam.step()
    return head.eval()
