"""Batches whose samples all come from different clusters.

Contrastive losses push all images of a batch apart, also those that show the same thing. Where a
clustering already suspects which images are alike, a batch that takes at most one from each
cluster has fewer of these false negatives.

Source: S. Chakraborty, A. R. Gosthipaty and S. Paul, G-SimCLR, arXiv 2009.12007, for the idea. The
schedule here is another one: the paper's blocks straddle clusters once the smallest is used up,
and are the same in every epoch.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Sampler

__all__ = ["OneClusterPerBatchSampler"]

_NAME = "OneClusterPerBatchSampler"
Labels = Tensor | NDArray[np.integer] | Sequence[int]


class OneClusterPerBatchSampler(Sampler[list[int]]):
    """Batches with at most one sample of each cluster, as far as that can be done.

    An epoch has T = N // batch_size batches and shows every sample at most once. A cluster with
    more than T samples must repeat in some batch; a cluster with m samples in the epoch repeats
    exactly max(0, m - T) times, spread evenly, which is the least of any schedule. The
    N % batch_size samples left over are taken from clusters larger than T first, so that
    `repeats` is the least possible too.

    How: the samples lie cluster by cluster, in an order drawn anew for every epoch, and position p
    goes to batch p mod T. Neighbours in the same cluster thus go to different batches. It costs
    one linear sort and a few passes over N numbers an epoch.

    Use it as a `batch_sampler`; each pass over it is a new epoch:

        loader = DataLoader(dataset, batch_sampler=OneClusterPerBatchSampler(clusters, 64))

    To resume at batch 17 of epoch 5, call `set_epoch(5, 17)`: nothing else has to be stored.

    Args:
        labels: Cluster of every sample, (N,) integers, not negative; gaps in the numbering do not
            matter.
        batch_size: Samples per batch over all processes.
        allow_repeats: Let batch_size exceed the number of clusters, so that every batch repeats
            some; each cluster is still spread evenly over the batches.
        seed: Seed of all orders; epoch e depends on (seed, e) alone.
        num_samples: If given, the size of the data set, which labels must have.
        num_replicas: Number of processes that share a batch; a divisor of batch_size.
        rank: This process. Batches are made whole first and then cut, so that the shards of one
            batch hold different clusters as well.

    Raises:
        ValueError: An argument is out of its range; batch_size exceeds the samples, or the
            clusters without allow_repeats; labels are not (N,) integers, negative, or disagree
            with num_samples.

    Memory: 40 N bytes or so for the epoch being prepared, 8 N between epochs.
    """

    def __init__(
        self,
        labels: Labels,
        batch_size: int,
        *,
        allow_repeats: bool = False,
        seed: int = 0,
        num_samples: int | None = None,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        found = _integers(labels)
        _check(found, batch_size, seed, num_samples, num_replicas, rank)
        _, clusters, sizes = np.unique(found, return_inverse=True, return_counts=True)
        if batch_size > len(sizes) and not allow_repeats:
            raise ValueError(
                f"{_NAME}: batch_size must be at most the number of clusters that have samples, "
                f"{len(sizes)}, unless allow_repeats is set, got {batch_size}"
            )
        self.batch_size, self.seed = batch_size, seed
        self.num_replicas, self.rank = num_replicas, rank
        # NumPy's stable sort of 16-bit integers is a radix sort, linear in N.
        self._clusters = clusters.astype(np.uint16 if len(sizes) <= 2**16 else np.int64)
        self._sizes = sizes
        self._epoch, self._start = 0, 0

    @property
    def dropped(self) -> int:
        """Samples that an epoch leaves out, since batches are full: N % batch_size."""
        return len(self._clusters) % self.batch_size

    @property
    def repeats(self) -> int:
        """How often in an epoch a sample meets an earlier one of its cluster in its batch.

        The sum over all batches of (batch_size - number of different clusters), the same for
        every epoch, and the least that any T full batches of different samples can have.
        """
        surplus = int(np.maximum(self._sizes - len(self), 0).sum())
        return max(0, surplus - self.dropped)

    def __len__(self) -> int:
        """Batches per epoch."""
        return len(self._clusters) // self.batch_size

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Makes the next pass that of `epoch`, from batch `start` on.

        Passes advance the epoch by themselves. A data loader with workers asks for batches ahead
        of time, so the number of batches done has to come from the training loop.

        Raises:
            ValueError: `epoch` is negative, or `start` not in [0, T].
        """
        if epoch < 0:
            raise ValueError(f"{_NAME}.set_epoch: epoch must be at least 0, got {epoch}")
        if not 0 <= start <= len(self):
            raise ValueError(f"{_NAME}.set_epoch: start must be in [0, {len(self)}], got {start}")
        self._epoch, self._start = epoch, start

    def __iter__(self) -> Iterator[list[int]]:
        """This process's part of the batches of the current epoch; the next pass is the next."""
        # A generator: only a pass that is begun counts. A data loader with workers makes two
        # iterators for each pass and uses one.
        batches = self.batches(self._epoch)[self._start :]
        self._epoch, self._start = self._epoch + 1, 0
        share = self.batch_size // self.num_replicas
        yield from batches[:, self.rank * share : (self.rank + 1) * share].tolist()

    def batches(self, epoch: int) -> Tensor:
        """All batches of an epoch, over all processes: int64 tensor (T, batch_size)."""
        # SeedSequence mixes its words, so that neighbouring keys give unrelated streams.
        source = np.random.default_rng([self.seed, epoch])
        order, surplus = self._cluster_by_cluster(source)
        kept = np.delete(order, self._left_out(surplus, source))
        columns = kept.reshape(self.batch_size, len(self))  # position p in column p mod T
        rows = source.permutation(columns.T)
        # Without this a rank would see the same few clusters for a whole epoch.
        return torch.from_numpy(source.permuted(rows, axis=1))

    def _cluster_by_cluster(
        self, source: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The samples, clusters and members in random order; and which are beyond a cluster's T."""
        count, kinds = len(self._clusters), len(self._sizes)
        place = source.permutation(kinds).astype(self._clusters.dtype)
        sizes = np.empty_like(self._sizes)
        sizes[place] = self._sizes
        order = source.permutation(count)
        order = order[np.argsort(place[self._clusters[order]], kind="stable")]
        member = np.arange(count) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return order, member >= len(self)

    def _left_out(
        self, surplus: NDArray[np.bool_], source: np.random.Generator
    ) -> NDArray[np.int64]:
        """Positions of the samples that do not fit into full batches: surplus ones first."""
        first, then = np.flatnonzero(surplus), np.flatnonzero(~surplus)
        if len(first) >= self.dropped:
            return source.choice(first, self.dropped, replace=False)
        rest = source.choice(then, self.dropped - len(first), replace=False)
        return np.concatenate([first, rest])


def _integers(labels: Labels) -> NDArray[np.integer]:
    found = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if found.ndim != 1 or not np.issubdtype(found.dtype, np.integer):
        raise ValueError(
            f"{_NAME}: labels must be integers of shape (N,), "
            f"got {found.dtype} of shape {found.shape}"
        )
    return found


def _check(
    labels: NDArray[np.integer],
    batch_size: int,
    seed: int,
    num_samples: int | None,
    num_replicas: int,
    rank: int,
) -> None:
    if num_samples is not None and len(labels) != num_samples:
        raise ValueError(
            f"{_NAME}: labels must have one entry for each of the {num_samples} samples, "
            f"got {len(labels)}"
        )
    if len(labels) and labels.min() < 0:
        raise ValueError(f"{_NAME}: labels must not be negative, got {labels.min()}")
    if not 1 <= operator.index(batch_size) <= len(labels):
        raise ValueError(
            f"{_NAME}: batch_size must be from 1 to the number of samples, {len(labels)}, "
            f"got {batch_size}"
        )
    if operator.index(seed) < 0:
        raise ValueError(f"{_NAME}: seed must be at least 0, got {seed}")
    if operator.index(num_replicas) < 1 or batch_size % num_replicas:
        raise ValueError(
            f"{_NAME}: num_replicas must be a divisor of batch_size {batch_size}, "
            f"got {num_replicas}"
        )
    if not 0 <= operator.index(rank) < num_replicas:
        raise ValueError(f"{_NAME}: rank must be in [0, {num_replicas}), got {rank}")
