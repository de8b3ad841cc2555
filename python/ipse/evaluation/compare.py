"""The comparison that a run ends with: did training make the features better than none?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ipse.data import ImageData
from ipse.evaluation.knn import weighted_knn
from ipse.evaluation.linear_probe import linear_probe
from ipse.evaluation.result import Scores

__all__ = ["Features", "encode_all", "extract", "raw_pixels", "score"]

_BLOCK = 500


@dataclass(frozen=True)
class Features:
    """Features of both parts of a data set: float32 tensors [N, D] and [M, D] on the CPU."""

    train: Tensor
    test: Tensor


def extract(
    encode: Callable[[Tensor], Tensor], data: ImageData, device: torch.device | str = "cpu"
) -> Features:
    """Encodes all images of a data set.

    Args:
        encode: Images [N, C, H, W] on `device` to features [N, D].
        data: The data set.
        device: Where `encode` computes.
    """
    return Features(
        encode_all(encode, data.train_images, device), encode_all(encode, data.test_images, device)
    )


@torch.no_grad()
def encode_all(
    encode: Callable[[Tensor], Tensor], images: Tensor, device: torch.device | str = "cpu"
) -> Tensor:
    """Features of images [N, C, H, W] as a float32 tensor [N, D] on the CPU.

    Args:
        encode: Images on `device` to features; gets them in blocks, without gradients.
        images: One or more images.
        device: Where `encode` computes.
    """
    blocks = [encode(block.to(device)).float().cpu() for block in images.split(_BLOCK)]
    return torch.cat(blocks)


def score(features: Features, data: ImageData) -> Scores:
    """Test accuracies of weighted kNN (k = 20, temperature 0.07) and of a linear probe."""
    neighbours = weighted_knn(features.train, data.train_labels, features.test)
    linear = linear_probe(features.train, data.train_labels, features.test)
    return Scores(
        knn=_accuracy(neighbours, data.test_labels), linear=_accuracy(linear, data.test_labels)
    )


def raw_pixels(data: ImageData) -> Features:
    """The images themselves as features, the baseline that costs nothing."""
    return Features(data.train_images.flatten(1), data.test_images.flatten(1))


def _accuracy(predicted: Tensor, labels: Tensor) -> float:
    return 100.0 * int((predicted == labels).sum()) / len(labels)
