"""The queue of past keys: what it holds, and that no loss notices when it changes."""

import copy
import pickle
from collections import deque

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ipse.functional import info_nce_loss
from ipse.losses import MemoryQueue, NTXentLoss


def keys_from(start: int, rows: int, dim: int = 3) -> Tensor:
    """Rows that say which key they are: key n is (n, n, ...)."""
    return torch.arange(start, start + rows).float()[:, None].expand(rows, dim)


@given(size=st.integers(1, 9), batches=st.lists(st.integers(1, 25), max_size=6))
def test_holds_the_last_keys_in_a_ring(size: int, batches: list[int]) -> None:
    """Against a deque of Python numbers: any batch, any size, wrapping around."""
    queue = MemoryQueue(size, 3, labels=True, ids=True)
    start = queue.features.clone()
    recent: deque[int] = deque(maxlen=size)
    written = 0
    for rows in batches:
        numbers = torch.arange(written, written + rows)
        queue.enqueue(keys_from(written, rows), numbers % 7, numbers)
        recent.extend(range(written, written + rows))
        written += rows
    assert int(queue.position) == written % size
    assert int(queue.count) == min(written, size) == len(queue.filled())
    assert sorted(queue.filled()[:, 0].tolist()) == sorted(recent)
    for number in recent:  # each key lies where a ring of that size puts it
        row = number % size
        assert queue.features[row].tolist() == [number] * 3
        assert int(queue.row_ids[row]) == number
        assert int(queue.row_labels[row]) == number % 7
    untouched = slice(int(queue.count), size)
    assert torch.equal(queue.features[untouched], start[untouched])
    assert (queue.row_ids[untouched] == -1).all()


def test_starts_with_the_same_random_unit_rows_everywhere() -> None:
    torch.manual_seed(1)
    first = MemoryQueue(50, 8)
    torch.manual_seed(2)
    assert torch.equal(first.features, MemoryQueue(50, 8).features)
    assert not torch.equal(first.features, MemoryQueue(50, 8, seed=1).features)
    torch.testing.assert_close(first.features.norm(dim=1), torch.ones(50))
    assert len(first.filled()) == 0


def test_keys_are_copied() -> None:
    queue = MemoryQueue(4, 3)
    keys = torch.ones(2, 3, requires_grad=True)
    queue.enqueue(keys * 1)
    with torch.no_grad():
        keys.zero_()
    assert (queue.filled() == 1).all()
    assert not queue.features.requires_grad


def gradient(queue: MemoryQueue, query: Tensor, key: Tensor, *, enqueue_first: bool) -> Tensor:
    leaf = query.clone().requires_grad_()
    lent, rows = queue.lend(leaf)
    loss = info_nce_loss(lent, key, rows, 0.2)
    if enqueue_first:
        queue.enqueue(key)
    loss.backward()
    if not enqueue_first:
        queue.enqueue(key)
    queue.flush()
    return leaf.grad


def test_backward_after_enqueue_sees_the_queue_as_it_was() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 5, 3, generator=generator)
    queues = [MemoryQueue(8, 3) for _ in range(2)]
    for _ in range(4):
        late, early = (
            gradient(queue, query, key, enqueue_first=early)
            for queue, early in zip(queues, (False, True), strict=True)
        )
        assert torch.equal(late, early)
        assert torch.equal(queues[0].features, queues[1].features)
        query, key = key, query + 1


def test_one_step_does_not_copy_the_queue() -> None:
    loss = NTXentLoss(0.2, (16, 3))
    memory = loss.memory_bank.features.data_ptr()
    for step in range(5):
        z1, z2 = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(step))
        loss(z1.requires_grad_(), z2).backward()
        assert loss.memory_bank.features.data_ptr() == memory


def test_a_loss_whose_graph_was_dropped_no_longer_holds_the_queue() -> None:
    loss = NTXentLoss(0.2, (16, 3))
    memory = loss.memory_bank.features.data_ptr()
    z1, z2 = torch.randn(2, 6, 3)
    value = loss(z1.requires_grad_(), z2)
    del value
    loss(z1, z2)
    assert loss.memory_bank.features.data_ptr() == memory


def test_two_losses_before_one_backward() -> None:
    """MoCo v3's symmetric loss on one queue: the second copies what the first still needs."""
    z1, z2 = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    loss = NTXentLoss(0.2, (16, 3))
    start = loss.memory_bank.features.clone()
    leaves = [z.clone().requires_grad_() for z in (z1, z2)]
    (loss(leaves[0], z2) + loss(leaves[1], z1)).backward()

    second = start.clone()
    second[:6] = torch.nn.functional.normalize(z2, dim=1)
    exact = [z.clone().requires_grad_() for z in (z1, z2)]
    wanted = info_nce_loss(exact[0], z2, start, 0.2) + info_nce_loss(exact[1], z1, second, 0.2)
    wanted.backward()
    for mine, leaf in zip(leaves, exact, strict=True):
        assert torch.equal(mine.grad, leaf.grad)


