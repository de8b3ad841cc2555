"""knn_classify against votes counted one by one."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from ipse.functional import knn_classify
from tests.neighbours_cases import randn


@given(
    count=st.integers(1, 40),
    classes=st.integers(1, 6),
    k=st.integers(1, 60),
    temperature=st.sampled_from([0.05, 0.1, 1.0]),
    seed=st.integers(0, 1000),
)
def test_scores_are_the_votes(
    count: int, classes: int, k: int, temperature: float, seed: int
) -> None:
    bank, queries = randn(count, 5, seed=seed), randn(9, 5, seed=seed + 1)
    labels = torch.randint(classes, (count,), generator=torch.Generator().manual_seed(seed))
    found = knn_classify(bank, labels, queries, k, temperature, num_classes=classes)
    similarity = F.normalize(queries.double(), dim=1) @ F.normalize(bank.double(), dim=1).T
    for i, row in enumerate(similarity):
        votes = torch.zeros(classes, dtype=torch.float64)
        for j in row.argsort(descending=True)[:k].tolist():
            votes[labels[j]] += math.exp(float(row[j]) / temperature)
        assert torch.allclose(found.scores[i].double(), votes / votes.sum(), atol=1e-5)
    assert torch.equal(found.labels, found.scores.argmax(1))


def test_defaults_and_types() -> None:
    bank = randn(10, 4, seed=0, dtype=torch.float16).requires_grad_()
    found = knn_classify(bank, torch.arange(10, dtype=torch.int32), bank)
    assert found.labels.tolist() == list(range(10))
    assert found.scores.dtype == torch.float32
    assert not found.scores.requires_grad
    assert knn_classify(bank, torch.arange(10), bank[:0]).labels.shape == (0,)


def test_a_tie_goes_to_the_smaller_class() -> None:
    bank = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert knn_classify(bank, torch.tensor([1, 0]), bank).labels.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"k": 0}, ValueError, "k must be at least 1"),
        ({"temperature": math.nan}, ValueError, "temperature must be positive"),
        ({"labels": torch.zeros(3)}, TypeError, "labels must be integers"),
        ({"labels": torch.arange(4)}, ValueError, r"labels must be \(K,\)"),
        ({"bank": torch.zeros(0, 2), "labels": torch.arange(0)}, ValueError, "with K >= 1"),
        ({"num_classes": 2}, ValueError, "labels must be from 0 to num_classes - 1 = 1"),
        ({"labels": torch.tensor([-1, 0, 1])}, ValueError, "got -1 to 1"),
        ({"queries": torch.zeros(2, 3)}, ValueError, "same number of features"),
    ],
)
def test_messages(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments = {
        "bank": torch.ones(3, 2),
        "labels": torch.arange(3),
        "queries": torch.ones(2, 2),
    } | change
    with pytest.raises(error, match=message):
        knn_classify(**arguments)
