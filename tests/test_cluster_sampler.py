"""Batches of one sample per cluster: as few repeats as there can be, in any order of resuming."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from ipse.data import OneClusterPerBatchSampler


def repeats(batches: torch.Tensor, labels: torch.Tensor) -> int:
    """Counted one batch at a time, without any formula."""
    return sum(len(row) - len(set(labels[row].tolist())) for row in batches)


def least_repeats(labels: torch.Tensor, batch_size: int) -> int:
    """The least of any schedule, from the cluster sizes alone.

    Each of the T batches holds a cluster once without a repeat, so its other samples repeat; the
    samples that no batch needs can be taken from those.
    """
    batches, left_over = divmod(len(labels), batch_size)
    beyond = sum(max(0, int(size) - batches) for size in labels.bincount())
    return max(0, beyond - left_over)


@st.composite
def clusterings(draw: st.DrawFn) -> tuple[torch.Tensor, int]:
    """Uneven cluster sizes in a random order, and a batch size that fits."""
    sizes = draw(st.lists(st.integers(1, 30), min_size=1, max_size=12))
    labels = np.repeat(np.arange(len(sizes)), sizes)
    shuffled = np.random.default_rng(draw(st.integers(0, 99))).permutation(labels)
    return torch.from_numpy(shuffled), draw(st.integers(1, min(len(labels), 16)))


@given(clusterings(), st.integers(0, 5), st.integers(0, 3))
def test_every_epoch_has_the_fewest_repeats(
    clustering: tuple[torch.Tensor, int], seed: int, epoch: int
) -> None:
    labels, batch_size = clustering
    sampler = OneClusterPerBatchSampler(labels, batch_size, allow_repeats=True, seed=seed)
    batches = sampler.batches(epoch)
    assert batches.shape == (len(labels) // batch_size, batch_size)
    assert batches.dtype == torch.int64
    assert len(batches.unique()) == batches.numel(), "a sample came twice"
    assert batches.min() >= 0
    assert batches.max() < len(labels)
    assert sampler.dropped == len(labels) - batches.numel()
    assert repeats(batches, labels) == sampler.repeats == least_repeats(labels, batch_size)


@pytest.mark.parametrize("sizes", [(3, 1), (2, 2), (4, 1), (2, 2, 1), (3, 2, 1), (5, 1, 1)])
def test_no_schedule_at_all_has_fewer(sizes: tuple[int, ...]) -> None:
    """The formula above against all ways to fill the batches."""

    def best(batches: list[list[int]], rest: list[int], skips: int) -> int:
        if not rest:
            return sum(len(batch) - len(set(batch)) for batch in batches)
        found = [
            best([*batches[:i], [*batch, rest[0]], *batches[i + 1 :]], rest[1:], skips)
            for i, batch in enumerate(batches)
            if len(batch) < batch_size
        ]
        if skips:
            found.append(best(batches, rest[1:], skips - 1))
        return min(found)

    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    for batch_size in range(1, len(labels) + 1):
        count, left_over = divmod(len(labels), batch_size)
        least = best([[] for _ in range(count)], labels.tolist(), left_over)
        assert OneClusterPerBatchSampler(labels, batch_size, allow_repeats=True).repeats == least


@given(clusterings(), st.integers(0, 3))
def test_a_large_cluster_is_spread_evenly(clustering: tuple[torch.Tensor, int], epoch: int) -> None:
    """Even shares are the fewest pairs of the same cluster, not only the fewest repeats."""
    labels, batch_size = clustering
    batches = OneClusterPerBatchSampler(labels, batch_size, allow_repeats=True).batches(epoch)
    for cluster in labels.unique():
        shares = (labels[batches] == cluster).sum(dim=1)
        assert shares.max() - shares.min() <= 1


def test_small_clusters_never_meet() -> None:
    labels = torch.arange(40).repeat(25)  # 40 clusters of 25, batches of 40: T = 25
    sampler = OneClusterPerBatchSampler(labels, 40)
    assert (sampler.repeats, sampler.dropped, len(sampler)) == (0, 0, 25)
    assert (labels[sampler.batches(3)].sort(dim=1).values == torch.arange(40)).all()


def test_all_samples_get_their_turn() -> None:
    """Nothing is left out for good, neither of large clusters nor of small ones."""
    labels = torch.tensor([0] * 50 + [1] * 5 + [2] * 6)
    sampler = OneClusterPerBatchSampler(labels, 3)
    seen = torch.cat([sampler.batches(epoch).flatten() for epoch in range(8)])
    assert len(seen.unique()) == len(labels)
    even = OneClusterPerBatchSampler(torch.arange(7).repeat(3), 5)  # none too large, one left out
    missing = {tuple(set(range(21)) - set(even.batches(e).flatten().tolist())) for e in range(20)}
    assert len(missing) > 5


def sampler(**changes: Any) -> OneClusterPerBatchSampler:
    labels = torch.arange(600) % 23
    return OneClusterPerBatchSampler(labels, 12, **changes)


def test_orders_depend_on_seed_and_epoch_alone() -> None:
    first = sampler(seed=3).batches(4)
    assert torch.equal(first, sampler(seed=3).batches(4))
    others = [sampler(seed=3).batches(5), sampler(seed=4).batches(4), sampler(seed=4).batches(3)]
    for other in others:
        # Not the same batches in another order either.
        mine, theirs = ({tuple(sorted(row)) for row in b.tolist()} for b in (first, other))
        assert len(mine & theirs) < 3


def test_passes_are_epochs_and_resume_anywhere() -> None:
    whole = sampler(seed=1)
    epochs = [list(whole) for _ in range(3)]
    assert [row for epoch in epochs for row in epoch] == [
        row for epoch in range(3) for row in whole.batches(epoch).tolist()
    ]
    resumed = sampler(seed=1)
    resumed.set_epoch(1, 17)
    assert list(resumed) == epochs[1][17:]
    assert list(resumed) == epochs[2]
    resumed.set_epoch(0, len(resumed))
    assert list(resumed) == []


def test_an_interrupted_pass_does_not_come_back() -> None:
    partly = sampler()
    next(iter(partly))
    assert next(iter(partly)) == sampler().batches(1)[0].tolist()


@pytest.mark.parametrize("workers", [0, 2])
def test_as_a_batch_sampler(workers: int) -> None:
    data = TensorDataset(torch.arange(600))
    loader = DataLoader(data, batch_sampler=sampler(seed=2), num_workers=workers)
    assert len(loader) == 50
    for epoch in range(2):
        loaded = torch.stack([batch for (batch,) in loader])
        assert torch.equal(loaded, sampler(seed=2).batches(epoch))


def test_ranks_share_global_batches() -> None:
    parts = [list(sampler(num_replicas=3, rank=rank)) for rank in range(3)]
    labels = torch.arange(600) % 23
    for number, whole in enumerate(sampler().batches(0).tolist()):
        shares = [part[number] for part in parts]
        assert [len(share) for share in shares] == [4, 4, 4]
        assert [sample for share in shares for sample in share] == whole
        assert len(set(labels[whole].tolist())) == 12, "different clusters across ranks too"
    # A rank meets all clusters within an epoch, not a fixed few.
    assert len({int(labels[i]) for batch in parts[0] for i in batch}) == 23


def test_labels_of_any_integer_kind() -> None:
    plain = [5, 900, 5, 7, 900, 7]
    expected = OneClusterPerBatchSampler(plain, 3).batches(0)
    for labels in (np.array(plain, np.uint16), torch.tensor(plain, dtype=torch.int32)):
        assert torch.equal(OneClusterPerBatchSampler(labels, 3).batches(0), expected)


def test_more_clusters_than_16_bits_can_tell_apart() -> None:
    labels = torch.arange(70_000).repeat(2)
    sampler = OneClusterPerBatchSampler(labels, 70_000)
    assert sampler.repeats == 0
    assert repeats(sampler.batches(0), labels) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": torch.rand(6)}, r"labels must be integers of shape \(N,\), got float32"),
        ({"labels": [[0, 1], [2, 3]]}, r"got int64 of shape \(2, 2\)"),
        ({"labels": [0, 1, -1, 2, 3]}, "labels must not be negative, got -1"),
        ({"labels": torch.zeros(0).long()}, "from 1 to the number of samples, 0, got 2"),
        ({"batch_size": 0}, "batch_size must be from 1 to the number of samples, 6, got 0"),
        ({"batch_size": 7}, "batch_size must be from 1 to the number of samples, 6, got 7"),
        (
            {"batch_size": 4},
            "at most the number of clusters that have samples, 3, unless allow_repeats .*, got 4",
        ),
        ({"num_samples": 7}, "one entry for each of the 7 samples, got 6"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"num_replicas": 3}, "num_replicas must be a divisor of batch_size 2, got 3"),
        ({"num_replicas": 0}, "num_replicas must be a divisor of batch_size 2, got 0"),
        ({"num_replicas": 2, "rank": 2}, r"rank must be in \[0, 2\), got 2"),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], message: str) -> None:
    arguments = {"labels": [0, 1, 9, 0, 1, 9], "batch_size": 2, **changes}
    with pytest.raises(ValueError, match=f"OneClusterPerBatchSampler: .*{message}"):
        OneClusterPerBatchSampler(arguments.pop("labels"), arguments.pop("batch_size"), **arguments)


def test_mistaken_epochs_are_named() -> None:
    with pytest.raises(ValueError, match="epoch must be at least 0, got -1"):
        sampler().set_epoch(-1)
    with pytest.raises(ValueError, match=r"start must be in \[0, 50\], got 51"):
        sampler().set_epoch(0, 51)
