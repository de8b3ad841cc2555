"""``gather_distributed="ring"``: no rank's memory grows with the number of ranks."""

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ipse.losses import ClipLoss, NTXentLoss, SigLipLoss, SupConLoss
from ipse.losses._ring import BlockSums, pass_on
from tests.process_group import run_ranks

ROWS, FEATURES = 8, 512  # on every rank; wide, so that the columns outweigh everything else
# Bytes of the columns that one rank contributes: both views, or the other modality.
VIEW = ROWS * FEATURES * 4
COLUMNS = {"ntxent": 2 * VIEW, "supcon": 2 * VIEW, "clip": VIEW, "siglip": VIEW}


class LiveBytes(TorchDispatchMode):
    """The most bytes of tensors made inside that were alive at one moment."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self.watch(tensor.untyped_storage())
        return result

    def watch(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata in self.known:
            return
        self.known.add(storage._cdata)
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self.forget, storage._cdata, storage.nbytes())

    def forget(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


def losses(ring: bool) -> dict[str, Any]:
    group = {"rank": dist.get_rank(), "world_size": dist.get_world_size()}
    mode = "ring" if ring else True
    labels = torch.arange(ROWS) % 3
    clip = ClipLoss(gather_with_grad=True, ring=ring, **group)
    siglip = SigLipLoss(dist_impl="shift" if ring else "gather", **group)
    supcon = SupConLoss(0.5, gather_distributed=mode)
    return {
        "ntxent": NTXentLoss(gather_distributed=mode),
        "clip": lambda a, b: clip(a, b, 2.0),
        "siglip": lambda a, b: siglip(a, b, 2.0, -1.0),
        "supcon": lambda a, b: supcon(torch.stack([a, b], 1), labels),
    }


def peaks(rank: int) -> dict[Any, int]:
    """Peak bytes of one step of each loss, gathered and in the ring."""
    found = {}
    for ring in (False, True):
        for name, loss in losses(ring).items():
            generator = torch.Generator().manual_seed(rank)
            views = torch.randn(2, ROWS, FEATURES, generator=generator).unbind(0)
            leaves = [view.clone().requires_grad_() for view in views]
            loss(*leaves).backward()  # whatever is made only once is made now
            with LiveBytes() as live:
                loss(*leaves).backward()
            found[name, ring] = live.peak
    return found


@pytest.fixture(scope="module")
def peaks_by_size(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[Any, int]]:
    """The largest over the ranks, for groups of 2, 3 and 4 processes."""
    found = {}
    for size in (2, 3, 4):
        ranks = run_ranks(peaks, size, tmp_path_factory.mktemp("ring"))
        found[size] = {key: max(rank[key] for rank in ranks) for key in ranks[0]}
    return found


@pytest.mark.parametrize("name", COLUMNS)
def test_peak_memory_does_not_grow_with_the_ranks(
    peaks_by_size: dict[int, dict[Any, int]], name: str
) -> None:
    in_ring = [peaks_by_size[size][name, True] for size in (2, 3, 4)]
    gathered = [peaks_by_size[size][name, False] for size in (2, 3, 4)]
    columns = COLUMNS[name]
    # The counters and the lengths of the batches are the only things that do: bytes.
    assert abs(in_ring[2] - in_ring[1]) < columns / 16, in_ring
    # A third rank adds what there is twice while one chunk arrives and another leaves.
    assert in_ring[1] - in_ring[0] <= 4 * columns, in_ring
    # Gathering holds at least the columns of one rank more, each time.
    assert gathered[2] - gathered[1] >= columns, gathered
    assert gathered[1] - gathered[0] >= columns, gathered
    assert in_ring[2] < gathered[2]


def passed_on(rank: int) -> list[Tensor]:
    counts = [3, 1, 2]
    chunk = torch.full((counts[rank], 2), float(rank))
    held = [chunk]
    for step in (1, 2, 3):
        chunk = pass_on(chunk, counts[(rank - step) % 3])
        held.append(chunk)
    return held


def test_columns_travel_to_the_next_rank_and_home(tmp_path: Path) -> None:
    for rank, held in enumerate(run_ranks(passed_on, 3, tmp_path)):
        owners = [int(chunk[0, 0]) for chunk in held]
        assert owners == [(rank - step) % 3 for step in range(4)]
        assert [len(chunk) for chunk in held] == [[3, 1, 2][owner] for owner in owners]


def test_blocks_merge_to_the_whole() -> None:
    generator = torch.Generator().manual_seed(0)
    s = torch.randn(3, 8, generator=generator, dtype=torch.float64)

    def sums(part: Tensor) -> BlockSums:
        return BlockSums(part.logsumexp(1), part.sum(1), (part.softmax(1) * part).sum(1))

    nothing = BlockSums(torch.full((3,), -torch.inf).double(), *torch.zeros(2, 3).double())
    merged = sums(s[:, :2]).merge(nothing).merge(sums(s[:, 2:7])).merge(sums(s[:, 7:]))
    for got, wanted in zip(merged, sums(s), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-13, atol=1e-14)
    empty = nothing.merge(nothing)
    assert (empty.logsumexp == -torch.inf).all()
    assert (empty.mean == 0).all()


def test_derivatives_of_a_merge_with_nothing() -> None:
    """A rank with one sample has no negatives of its own: minus infinity, and no NaN."""
    x = torch.tensor([0.3, -torch.inf, -torch.inf], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([-torch.inf, 0.2, -torch.inf], dtype=torch.float64, requires_grad=True)
    zeros = torch.zeros(3, dtype=torch.float64)
    whole = BlockSums(x, zeros, zeros).merge(BlockSums(y, zeros, zeros)).logsumexp
    first = torch.autograd.grad(whole[:2].sum(), (x, y), create_graph=True)
    assert [g.tolist() for g in first] == [[1, 0, 0], [0, 1, 0]]
    second = torch.autograd.grad(sum(g.square().sum() for g in first), (x, y), allow_unused=True)
    assert all(g is None or (g == 0).all() for g in second)
