"""Rows of all processes in one batch, with the gradient that belongs to them."""

from typing import Any

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


def gather_rows(view: Tensor) -> Tensor:
    """All processes' rows of ``view``, in rank order: (N_1 + ... + N_W, ...).

    Batches may differ in length between ranks. The gradient is summed over the ranks:
    with the same loss on each it is W times that of one process holding the whole
    batch, which is what DistributedDataParallel's average over W ranks expects.
    Without an initialised process group, or with one process, returns ``view``.
    """
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return view
    return _GatherRows.apply(view)


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, view: Tensor) -> Tensor:
        # The lengths travel first: all_gather of unequal tensors would hang or garble.
        own = torch.tensor([view.shape[0]], device=view.device)
        lengths = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(lengths, own)
        rows = [int(length) for length in lengths]
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
