"""Plain PyTorch forms of the neighbour operators, for devices without a kernel, and gradients.

The gradient of ``topk_similarity`` is written with operators that are differentiable
themselves, so it serves every order and every device.
"""

import torch
from torch import Tensor

from ipse.ops._registry import COMPUTE_DTYPES

COSINE_EPS = 1e-12


def _scores(x: Tensor, y: Tensor, metric: str) -> Tensor:
    """The similarity matrix in the compute type; larger is better for every metric."""
    if metric == "cosine":
        x, y = (torch.nn.functional.normalize(t, dim=1, eps=COSINE_EPS) for t in (x, y))
    if metric == "l2":
        squares = x.square().sum(1)[:, None] + y.square().sum(1)
        return -(squares - 2 * (x @ y.T)).clamp_min(0)
    return x @ y.T


def topk_similarity(
    x: Tensor, y: Tensor, k: int, metric: str, *filters: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The plain form: blocks of rows of the similarity matrix, sorted stably."""
    row_ids, column_ids, row_labels, column_labels = filters
    dtype = COMPUTE_DTYPES[x.dtype]
    x, y = x.to(dtype), y.to(dtype)
    found = []
    for begin in range(0, max(x.shape[0], 1), 256):
        rows = slice(begin, begin + 256)
        scores = _scores(x[rows], y, metric)
        # Numbers, then NaN, then what is left out; equal scores by column.
        rank = scores.isnan().long()
        if row_ids is not None and column_ids is not None:
            rank[row_ids[rows, None] == column_ids] = 2
        if row_labels is not None and column_labels is not None:
            rank[row_labels[rows, None] != column_labels] = 2
        order = scores.nan_to_num(-torch.inf, torch.inf, -torch.inf)
        order = order.sort(dim=1, descending=True, stable=True).indices
        order = order.gather(1, rank.gather(1, order).sort(dim=1, stable=True).indices)[:, :k]
        missing = rank.gather(1, order) == 2
        values = scores.gather(1, order).masked_fill(missing, -torch.inf)
        found.append((-values if metric == "l2" else values, order.masked_fill(missing, -1)))
    return torch.cat([values for values, _ in found]), torch.cat([order for _, order in found])


def _normalised(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of unit length, the divisor, and whether the divisor is the row's own norm."""
    norm = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    divisor = norm.clamp_min(COSINE_EPS)
    return x / divisor, divisor, norm >= COSINE_EPS


def _through_normalisation(grad: Tensor, unit: Tensor, divisor: Tensor, own: Tensor) -> Tensor:
    along = unit * (unit * grad).sum(1, keepdim=True)
    return (grad - torch.where(own, along, 0)) / divisor


def topk_gradients(
    grad: Tensor, x: Tensor, y: Tensor, indices: Tensor, metric: str, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """The gradients by x and y of ``(grad * values).sum()``; differentiable itself."""
    ops = torch.ops.ipse
    dtypes = x.dtype, y.dtype
    compute = COMPUTE_DTYPES[x.dtype]
    x, y = x.to(compute), y.to(compute)
    grad = torch.where(indices >= 0, grad, 0)
    scale_x = scale_y = None
    if metric == "cosine":
        (x, *scale_x), (y, *scale_y) = _normalised(x), _normalised(y)
    by_x = ops.gathered_sum(grad, indices, y) if wanted[0] else None
    by_y = ops.scattered_sum(grad, indices, x, y.shape[0]) if wanted[1] else None
    if metric == "l2":
        # d |x - y|^2 = 2 (x - y)
        if by_x is not None:
            by_x = 2 * (x * grad.sum(1, keepdim=True) - by_x)
        if by_y is not None:
            total = ops.scattered_sum(grad, indices, x.new_ones(x.shape[0], 1), y.shape[0])
            by_y = 2 * (y * total - by_y)
    if by_x is not None and scale_x is not None:
        by_x = _through_normalisation(by_x, x, *scale_x)
    if by_y is not None and scale_y is not None:
        by_y = _through_normalisation(by_y, y, *scale_y)
    return (
        None if by_x is None else by_x.to(dtypes[0]),
        None if by_y is None else by_y.to(dtypes[1]),
    )


def gathered_dot(x: Tensor, y: Tensor, indices: Tensor) -> Tensor:
    dtype = COMPUTE_DTYPES[x.dtype]
    chosen = y.to(dtype)[indices.clamp_min(0)]
    return (x.to(dtype)[:, None] * chosen).sum(2).masked_fill(indices < 0, 0)


def gathered_sum(weights: Tensor, indices: Tensor, y: Tensor) -> Tensor:
    weights = weights.masked_fill(indices < 0, 0)
    chosen = y.to(weights.dtype)[indices.clamp_min(0)]
    return (weights[:, :, None] * chosen).sum(1).to(y.dtype)


def scattered_sum(weights: Tensor, indices: Tensor, x: Tensor, count: int) -> Tensor:
    rows, places = (indices >= 0).nonzero(as_tuple=True)
    shares = weights[rows, places, None] * x.to(weights.dtype)[rows]
    total = shares.new_zeros(count, x.shape[1])
    return total.index_add(0, indices[rows, places], shares).to(x.dtype)
