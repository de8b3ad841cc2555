"""Out-of-distribution scores and metrics: against definitions, brute force and scikit-learn."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from ipse.evaluation.ood import (
    knn_score,
    logit_scores,
    mahalanobis_score,
    react_score,
    require_disjoint,
)
from ipse.evaluation.ood_metrics import aupr, auroc, detection_metrics, fpr_at_tpr

# Few distinct values: ties are the rule.
score_lists = st.lists(st.sampled_from([-1.0, 0.0, 0.25, 0.5, 3.0, math.inf]), min_size=1)


def mann_whitney(id_scores: torch.Tensor, ood_scores: torch.Tensor) -> float:
    """The definition: over all pairs, how often ID is above, a tie being half a win."""
    above = (id_scores[:, None] > ood_scores).double()
    equal = (id_scores[:, None] == ood_scores).double()
    return float((above + equal / 2).mean())


@given(score_lists, score_lists)
def test_auroc_is_the_mann_whitney_statistic(inside: list[float], outside: list[float]) -> None:
    id_scores, ood_scores = torch.tensor(inside), torch.tensor(outside)
    assert auroc(id_scores, ood_scores) == pytest.approx(mann_whitney(id_scores, ood_scores))
    assert auroc(id_scores, ood_scores) == pytest.approx(1 - auroc(ood_scores, id_scores))


@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_metrics_are_scikit_learns(decimals: int) -> None:
    source = torch.Generator().manual_seed(decimals)
    id_scores = torch.randn(400, generator=source, dtype=torch.float64) + 0.5
    ood_scores = torch.randn(300, generator=source, dtype=torch.float64)
    id_scores, ood_scores = id_scores.round(decimals=decimals), ood_scores.round(decimals=decimals)
    truth = np.r_[np.ones(400), np.zeros(300)]
    both = torch.cat([id_scores, ood_scores]).numpy()
    assert auroc(id_scores, ood_scores) == pytest.approx(roc_auc_score(truth, both), abs=1e-12)
    assert aupr(id_scores, ood_scores) == pytest.approx(
        average_precision_score(truth, both), abs=1e-12
    )


def test_constant_scores_are_a_guess() -> None:
    metrics = detection_metrics(torch.ones(30), torch.ones(10))
    assert metrics.auroc == 50
    assert metrics.fpr95 == 100
    assert metrics.aupr == 75


def test_perfect_and_reversed_scores() -> None:
    low, high = torch.arange(10.0), torch.arange(10.0) + 20
    best = detection_metrics(high, low)
    assert (best.auroc, best.fpr95, best.aupr) == (100, 0, 100)
    assert detection_metrics(low, high).auroc == 0
    assert detection_metrics(low, high).fpr95 == 100


def test_threshold_keeps_95_percent_of_the_known() -> None:
    id_scores = torch.arange(20.0)  # 19 of them are at least 1
    ood_scores = torch.tensor([0.0, 0.9, 1.0, 30.0])
    assert fpr_at_tpr(id_scores, ood_scores) == 0.5
    assert fpr_at_tpr(id_scores, ood_scores, tpr=1.0) == 1.0
    assert fpr_at_tpr(torch.tensor([1.0]), ood_scores) == 0.5


@pytest.mark.parametrize("metric", [auroc, aupr, fpr_at_tpr])
@pytest.mark.parametrize(
    ("inside", "outside", "message"),
    [
        ([], [1.0], r"id_scores must be a vector of at least one score, got shape \[0\]"),
        ([1.0], [], r"ood_scores must be a vector of at least one score, got shape \[0\]"),
        ([1.0], [1.0, math.nan], "ood_scores must not be NaN, got 1 of 2"),
        ([[1.0]], [1.0], r"id_scores must be a vector of at least one score, got shape \[1, 1\]"),
    ],
)
def test_metrics_refuse(
    metric: Callable[..., float], inside: Any, outside: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{metric.__name__}: {message}$"):
        metric(torch.tensor(inside), torch.tensor(outside))


@pytest.mark.parametrize("temperature", [1.0, 0.5, 10.0])
def test_logit_scores_are_their_definitions(temperature: float) -> None:
    logits = torch.randn(50, 7, dtype=torch.float64) * 30
    scores = logit_scores(logits, temperature)
    torch.testing.assert_close(scores.msp, logits.softmax(1).amax(1))
    torch.testing.assert_close(scores.max_logit, logits.amax(1))
    energy = temperature * (logits / temperature).logsumexp(1)
    torch.testing.assert_close(scores.energy, energy)


def test_logit_scores_do_not_overflow() -> None:
    scores = logit_scores(torch.tensor([[1e30, 0.0], [-1e30, -1e30]]))
    assert torch.isfinite(torch.stack(scores)).all()
    assert scores.msp.tolist() == [1.0, 0.5]


def test_react_clips_and_takes_the_energy() -> None:
    train = torch.arange(100.0).reshape(25, 4)  # the 90th of 100 entries is 89
    weight, bias = torch.randn(3, 4), torch.randn(3)
    features = torch.rand(10, 4) * 120
    expected = (features.clamp_max(89.0) @ weight.T + bias).logsumexp(1)
    torch.testing.assert_close(react_score(features, train, weight, bias), expected)


def test_mahalanobis_is_its_definition() -> None:
    source = torch.Generator().manual_seed(0)
    train = torch.randn(60, 4, generator=source, dtype=torch.float64)
    labels = torch.arange(60) % 3
    train[labels == 1] += 3
    features = torch.randn(20, 4, generator=source, dtype=torch.float64) * 3
    means = torch.stack([train[labels == c].mean(0) for c in range(3)])
    within = train - means[labels]
    inverse = torch.linalg.inv(within.T @ within / 60)
    difference = features[:, None] - means
    distances = torch.einsum("ncd,de,nce->nc", difference, inverse, difference)
    torch.testing.assert_close(
        mahalanobis_score(features, train, labels), -distances.amin(1), rtol=1e-8, atol=1e-8
    )


def test_mahalanobis_with_dead_features() -> None:
    train = torch.cat([torch.randn(40, 3), torch.zeros(40, 1)], dim=1)
    labels = torch.arange(40) % 2
    with_dead = mahalanobis_score(train, train, labels)
    assert torch.isfinite(with_dead).all()
    torch.testing.assert_close(with_dead, mahalanobis_score(train[:, :3], train[:, :3], labels))


@pytest.mark.parametrize("k", [1, 3, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_knn_score_is_brute_force(k: int, dtype: torch.dtype) -> None:
    source = torch.Generator().manual_seed(0)
    features = torch.randn(1500, 6, generator=source, dtype=dtype)
    train = torch.randn(40, 6, generator=source, dtype=dtype) * 5
    a, b = (x.double() / x.double().norm(dim=1, keepdim=True) for x in (features, train))
    distances = (a[:, None] - b).norm(dim=2)
    expected = -distances.kthvalue(k, dim=1).values
    tolerance = 1e-12 if dtype == torch.float64 else 1e-6
    got = knn_score(features, train, k).double()
    torch.testing.assert_close(got, expected, rtol=0, atol=tolerance)
    torch.testing.assert_close(knn_score(7 * features, train, k), knn_score(features, train, k))


def test_knn_score_without_the_sample_itself() -> None:
    train = torch.randn(30, 5, dtype=torch.float64)
    assert knn_score(train, train, 1).abs().max() < 1e-12
    second = knn_score(train, train, 2)
    torch.testing.assert_close(knn_score(train, train, 1, exclude_self=True), second)


def test_knn_score_of_half_precision_and_of_zero() -> None:
    train = torch.randn(30, 5)
    scores = knn_score(train.half(), train.half(), 1)
    assert scores.dtype == torch.float32
    assert scores.abs().max() == 0, "a copy of itself is at distance 0, whatever cosines round to"
    assert torch.isfinite(knn_score(torch.zeros(2, 5), train)).all()


X, Y = torch.randn(6, 4), torch.randn(5, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: knn_score(X, Y, 6), "k must be from 1 to 5, the size of the bank, got 6"),
        (lambda: knn_score(X, Y, 0), "k must be from 1 to 5, the size of the bank, got 0"),
        (
            lambda: knn_score(X, X, 6, exclude_self=True),
            "k must be from 1 to 5, the size of the bank, got 6",
        ),
        (
            lambda: knn_score(X, Y, 1, exclude_self=True),
            "exclude_self needs as many features as train_features, got 6 and 5",
        ),
        (lambda: knn_score(X, Y[:, :2], 1), "features must have the training features' size 2"),
        (lambda: knn_score(X * math.nan, Y, 1), "features must not be NaN, got NaN in 6 of 6"),
        (lambda: knn_score(X, Y[:0], 1), "train_features must hold at least one sample"),
        (lambda: logit_scores(X[0]), r"logits must be \[N, D\] with D >= 1, got \[4\]"),
        (lambda: logit_scores(X, 0.0), "temperature must be positive, got 0.0"),
        (
            lambda: react_score(X, Y, X, X[:, 0], 0.0),
            r"percentile must be in \(0, 100\], got 0.0",
        ),
        (
            lambda: mahalanobis_score(X, Y, torch.zeros(4)),
            r"train_labels must be \[5\], got \[4\]",
        ),
        (
            lambda: require_disjoint(["coat", "shirt"], ["bag", "shirt"]),
            "id_classes and ood_classes must have none in common, got shirt in both",
        ),
    ],
)
def test_scores_refuse(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_disjoint_classes_pass() -> None:
    require_disjoint([0, 1], [2, 3])