def test_reading_the_buffer_without_a_loan_is_noticed() -> None:
    queue = MemoryQueue(8, 3)
    query = torch.randn(5, 3, requires_grad=True)
    logits = query @ queue.features.T
    queue.enqueue(torch.randn(5, 3))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        logits.sum().backward()


def test_a_second_backward_after_enqueue_is_noticed() -> None:
    queue = MemoryQueue(8, 3)
    leaf = torch.randn(5, 3, requires_grad=True)
    query, rows = queue.lend(leaf)
    loss = (query @ rows.T).logsumexp(1).sum()
    loss.backward(retain_graph=True)
    queue.enqueue(torch.randn(5, 3))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_forward_returns_the_rows_before_the_keys() -> None:
    queue = MemoryQueue(4, 3)
    before = queue.features.clone()
    assert torch.equal(queue(keys_from(7, 2)), before)
    assert queue.filled()[:, 0].tolist() == [7, 8]


def waiting_queue() -> MemoryQueue:
    """A queue with keys that wait for a backward pass which never comes."""
    queue = MemoryQueue(4, 3, ids=True)
    queue.enqueue(keys_from(0, 3), ids=torch.arange(3))
    query, rows = queue.lend(torch.ones(2, 3, requires_grad=True))
    queue.enqueue(keys_from(3, 3), ids=torch.arange(3, 6))
    queue.graph = query.sum() + rows.sum()
    return queue


def test_state_dict_contains_the_keys_that_wait() -> None:
    queue = waiting_queue()
    state = queue.state_dict()
    assert state.keys() == {"features", "position", "count", "row_ids"}
    other = MemoryQueue(4, 3, ids=True, seed=5)
    other.load_state_dict(state)
    assert other.features[:, 0].tolist() == [4, 5, 2, 3]
    assert (int(other.position), int(other.count)) == (2, 4)
    assert other.row_ids.tolist() == [4, 5, 2, 3]
    for continued in (queue, other):
        continued.enqueue(keys_from(6, 1), ids=torch.tensor([6]))
        assert continued.filled()[:, 0].tolist() == [4, 5, 6, 3]


def test_loading_discards_the_keys_that_wait() -> None:
    state = MemoryQueue(4, 3, ids=True).state_dict()
    queue = waiting_queue()
    queue.load_state_dict(state)
    assert len(queue.filled()) == 0


@pytest.mark.parametrize("how", [copy.deepcopy, lambda q: pickle.loads(pickle.dumps(q))])
def test_copies(how: object) -> None:
    queue = waiting_queue()
    del queue.graph
    other = how(queue)
    other.enqueue(keys_from(9, 1), ids=torch.tensor([9]))
    assert other.filled()[:, 0].tolist() == [4, 5, 9, 3]
    assert queue.filled()[:, 0].tolist() == [4, 5, 2, 3]


def test_half_precision_keys_and_queue() -> None:
    queue = MemoryQueue(4, 3).bfloat16()
    queue.enqueue(keys_from(2, 2))
    assert queue.features.dtype is torch.bfloat16
    assert queue.filled()[:, 0].tolist() == [2, 3]
    assert queue.position.dtype is torch.int64


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MemoryQueue(0, 3), "MemoryQueue: size must be at least 1, got 0"),
        (lambda: MemoryQueue(3, 0), "MemoryQueue: dim must be at least 1, got 0"),
        (
            lambda: MemoryQueue(4, 3).enqueue(torch.ones(2, 5)),
            r"MemoryQueue: keys must be \(N, 3\), got shape \(2, 5\)",
        ),
        (
            lambda: MemoryQueue(4, 3).enqueue(torch.ones(2, 3), labels=torch.ones(2)),
            "MemoryQueue: labels must be None, or make the queue with labels=True",
        ),
        (
            lambda: MemoryQueue(4, 3, ids=True).enqueue(torch.ones(2, 3)),
            "MemoryQueue: ids must be given: this queue keeps them",
        ),
        (
            lambda: MemoryQueue(4, 3, ids=True).enqueue(torch.ones(2, 3), ids=torch.ones(3)),
            r"MemoryQueue: ids must be \(2,\), got shape \(3,\)",
        ),
    ],
)
def test_errors(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
