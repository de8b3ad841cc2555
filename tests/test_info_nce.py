"""InfoNCE's special cases; the rest is in test_similarity*.py and test_info_nce_loss.py."""

import math

import pytest
import torch

from ipse.functional import info_nce_loss
from tests.cross_correlation_cases import make_views


def test_orthogonal_pairs() -> None:
    eye = torch.eye(5, dtype=torch.float64)
    wanted = math.log(1 + 4 * math.exp(-2))
    assert info_nce_loss(eye, eye, temperature=0.5).item() == pytest.approx(wanted, rel=1e-14)


def test_keys_as_negatives_of_each_query() -> None:
    """The batch's other keys, passed by hand, are what None means."""
    query, key = make_views(6, 4, torch.float64)
    others = torch.stack([torch.cat([key[:n], key[n + 1 :]]) for n in range(6)])
    torch.testing.assert_close(info_nce_loss(query, key, others), info_nce_loss(query, key))


def test_shared_negatives_are_everyones_own() -> None:
    query, key = make_views(6, 4, torch.float64)
    queue = make_views(9, 4, torch.float64, seed=1)[0]
    own = queue.expand(6, 9, 4)
    torch.testing.assert_close(info_nce_loss(query, key, queue), info_nce_loss(query, key, own))


def test_order_of_a_queue_does_not_matter() -> None:
    query, key = make_views(6, 4, torch.float64)
    queue = make_views(70, 4, torch.float64, seed=1)[0]
    loss = info_nce_loss(query, key, queue)
    torch.testing.assert_close(info_nce_loss(query, key, queue.flip(0)), loss, rtol=1e-13, atol=0)


def test_is_not_symmetric() -> None:
    query, key = make_views(6, 4, torch.float64)
    assert not torch.isclose(info_nce_loss(query, key), info_nce_loss(key, query))


@pytest.mark.parametrize("kind", ["queue", "own"])
def test_gradgradcheck_with_negatives(kind: str) -> None:
    query, key = make_views(4, 3, torch.float64)
    negatives = make_views(8, 3, torch.float64, seed=1)[0]
    negatives = negatives if kind == "queue" else negatives.view(4, 2, 3)
    temperature = torch.tensor(0.4, dtype=torch.float64)
    leaves = [x.clone().requires_grad_() for x in (query, key, negatives, temperature)]
    assert torch.autograd.gradcheck(info_nce_loss, leaves)
    assert torch.autograd.gradgradcheck(info_nce_loss, leaves)
