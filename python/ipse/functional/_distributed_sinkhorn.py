"""Sinkhorn codes where the batch is spread over processes: column sums run over all ranks."""

import torch
import torch.distributed as dist
from torch import Tensor

from ipse.ops._registry import COMPUTE_DTYPES
from ipse.ops.prototypes import check_scores


def is_distributed() -> bool:
    """Whether there is a process group of more than one rank."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


@torch.no_grad()
def distributed_sinkhorn(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """This rank's codes (N, K); batches may differ in length between ranks, and be empty."""
    check_scores(scores, epsilon, iterations)
    y = scores.to(COMPUTE_DTYPES[scores.dtype])
    y = (y - _column_maxima(y)) / epsilon
    for _ in range(iterations):
        # After the first round every entry is at most 1: no column needs its maximum again.
        sums = y.exp().sum(0)
        dist.all_reduce(sums)
        y = y - sums.log()
        y = y - y.logsumexp(1, keepdim=True)
    return y.exp()


def _column_maxima(y: Tensor) -> Tensor:
    lowest = y.new_full((1, y.shape[1]), -torch.inf)
    maxima = torch.cat([lowest, y]).amax(0)
    dist.all_reduce(maxima, dist.ReduceOp.MAX)
    return maxima
