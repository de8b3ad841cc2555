"""``InfoNCELoss`` and ``NegativeCosineSimilarity`` as modules."""

import inspect

import pytest
import torch
from lightly.loss import NegativeCosineSimilarity as LightlyNegativeCosineSimilarity
from torch import nn

from ipse.functional import info_nce_loss
from ipse.losses import InfoNCELoss, NegativeCosineSimilarity
from tests.cross_correlation_cases import make_views, value_and_gradients
from tests.reference.similarity import info_nce as reference


def negatives_of(kind: str) -> torch.Tensor | None:
    generator = torch.Generator().manual_seed(5)
    shapes = {"queue": (11, 5), "one": (1, 5), "own": (7, 4, 5)}
    if kind == "batch":
        return None
    return torch.randn(shapes[kind], generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("kind", ["batch", "queue", "one", "own"])
@pytest.mark.parametrize("temperature", [0.01, 0.1, 2.0, -1.0])
def test_equals_the_reference(kind: str, temperature: float) -> None:
    views = make_views(7, 5, torch.float64)
    negatives = negatives_of(kind)
    mine = value_and_gradients(InfoNCELoss(temperature), *views, negatives)
    wanted = value_and_gradients(reference, *views, negatives, temperature)
    for got, exact in zip(mine, wanted, strict=True):
        torch.testing.assert_close(got, exact, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", ["queue", "own"])
def test_gradient_of_the_negatives(kind: str) -> None:
    query, key = make_views(7, 5, torch.float64)
    mine, exact = (negatives_of(kind).requires_grad_() for _ in range(2))
    InfoNCELoss(0.2)(query, key, mine).backward()
    reference(query, key, exact, 0.2).backward()
    torch.testing.assert_close(mine.grad, exact.grad, rtol=1e-10, atol=1e-13)


def test_learned_temperature() -> None:
    views = make_views(7, 5, torch.float64)
    for negatives in (None, negatives_of("queue"), negatives_of("own")):
        loss = InfoNCELoss(nn.Parameter(torch.tensor(0.3, dtype=torch.float64)))
        loss(*views, negatives).backward()
        exact = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
        reference(*views, negatives, exact).backward()
        torch.testing.assert_close(loss.temperature.grad, exact.grad)


def test_one_pair_without_negatives() -> None:
    assert InfoNCELoss()(*make_views(1, 4)).item() == pytest.approx(0, abs=1e-6)


def test_module_is_the_function() -> None:
    views = make_views(20, 15)
    assert torch.equal(InfoNCELoss(0.2)(*views), info_nce_loss(*views, temperature=0.2))
    assert repr(InfoNCELoss()) == "InfoNCELoss(temperature=0.1, gather_distributed=False)"
    with pytest.raises(ValueError, match="InfoNCELoss: temperature must be at least 1e-08"):
        InfoNCELoss(0.0)


@pytest.mark.parametrize(("dim", "eps"), [(1, 1e-8), (0, 1e-8), (1, 0.5), (-1, 1e-8)])
def test_negative_cosine_similarity_equals_lightly(dim: int, eps: float) -> None:
    x0, x1 = make_views(7, 5)
    x0[2] = 0
    mine = value_and_gradients(NegativeCosineSimilarity(dim, eps), x0, x1)
    theirs = value_and_gradients(LightlyNegativeCosineSimilarity(dim, eps), x0, x1)
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_negative_cosine_similarity_has_lightlys_signature() -> None:
    mine, theirs = (
        inspect.signature(c) for c in (NegativeCosineSimilarity, LightlyNegativeCosineSimilarity)
    )
    assert [(p.name, p.default) for p in mine.parameters.values()] == [
        (p.name, p.default) for p in theirs.parameters.values()
    ]
    assert repr(NegativeCosineSimilarity()) == "NegativeCosineSimilarity(dim=1, eps=1e-08)"
