"""How well a score tells in-distribution (ID) samples from out-of-distribution (OOD) ones.

A score is larger for samples that look more like ID; ID is the positive class everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["DetectionMetrics", "aupr", "auroc", "detection_metrics", "fpr_at_tpr"]


@dataclass(frozen=True)
class DetectionMetrics:
    """How well a score separates two sets, each in per cent.

    Attributes:
        auroc: Chance that an ID sample scores above an OOD one; 50 is no better than guessing.
        fpr95: OOD samples accepted where 95 % of the ID samples are; smaller is better.
        aupr: Area under the precision-recall curve; guessing gives the share of ID samples.
    """

    auroc: float
    fpr95: float
    aupr: float


def detection_metrics(id_scores: Tensor, ood_scores: Tensor) -> DetectionMetrics:
    """All three metrics, in per cent.

    Args:
        id_scores: [N] scores of in-distribution samples, larger = more in-distribution.
        ood_scores: [M] scores of out-of-distribution samples.

    Raises:
        ValueError: As `auroc`.
    """
    return DetectionMetrics(
        auroc=100 * auroc(id_scores, ood_scores),
        fpr95=100 * fpr_at_tpr(id_scores, ood_scores),
        aupr=100 * aupr(id_scores, ood_scores),
    )


def auroc(id_scores: Tensor, ood_scores: Tensor) -> float:
    """Area under the ROC curve: the Mann-Whitney statistic over N M, ties counting one half.

    One sort with average ranks: O((N + M) log(N + M)).

    Args:
        id_scores: [N] scores of in-distribution samples, larger = more in-distribution.
        ood_scores: [M] scores of out-of-distribution samples.

    Raises:
        ValueError: A set is empty or not a vector, or a score is NaN.
    """
    _check("auroc", id_scores, ood_scores)
    above, total = len(id_scores), len(id_scores) + len(ood_scores)
    scores = torch.cat([id_scores.double(), ood_scores.double()])
    _, group, counts = torch.unique(scores, sorted=True, return_inverse=True, return_counts=True)
    # Ranks from 1; equal scores share the mean of the ranks they take up.
    last = counts.cumsum(0).double()
    ranks = (last - (counts.double() - 1) / 2)[group]
    statistic = float(ranks[:above].sum()) - above * (above + 1) / 2
    return statistic / (above * (total - above))


def fpr_at_tpr(id_scores: Tensor, ood_scores: Tensor, tpr: float = 0.95) -> float:
    """Share of OOD samples at or above the score that a share `tpr` of the ID samples reaches.

    The threshold comes from the ID samples alone: the largest of their scores that at least the
    share `tpr` of them reaches.

    Args:
        id_scores: [N] scores of in-distribution samples, larger = more in-distribution.
        ood_scores: [M] scores of out-of-distribution samples.
        tpr: In (0, 1].

    Raises:
        ValueError: As `auroc`, and `tpr` out of range.
    """
    _check("fpr_at_tpr", id_scores, ood_scores)
    if not 0 < tpr <= 1:
        raise ValueError(f"fpr_at_tpr: tpr must be in (0, 1], got {tpr}")
    count = len(id_scores)
    # Rounding must not ask for one sample more than the share: 0.95 * 20 is 19.
    accepted = max(1, math.ceil(tpr * count - 1e-9))
    threshold = torch.kthvalue(id_scores.double(), count - accepted + 1).values
    return float((ood_scores.double() >= threshold).double().mean())


def aupr(id_scores: Tensor, ood_scores: Tensor) -> float:
    """Average precision: sum over thresholds of precision times the recall that is gained.

    Args:
        id_scores: [N] scores of in-distribution samples, larger = more in-distribution.
        ood_scores: [M] scores of out-of-distribution samples.

    Raises:
        ValueError: As `auroc`.
    """
    _check("aupr", id_scores, ood_scores)
    scores = torch.cat([id_scores.double(), ood_scores.double()])
    values, group = torch.unique(scores, sorted=True, return_inverse=True)
    positives = torch.bincount(group[: len(id_scores)], minlength=len(values)).flip(0)
    everything = torch.bincount(group, minlength=len(values)).flip(0)
    precision = positives.cumsum(0).double() / everything.cumsum(0).double()
    return float((precision * positives.double()).sum() / len(id_scores))


def _check(name: str, id_scores: Tensor, ood_scores: Tensor) -> None:
    for argument, scores in (("id_scores", id_scores), ("ood_scores", ood_scores)):
        if scores.dim() != 1 or len(scores) == 0:
            raise ValueError(
                f"{name}: {argument} must be a vector of at least one score, "
                f"got shape {list(scores.shape)}"
            )
        if scores.isnan().any():
            count = int(scores.isnan().sum())
            raise ValueError(f"{name}: {argument} must not be NaN, got {count} of {len(scores)}")
