"""Rows of all processes in one batch, with the gradient that belongs to them.

The derivative of every collective here is its transpose: that of the sum, over the ranks, of
what each rank differentiates. A loss that is the same on all W ranks therefore has W times
the gradient of one process, which DistributedDataParallel's average over ranks expects.
"""

from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor


def require_distributed(name: str, gather_distributed: bool) -> None:
    """Raises ValueError where gathering is asked for and this torch cannot do it."""
    if gather_distributed and not dist.is_available():
        raise ValueError(
            f"{name}: gather_distributed=True needs torch.distributed, which this build of "
            "torch does not have; pass gather_distributed=False"
        )


# How a loss sees the rows of other processes: not at all, all at once, or one rank at a time.
Gather = bool | Literal["ring"]


def check_gather(name: str, gather_distributed: Gather) -> Gather:
    """Returns the mode; raises ValueError for an unknown one, or without torch.distributed."""
    if not (isinstance(gather_distributed, bool) or gather_distributed == "ring"):
        raise ValueError(
            f"{name}: gather_distributed must be False, True or 'ring', got {gather_distributed!r}"
        )
    require_distributed(name, bool(gather_distributed))
    return gather_distributed


def world_size() -> int:
    """Number of processes; 1 without an initialised process group."""
    if not dist.is_available() or not dist.is_initialized():
        return 1
    return dist.get_world_size()


def check_world(name: str, rank: int, size: int) -> None:
    """Raises ValueError unless ``rank`` and ``size`` are those of the process group."""
    if world_size() != size:
        raise ValueError(
            f"{name}: world_size must be that of the process group, {world_size()}, got {size}"
        )
    if dist.get_rank() != rank:
        raise ValueError(
            f"{name}: rank must be that of this process, {dist.get_rank()}, got {rank}"
        )


def row_counts(rows: int, device: torch.device) -> list[int]:
    """How many rows each rank has, in rank order."""
    own = torch.tensor([rows], device=device)
    counts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, own)
    return [int(count) for count in counts]


def sum_over_ranks(value: Tensor) -> Tensor:
    """The sum of a tensor of one shape over all processes; differentiable."""
    return value if world_size() == 1 else _SumOverRanks.apply(value)


def gather_rows(view: Tensor) -> Tensor:
    """All processes' rows of ``view``, in rank order: (N_1 + ... + N_W, ...).

    Batches may differ in length between ranks. The gradient is summed over the ranks:
    with the same loss on each it is W times that of one process holding the whole
    batch, which is what DistributedDataParallel's average over W ranks expects.
    Without an initialised process group, or with one process, returns ``view``.
    """
    return view if world_size() == 1 else _GatherRows.apply(view)


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, view: Tensor) -> Tensor:
        # The lengths travel first: all_gather of unequal tensors would hang or garble.
        rows = row_counts(view.shape[0], view.device)
        rank = dist.get_rank()
        ctx.first, ctx.rows = sum(rows[:rank]), rows[rank]

        padded = view.new_zeros((max(rows), *view.shape[1:]))
        padded[: view.shape[0]] = view
        parts = [torch.empty_like(padded) for _ in rows]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, rows, strict=True)])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _SumRows.apply(grad, ctx.first, ctx.rows)


class _SumRows(torch.autograd.Function):
    """This rank's rows of the sum over ranks: the transpose of the gather, and its inverse way."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, first: int, rows: int) -> Tensor:
        total = grad.contiguous().clone()
        dist.all_reduce(total)
        return total[first : first + rows].clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return gather_rows(grad), None, None


class _SumOverRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.contiguous().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return sum_over_ranks(grad)
