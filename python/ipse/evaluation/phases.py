"""Phase recognition in videos: fine-tuning on few labelled videos, and scores by video."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["balanced_weights", "fine_tune", "video_macro_f1"]


def video_macro_f1(predicted: Tensor, labels: Tensor, videos: Tensor) -> float:
    """Macro F1 of every video, averaged over the videos, in per cent.

    A phase that a video does not have is left out of that video's mean rather than scored 0;
    frames wrongly given to it are still missing from the phases they belong to.

    Args:
        predicted: int64 tensor [N], predicted phase of each frame.
        labels: int64 tensor [N], its phase.
        videos: int64 tensor [N], the video it is of.

    Returns:
        From 0 to 100.

    Raises:
        ValueError: Shapes differ or there are no frames.
    """
    if not predicted.shape == labels.shape == videos.shape or len(labels) == 0:
        raise ValueError(
            f"video_macro_f1: predicted, labels and videos must be [N] with N >= 1, got "
            f"{list(predicted.shape)}, {list(labels.shape)} and {list(videos.shape)}"
        )
    scores = []
    for video in videos.unique():
        here = videos == video
        said, true = predicted[here], labels[here]
        phases = [_f1(said == phase, true == phase) for phase in true.unique()]
        scores.append(sum(phases) / len(phases))
    return 100.0 * sum(scores) / len(scores)


def _f1(said: Tensor, true: Tensor) -> float:
    return 2.0 * int((said & true).sum()) / (int(said.sum()) + int(true.sum()))


def balanced_weights(labels: Tensor, classes: int) -> Tensor:
    """Weight of each class in a loss, inverse to its frequency among `labels`.

    Args:
        labels: int64 tensor [N] of the labelled samples only.
        classes: Number of classes, K.

    Returns:
        float32 tensor [K] that weighs all classes that occur alike, with a mean of 1 over the
        samples. A class that does not occur has weight 0, not infinity.
    """
    counts = labels.bincount(minlength=classes).float()
    present = counts > 0
    return torch.where(present, len(labels) / (present.sum() * counts.clamp_min(1.0)), 0.0)


def fine_tune(
    encoder: nn.Module,
    features: int,
    images: Tensor,
    labels: Tensor,
    classes: int,
    *,
    steps: int = 200,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    views: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    seed: int = 0,
) -> nn.Module:
    """Trains a copy of `encoder` and a linear head on labelled frames, one by one.

    Adam with a cosine to 0, and cross-entropy weighted by `balanced_weights`, computed on these
    labels alone.

    Args:
        encoder: Images [N, C, H, W] to features [N, `features`]; left as it is.
        features: Size of its output.
        images: float tensor [N, C, H, W], the labelled frames.
        labels: int64 tensor [N].
        classes: Number of classes.
        steps: Optimizer steps; the same for any number of labels, so that nobody is favoured.
        batch_size: Frames per step, drawn with replacement.
        learning_rate: Adam's base learning rate.
        views: Random augmentation of a batch, if wanted.
        seed: Of the head, the batches and the views.

    Returns:
        The classifier, images to scores [N, classes], in evaluation mode.
    """
    source = torch.Generator().manual_seed(seed)
    head = nn.Linear(features, classes)
    with torch.no_grad():
        head.weight.normal_(0.0, 0.01, generator=source)
        head.bias.zero_()
    classifier = nn.Sequential(copy.deepcopy(encoder), head).requires_grad_(True).train()
    weights = balanced_weights(labels, classes)
    adam = torch.optim.Adam(classifier.parameters(), lr=learning_rate)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps):
        chosen = torch.randint(len(images), (batch_size,), generator=source)
        batch = images[chosen] if views is None else views(images[chosen], source)
        loss = F.cross_entropy(classifier(batch), labels[chosen], weights)
        adam.zero_grad()
        loss.backward()
        adam.step()
        cosine.step()
    return classifier.eval()
