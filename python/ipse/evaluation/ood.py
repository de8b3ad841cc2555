"""Scores that tell familiar samples from out-of-distribution (OOD) ones.

Every score is larger for samples that look more in-distribution (ID). The first ones ask a
classifier how sure it is; the last ones ask how near the ID training features are and need no
classifier, which is what helps where a network was pre-trained on the OOD data too.

Source: A. Miyai et al., Can Pre-trained Networks Detect Familiar Out-of-Distribution Data?, arXiv
2310.00847, and the papers named at each score.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ipse.functional import topk_similarity

__all__ = [
    "LogitScores",
    "knn_score",
    "logit_scores",
    "mahalanobis_score",
    "react_score",
    "require_disjoint",
]


class LogitScores(NamedTuple):
    """Three scores of the same logits, each [N]."""

    msp: Tensor
    max_logit: Tensor
    energy: Tensor


def logit_scores(logits: Tensor, temperature: float = 1.0) -> LogitScores:
    """Maximum softmax probability, maximum logit and (negative) energy, in one pass.

    Args:
        logits: float tensor [N, C].
        temperature: T in the energy score T logsumexp(logits / T).

    Raises:
        ValueError: Not [N, C] with C >= 1, NaN among the logits, or `temperature` not positive.

    Source: Hendrycks and Gimpel, ICLR 2017 (MSP); Hendrycks et al., ICML 2022 (maximum logit); Liu
    et al., NeurIPS 2020 (energy).
    """
    _check_matrix("logit_scores", "logits", logits)
    if not temperature > 0:
        raise ValueError(f"logit_scores: temperature must be positive, got {temperature}")
    logits = _wide(logits)
    largest = logits.amax(dim=1)
    below = logits - largest[:, None]
    sums = below.exp().sum(dim=1)
    tempered = sums if temperature == 1 else (below / temperature).exp().sum(dim=1)
    return LogitScores(1 / sums, largest, largest + temperature * tempered.log())


def react_score(
    features: Tensor,
    train_features: Tensor,
    weight: Tensor,
    bias: Tensor,
    percentile: float = 90.0,
) -> Tensor:
    """Energy of a linear classifier's logits after clipping unusually strong activations.

    Args:
        features: float tensor [N, D].
        train_features: float tensor [M, D] of ID training samples; the clip is the percentile
            of all their entries.
        weight: The classifier's weights [C, D].
        bias: Its biases [C].
        percentile: In (0, 100].

    Returns:
        Scores [N].

    Raises:
        ValueError: Sizes disagree, NaN among the inputs, or `percentile` out of range.

    Source: Sun, Guo, Li, NeurIPS 2021.
    """
    _check_pair("react_score", features, train_features)
    if not 0 < percentile <= 100:
        raise ValueError(f"react_score: percentile must be in (0, 100], got {percentile}")
    entries = _wide(train_features).flatten()
    # The nearest rank: torch.quantile takes no more than 16 million entries.
    rank = max(1, round(percentile / 100 * entries.numel()))
    clip = torch.kthvalue(entries, rank).values
    clipped = _wide(features).clamp_max(clip)
    return logit_scores(clipped @ weight.to(clipped).T + bias.to(clipped)).energy


def mahalanobis_score(features: Tensor, train_features: Tensor, train_labels: Tensor) -> Tensor:
    """Minus the squared Mahalanobis distance to the nearest class mean, one covariance for all.

    Directions in which the training features do not vary within any class are left out (the
    pseudo-inverse), as no distance is defined along them.

    Args:
        features: float tensor [N, D].
        train_features: float tensor [M, D] of ID training samples.
        train_labels: int tensor [M], their classes.

    Returns:
        Scores [N], float64: covariances of pooled ReLU features are ill-conditioned.

    Raises:
        ValueError: Sizes disagree or NaN among the inputs.

    Source: Lee, Lee, Lee, Shin, NeurIPS 2018.
    """
    name = "mahalanobis_score"
    _check_pair(name, features, train_features)
    if train_labels.shape != train_features.shape[:1]:
        raise ValueError(
            f"{name}: train_labels must be [{len(train_features)}], got {list(train_labels.shape)}"
        )
    train, points = train_features.double(), features.double()
    classes, group = train_labels.unique(return_inverse=True)
    means = torch.stack([train[group == index].mean(0) for index in range(len(classes))])
    within = train - means[group]
    precision = torch.linalg.pinv(within.T @ within / len(train), rtol=1e-10, hermitian=True)
    # (f - m)^T P (f - m) for all pairs, without a vector of differences for each.
    own = ((points @ precision) * points).sum(1)
    other = ((means @ precision) * means).sum(1)
    distance = own[:, None] - 2 * points @ precision @ means.T + other
    return -distance.clamp_min(0).amin(1)


def knn_score(
    features: Tensor, train_features: Tensor, k: int = 10, *, exclude_self: bool = False
) -> Tensor:
    """Minus the distance to the k-th nearest ID training feature, all scaled to unit length.

    Args:
        features: float tensor [N, D].
        train_features: float tensor [M, D] of ID training samples.
        k: Which neighbour, from 1 to M. Choose it on ID data or fix it, never by OOD data.
        exclude_self: `features` are the training features themselves, in the same order, and a
            sample is no neighbour of its own.

    Returns:
        Scores [N] from -2 to 0.

    Raises:
        ValueError: Sizes disagree, NaN among the inputs, or more neighbours than there are.

    Source: Sun, Ming, Zhu, Li, ICML 2022; Miyai et al., arXiv 2310.00847.
    """
    name = "knn_score"
    _check_pair(name, features, train_features)
    if exclude_self and features.shape != train_features.shape:
        raise ValueError(
            f"{name}: exclude_self needs as many features as train_features, "
            f"got {len(features)} and {len(train_features)}"
        )
    most = len(train_features) - int(exclude_self)
    if not 1 <= k <= most:
        raise ValueError(f"{name}: k must be from 1 to {most}, the size of the bank, got {k}")
    points, bank = (F.normalize(_wide(x), dim=1) for x in (features, train_features))
    ids = torch.arange(len(bank), device=bank.device) if exclude_self else None
    nearest = topk_similarity(points, bank, k, row_ids=ids, column_ids=ids).indices[:, -1]
    # Not sqrt(2 - 2 cos): near cos = 1 rounding would eat the distance.
    return -(points - bank[nearest]).norm(dim=1)


def require_disjoint(id_classes: Iterable[object], ood_classes: Iterable[object]) -> None:
    """Checks that no class is on both sides, which would make the labels of both sets wrong.

    Raises:
        ValueError: There are common classes.
    """
    common = sorted(set(map(str, id_classes)) & set(map(str, ood_classes)))
    if common:
        raise ValueError(
            f"require_disjoint: id_classes and ood_classes must have none in common, "
            f"got {', '.join(common)} in both"
        )


def _wide(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


def _check_matrix(name: str, argument: str, x: Tensor) -> None:
    if x.dim() != 2 or x.shape[1] == 0:
        raise ValueError(f"{name}: {argument} must be [N, D] with D >= 1, got {list(x.shape)}")
    if x.isnan().any():
        rows = int(x.isnan().any(dim=1).sum())
        raise ValueError(f"{name}: {argument} must not be NaN, got NaN in {rows} of {len(x)} rows")


def _check_pair(name: str, features: Tensor, train_features: Tensor) -> None:
    _check_matrix(name, "features", features)
    _check_matrix(name, "train_features", train_features)
    if len(train_features) == 0:
        raise ValueError(f"{name}: train_features must hold at least one sample, got none")
    if features.shape[1] != train_features.shape[1]:
        raise ValueError(
            f"{name}: features must have the training features' size "
            f"{train_features.shape[1]}, got {features.shape[1]}"
        )
