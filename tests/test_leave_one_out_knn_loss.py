"""LOOK: the loss and its gradient from the paper's formula, its rules, and the queue."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ipse.functional import leave_one_out_knn_loss
from ipse.functional.leave_one_out_knn import MISSING
from ipse.losses import LeaveOneOutKNNLoss
from tests.neighbours_cases import randn
from tests.reference import neighbours as reference

every_rule = pytest.mark.parametrize("missing", MISSING)


def labels(count: int, classes: int, seed: int, least: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(least, classes, (count,), generator=generator)


@given(
    batch=st.integers(1, 12),
    entries=st.integers(2, 40),
    classes=st.integers(1, 8),
    k=st.integers(1, 40),
    temperature=st.sampled_from([0.05, 0.1, 1.0]),
    missing=st.sampled_from(MISSING),
    force=st.integers(1, 5),
    with_ids=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_value_and_gradient_with_a_memory(
    batch: int,
    entries: int,
    classes: int,
    k: int,
    temperature: float,
    missing: str,
    force: int,
    with_ids: bool,
    seed: int,
) -> None:
    z = randn(batch, 6, seed=seed, dtype=torch.float64).requires_grad_()
    memory = randn(entries, 6, seed=seed + 1, dtype=torch.float64).requires_grad_()
    own, others = labels(batch, classes, seed), labels(entries, classes, seed + 1, least=-1)
    others[0] = others[1] = 0
    ids = labels(batch, 9, seed) if with_ids else None
    memory_ids = labels(entries, 9, seed + 2) if with_ids else None
    k = max(1, min(k, int((others >= 0).sum()) - with_ids))
    loss = leave_one_out_knn_loss(
        z,
        own,
        memory,
        others,
        k=k,
        temperature=temperature,
        ids=ids,
        memory_ids=memory_ids,
        missing=missing,
        force=force,
    )
    wanted = reference.leave_one_out_knn(
        z, own, memory, others, k, temperature, ids, memory_ids, missing, force
    )
    assert torch.allclose(loss, wanted, rtol=1e-9, atol=1e-9)
    mine = torch.autograd.grad(loss, (z, memory), allow_unused=True)
    theirs = torch.autograd.grad(wanted, (z, memory), allow_unused=True)
    for got, exact in zip(mine, theirs, strict=True):
        exact = torch.zeros_like(got) if exact is None else exact
        assert torch.allclose(got, exact, rtol=1e-8, atol=1e-8)


@every_rule
def test_the_batch_is_its_own_memory(missing: str) -> None:
    z = randn(20, 6, seed=0, dtype=torch.float64)
    own = labels(20, 5, 0)
    ids = torch.arange(20)
    wanted = reference.leave_one_out_knn(z, own, z, own, 6, 0.1, ids, ids, missing)
    assert torch.allclose(leave_one_out_knn_loss(z, own, k=6, missing=missing), wanted)
    pairs = ids // 2  # two views of each sample
    wanted = reference.leave_one_out_knn(z, own, z, own, 6, 0.1, pairs, pairs, missing)
    got = leave_one_out_knn_loss(z, own, k=6, missing=missing, ids=pairs)
    assert torch.allclose(got, wanted)


@every_rule
@pytest.mark.parametrize("force", [1, 3])
def test_gradcheck(missing: str, force: int) -> None:
    z = randn(7, 4, seed=0, dtype=torch.float64).requires_grad_()
    memory = randn(9, 4, seed=1, dtype=torch.float64).requires_grad_()
    own, others = labels(7, 4, 0), labels(9, 4, 1)
    options: dict[str, Any] = {"k": 3, "temperature": 0.5, "missing": missing, "force": force}

    def with_memory(z: Tensor, memory: Tensor) -> Tensor:
        return leave_one_out_knn_loss(z, own, memory, others, **options)

    def alone(z: Tensor) -> Tensor:
        return leave_one_out_knn_loss(z, own, **options)

    assert torch.autograd.gradcheck(with_memory, (z, memory))
    assert torch.autograd.gradgradcheck(with_memory, (z, memory))
    assert torch.autograd.gradcheck(alone, (z,))
    assert torch.autograd.gradgradcheck(alone, (z,))


def test_far_members_of_the_class_are_not_attracted() -> None:
    """What sets LOOK apart from SupCon: outside the neighbourhood there is no gradient."""
    z = torch.tensor([[1.0, 0.1]])
    memory = torch.tensor([[1.0, 0.0], [0.9, 0.2], [0.8, 0.3], [-1.0, 0.0]], requires_grad=True)
    own = torch.tensor([0, 1, 0, 0])
    leave_one_out_knn_loss(z, own[:1], memory, own, k=3).backward()
    assert bool((memory.grad[:3].abs().sum(1) > 0).all())
    assert memory.grad[3].tolist() == [0.0, 0.0]


def test_all_entries_give_the_soft_nearest_neighbour_loss() -> None:
    z = torch.nn.functional.normalize(randn(12, 4, seed=0, dtype=torch.float64), dim=1)
    own = labels(12, 3, 0)
    logits = (z @ z.T / 0.1).fill_diagonal_(-torch.inf)
    same = own[:, None] == own
    wanted = logits.logsumexp(1) - logits.masked_fill(~same, -torch.inf).logsumexp(1)
    assert torch.allclose(leave_one_out_knn_loss(z, own, k=11), wanted.mean())


def test_nobody_has_a_neighbour_of_its_class() -> None:
    z = randn(5, 3, seed=0).requires_grad_()
    for missing, value in (("force_positive", 0.0), ("skip", 0.0), ("smooth", 6.9078)):
        loss = leave_one_out_knn_loss(z, torch.arange(5), k=2, missing=missing)
        assert float(loss.detach()) == pytest.approx(value, rel=1e-3)
        (gradient,) = torch.autograd.grad(loss, z)
        assert gradient.abs().max() == 0


def test_tiny_temperature_stays_finite() -> None:
    z = randn(20, 4, seed=0).requires_grad_()
    for missing in MISSING:
        loss = leave_one_out_knn_loss(z, labels(20, 4, 0), k=5, temperature=1e-4, missing=missing)
        (gradient,) = torch.autograd.grad(loss, z)
        assert bool(loss.isfinite())
        assert bool(gradient.isfinite().all())


GOOD = {"z": torch.ones(4, 3), "labels": torch.tensor([0, 0, 1, 1]), "k": 2}
MEMORY = {"memory": torch.ones(5, 3), "memory_labels": torch.tensor([0, 0, 1, 1, -1])}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"k": 0}, ValueError, "k must be at least 1, got 0"),
        ({"k": 4}, ValueError, "k must be at most 3, .*, got 4"),
        ({**MEMORY, "k": 5}, ValueError, "k must be at most 4, .*, got 5"),
        ({"temperature": 0.0}, ValueError, "temperature must be positive and finite"),
        ({"missing": "drop"}, ValueError, "missing must be one of force_positive, skip, smooth"),
        ({"force": 0}, ValueError, "force must be at least 1"),
        ({"smoothing": 0.0}, ValueError, "smoothing must be positive"),
        ({"z": torch.ones(0, 3)}, ValueError, r"z must be \(N, D\) with N >= 1"),
        ({"labels": torch.tensor([0, 0, 1])}, ValueError, r"labels must have shape \(4,\)"),
        ({"labels": torch.zeros(4)}, TypeError, "labels must be integers"),
        ({"labels": torch.tensor([0, 0, -1, 1])}, ValueError, "labels must be at least 0, got -1"),
        ({"memory": torch.ones(5, 3)}, ValueError, "a memory needs memory_labels"),
        ({"memory_labels": torch.ones(5)}, ValueError, "need a memory"),
        ({**MEMORY, "ids": torch.arange(4)}, ValueError, "ids and memory_ids must be given"),
        (
            {"memory": torch.ones(2, 3), "memory_labels": torch.tensor([-1, -1])},
            ValueError,
            "no filled entry",
        ),
        ({"z": torch.ones(1, 3), "labels": torch.tensor([0]), "k": 1}, ValueError, "at most 0"),
    ],
)
def test_messages(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^leave_one_out_knn_loss: .*{message}"):
        leave_one_out_knn_loss(**(GOOD | change))


def test_module_without_a_queue() -> None:
    z, own = randn(20, 6, seed=0), labels(20, 4, 0)
    loss = LeaveOneOutKNNLoss(k=5, temperature=0.2)
    assert torch.equal(loss(z, own), leave_one_out_knn_loss(z, own, k=5, temperature=0.2))
    assert float(LeaveOneOutKNNLoss(k=500)(z, own)) > 0  # as many as there are


def test_queue_is_used_then_filled() -> None:
    """The loss of the second batch sees the first; the oldest leave; ids keep a sample away."""
    loss = LeaveOneOutKNNLoss(k=4, memory_size=12, feature_size=6)
    batches = [randn(8, 6, seed=seed) for seed in range(3)]
    own = labels(8, 3, 0)
    seen: list[tuple[Tensor, Tensor, Tensor]] = []
    for step, z in enumerate(batches):
        ids = torch.arange(8) + 4 * step  # half of the last batch comes again
        bank = torch.cat([z, *[old[0] for old in seen]])
        bank_labels = torch.cat([own, *[old[1] for old in seen]])
        bank_ids = torch.cat([ids, *[old[2] for old in seen]])
        wanted = leave_one_out_knn_loss(
            z, own, bank, bank_labels, k=4, ids=ids, memory_ids=bank_ids
        )
        assert torch.allclose(loss(z, own, ids), wanted, atol=1e-6)
        everything = [torch.cat(parts)[-12:] for parts in zip(*seen, (z, own, ids), strict=True)]
        seen = [(everything[0], everything[1], everything[2])]
    assert sorted(loss.ids.tolist()) == sorted(seen[0][2].tolist())
    assert bool((loss.labels >= 0).all())


def test_queue_in_evaluation_keys_and_large_batches() -> None:
    loss = LeaveOneOutKNNLoss(k=4, memory_size=5, feature_size=6)
    z = randn(8, 6, seed=0).requires_grad_()
    keys = randn(8, 6, seed=1).requires_grad_()
    own, ids = labels(8, 2, 0), torch.arange(8)
    loss.eval()(z, own, ids)
    assert bool((loss.labels == -1).all())
    value = loss.train()(z, own, ids, keys)
    wanted = leave_one_out_knn_loss(z, own, keys.detach(), own, k=4, ids=ids, memory_ids=ids)
    assert torch.allclose(value, wanted)
    value.backward()
    assert keys.grad is None
    assert z.grad is not None
    assert loss.ids.tolist() == [3, 4, 5, 6, 7]
    assert torch.allclose(loss.features, torch.nn.functional.normalize(keys[3:], dim=1))


def test_queue_is_saved_with_the_module() -> None:
    loss = LeaveOneOutKNNLoss(k=2, memory_size=8, feature_size=3)
    loss(randn(6, 3, seed=0), labels(6, 2, 0), torch.arange(6))
    copy = LeaveOneOutKNNLoss(k=2, memory_size=8, feature_size=3)
    copy.load_state_dict(loss.state_dict())
    z, own, ids = randn(6, 3, seed=1), labels(6, 2, 1), torch.arange(6) + 6
    assert torch.equal(copy(z, own, ids), loss(z, own, ids))
    assert torch.equal(copy.features, loss.features)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k must be at least 1"),
        ({"missing": "x"}, "missing must be one of"),
        ({"memory_size": -1}, "memory_size must be 0, or positive"),
        ({"memory_size": 4}, "with a feature_size"),
    ],
)
def test_module_messages(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^LeaveOneOutKNNLoss: .*{message}"):
        LeaveOneOutKNNLoss(**arguments)


def test_a_queue_needs_ids() -> None:
    loss = LeaveOneOutKNNLoss(k=2, memory_size=8, feature_size=3)
    with pytest.raises(ValueError, match="ids must be given where there is a queue"):
        loss(torch.ones(3, 3), torch.zeros(3, dtype=torch.long))
