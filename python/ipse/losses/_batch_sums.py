"""This rank's anchors against the columns of all ranks, and the mean over all anchors.

Every rank computes the rows of its own anchors only: its own columns through the operator
that excludes a row itself or its sample, the other ranks' columns without exclusions, both
merged. No rank computes what another rank's anchors need.
"""

import torch
import torch.distributed as dist
from torch import Tensor

from ipse.functional import similarity_logsumexp
from ipse.losses._gather import Gather, gather_rows, row_counts, sum_over_ranks, world_size
from ipse.losses._ring import Block, BlockSums, ring_sums


def is_split(gather: Gather) -> bool:
    """Whether there are other ranks whose rows count."""
    return bool(gather) and world_size() > 1


def other_ranks(
    block: Block,
    rows: Tensor,
    columns: Tensor,
    parameters: tuple[Tensor, ...],
    gather: Gather,
    row_ids: Tensor | None = None,
    column_ids: Tensor | None = None,
) -> BlockSums:
    """``block`` of this rank's rows and the columns of all other ranks."""
    if gather == "ring":
        return ring_sums(block, rows, row_ids, columns, column_ids, parameters)
    counts = row_counts(columns.shape[0], columns.device)
    rank = dist.get_rank()
    first, last = sum(counts[:rank]), sum(counts[: rank + 1])

    def without_own(part: Tensor) -> Tensor:
        everything = gather_rows(part)
        return torch.cat([everything[:first], everything[last:]])

    ids = None if column_ids is None else without_own(column_ids)
    return block(rows, row_ids, without_own(columns), ids, *parameters)


def batch_sums(
    rows: Tensor,
    columns: Tensor | None,
    temperature: float | Tensor,
    *,
    normalize: bool = True,
    exclude: str,
    samples: int,
    gather: Gather,
) -> BlockSums:
    """:func:`ipse.functional.similarity_logsumexp` over the columns of all ranks.

    ``total`` holds the positives, which are all on this rank. With ``columns=None`` the
    columns are the rows of all ranks.
    """
    lse, positives, mean = similarity_logsumexp(
        rows, columns, temperature, normalize=normalize, exclude=exclude, samples=samples
    )
    own = BlockSums(lse, positives, mean)
    if not is_split(gather):
        return own
    learned = (temperature,) if isinstance(temperature, Tensor) else ()

    def block(r: Tensor, _: None, c: Tensor, __: None, *given: Tensor) -> BlockSums:
        sums = similarity_logsumexp(
            r, c, given[0] if given else temperature, normalize=normalize, exclude="none"
        )
        return BlockSums(sums.logsumexp, torch.zeros_like(sums.logsumexp), sums.mean)

    return own.merge(
        other_ranks(block, rows, rows if columns is None else columns, learned, gather)
    )


def batch_mean(terms: Tensor, gather: Gather, count: Tensor | int | None = None) -> Tensor:
    """The sum of the terms of all ranks over the sum of their counts; the same on all ranks.

    ``count``: of this rank; the number of terms unless given.
    """
    count = terms.numel() if count is None else count
    if not is_split(gather):
        return terms.sum() / count
    number = torch.as_tensor(count, dtype=terms.dtype, device=terms.device)
    return sum_over_ranks(terms.sum()) / sum_over_ranks(number)
