"""Weighted k-nearest-neighbour classification: how well a feature space groups classes, untrained.

The standard quick check of self-supervised features: no parameter is fitted.
Source: Z. Wu et al., Unsupervised Feature Learning via Non-Parametric Instance Discrimination,
CVPR 2018, section 3.4.
"""

from __future__ import annotations

from torch import Tensor

from ipse.functional import knn_classify

__all__ = ["weighted_knn"]


def weighted_knn(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    k: int = 20,
    temperature: float = 0.07,
    classes: int | None = None,
) -> Tensor:
    """Predicts each test sample's class by its k most similar training samples.

    Similarity is the cosine; a neighbour of similarity s votes for its own class with weight
    exp(s / temperature). The similarity matrix is never stored.

    Args:
        train_features: float tensor [N, ...]; everything after the first dimension is flattened.
        train_labels: int64 tensor [N].
        test_features: float tensor [M, ...], the same feature size.
        k: Number of neighbours; if more than N, all N vote.
        temperature: Smaller trusts the nearest neighbours more.
        classes: Number of classes; default: the largest training label plus one.

    Returns:
        int64 tensor [M] of predicted labels; a tie goes to the smaller label.

    Raises:
        ValueError: Shapes disagree, no training samples, `k` or `temperature` not positive.
    """
    train, test = train_features.flatten(1).float(), test_features.flatten(1).float()
    _check(train, train_labels, test, k, temperature)
    return knn_classify(train, train_labels, test, k, temperature, classes).labels


def _check(train: Tensor, labels: Tensor, test: Tensor, k: int, temperature: float) -> None:
    if len(train) == 0 or train.shape[:1] != labels.shape:
        raise ValueError(
            f"weighted_knn: train_labels must be [N] with N = len(train_features) >= 1, "
            f"got {list(labels.shape)} for {len(train)} features"
        )
    if train.shape[1] != test.shape[1]:
        raise ValueError(
            f"weighted_knn: test_features must have the training features' size "
            f"{train.shape[1]}, got {test.shape[1]}"
        )
    if k < 1:
        raise ValueError(f"weighted_knn: k must be at least 1, got {k}")
    if not temperature > 0:
        raise ValueError(f"weighted_knn: temperature must be positive, got {temperature}")
