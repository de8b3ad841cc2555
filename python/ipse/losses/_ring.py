"""Columns that travel from rank to rank, so that no rank ever holds more than two batches.

In step k every rank holds the columns of the rank k places before it, computes what its
rows need of them, and passes them on. The backward pass sends them round again, computes
each block anew and lets the columns' gradient travel with them, home in the last step.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from ipse.losses._gather import row_counts


class BlockSums(NamedTuple):
    """What rows need to know of a block of columns; blocks merge into one."""

    logsumexp: Tensor  # (M,); minus infinity if not wanted
    total: Tensor  # (M,) or (M, c): any sums over the columns
    mean: Tensor  # (M,) softmax mean of the similarities, without a gradient

    def share_of(self, whole: Tensor) -> Tensor:
        """The part of ``exp(whole)`` that is this block's."""
        return torch.where(whole == -torch.inf, 0.0, self.logsumexp - whole).exp()

    def merge(self, other: "BlockSums") -> "BlockSums":
        """The sums over both blocks' columns."""
        whole = _logaddexp(self.logsumexp, other.logsumexp)
        with torch.no_grad():
            mean = self.share_of(whole) * self.mean + other.share_of(whole) * other.mean
        return BlockSums(whole, self.total + other.total, mean)


def _logaddexp(a: Tensor, b: Tensor) -> Tensor:
    """log(exp a + exp b) whose derivatives exist where one or both are minus infinity."""
    a_empty, b_empty = a == -torch.inf, b == -torch.inf
    both = torch.logaddexp(a.masked_fill(a_empty, 0.0), b.masked_fill(b_empty, 0.0))
    return torch.where(a_empty, b, torch.where(b_empty, a, both))


# (rows, row ids, columns, column ids, *parameters) -> sums. Ids may be None.
Block = Callable[..., BlockSums]


def ring_sums(
    block: Block,
    rows: Tensor,
    row_ids: Tensor | None,
    columns: Tensor,
    column_ids: Tensor | None,
    parameters: tuple[Tensor, ...],
) -> BlockSums:
    """The sums over the columns of all other ranks; differentiable once."""
    counts = row_counts(columns.shape[0], columns.device)
    sums = _RingSums.apply(block, counts, row_ids, column_ids, rows, columns, *parameters)
    return BlockSums(*sums)


def pass_on(tensor: Tensor, rows: int) -> Tensor:
    """Sends the tensor to the next rank and returns what the previous one sent: ``rows`` rows."""
    rank, world = dist.get_rank(), dist.get_world_size()
    arriving = tensor.new_empty((rows, *tensor.shape[1:]))
    transfers = [
        dist.P2POp(dist.isend, tensor.contiguous(), (rank + 1) % world),
        dist.P2POp(dist.irecv, arriving, (rank - 1) % world),
    ]
    for work in dist.batch_isend_irecv(transfers):
        work.wait()
    return arriving


def _rows_at(step: int, counts: list[int]) -> int:
    """How many columns this rank holds in that step of the journey."""
    return counts[(dist.get_rank() - step) % len(counts)]


class _RingSums(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        block: Block,
        counts: list[int],
        row_ids: Tensor | None,
        column_ids: Tensor | None,
        rows: Tensor,
        columns: Tensor,
        *parameters: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        chunk, ids = columns, column_ids
        sums: BlockSums | None = None
        for step in range(1, len(counts)):
            chunk = pass_on(chunk, _rows_at(step, counts))
            ids = None if ids is None else pass_on(ids, _rows_at(step, counts))
            part = block(rows, row_ids, chunk, ids, *parameters)
            sums = part if sums is None else sums.merge(part)
        assert sums is not None
        ctx.block, ctx.counts = block, counts
        ctx.save_for_backward(row_ids, column_ids, sums.logsumexp, rows, columns, *parameters)
        ctx.mark_non_differentiable(sums.mean)
        return sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_logsumexp: Tensor, grad_total: Tensor, _: Any) -> tuple[Any, ...]:
        row_ids, ids, whole, *inputs = ctx.saved_tensors
        rows, chunk, *parameters = inputs
        wanted = ctx.needs_input_grad[4:]
        # Sums of W gradients, so wider than 16 bits.
        sums = [torch.zeros_like(x, dtype=_wide(x)) for x in inputs]
        travelling = sums[1]
        for step in range(1, len(ctx.counts)):
            count = _rows_at(step, ctx.counts)
            chunk = pass_on(chunk, count)
            ids = None if ids is None else pass_on(ids, count)
            if step == 1:
                travelling = torch.zeros_like(chunk, dtype=_wide(chunk))
            else:
                travelling = pass_on(travelling, count)
            grads = _block_gradients(
                lambda r, c, *p, ids=ids: ctx.block(r, row_ids, c, ids, *p),
                [rows, chunk, *parameters],
                wanted,
                whole,
                (grad_logsumexp, grad_total),
            )
            for total, grad in zip((sums[0], travelling, *sums[2:]), grads, strict=True):
                if grad is not None:
                    total += grad
        sums[1] = pass_on(travelling, _rows_at(0, ctx.counts))
        results = [
            total.to(x.dtype) if want else None
            for total, x, want in zip(sums, inputs, wanted, strict=True)
        ]
        return (*[None] * 4, *results)


def _wide(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)


def _block_gradients(
    block: Callable[..., BlockSums],
    inputs: list[Tensor],
    wanted: tuple[bool, ...],
    whole: Tensor,
    grads: tuple[Tensor, Tensor],
) -> tuple[Tensor | None, ...]:
    """Gradients by one block's inputs, given those of the sums it was merged into."""
    leaves = [x.detach().requires_grad_(want) for x, want in zip(inputs, wanted, strict=True)]
    with torch.enable_grad():
        part = block(*leaves)
    pairs = [(part.logsumexp, grads[0] * part.share_of(whole).detach()), (part.total, grads[1])]
    pairs = [(output, grad) for output, grad in pairs if output.requires_grad]
    if pairs:
        torch.autograd.backward([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    return tuple(leaf.grad for leaf in leaves)
