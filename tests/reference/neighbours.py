"""Neighbours from the definitions, in float64, one row and one sum at a time."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def similarities(x: Tensor, y: Tensor, metric: str) -> Tensor:
    """(N, K): the value that topk_similarity returns for each pair."""
    x, y = x.double(), y.double()
    if metric == "cosine":
        return F.normalize(x, dim=1) @ F.normalize(y, dim=1).T
    if metric == "l2":
        return (x[:, None] - y[None]).square().sum(2)
    return (x[:, None] * y[None]).sum(2)


def topk_similarity(
    x: Tensor,
    y: Tensor,
    k: int,
    metric: str,
    row_ids: Tensor | None = None,
    column_ids: Tensor | None = None,
    row_labels: Tensor | None = None,
    column_labels: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Every row sorted whole: better values first, then the lower index; NaN last."""
    scores = similarities(x, y, metric)
    sign = 1.0 if metric == "l2" else -1.0
    values = torch.full((len(x), k), sign * math.inf, dtype=torch.float64)
    indices = torch.full((len(x), k), -1)
    for i, row in enumerate(scores.tolist()):
        allowed = [
            j
            for j in range(len(row))
            if (row_ids is None or row_ids[i] != column_ids[j])
            and (row_labels is None or row_labels[i] == column_labels[j])
        ]
        allowed.sort(key=lambda j: (math.isnan(row[j]), 0 if math.isnan(row[j]) else sign * row[j]))
        for place, j in enumerate(allowed[:k]):
            values[i, place], indices[i, place] = row[j], j
    return values, indices


def gathered_dot(x: Tensor, y: Tensor, indices: Tensor) -> Tensor:
    """out_ij = x_i . y[index_ij], 0 where the index is -1."""
    result = torch.zeros(indices.shape, dtype=torch.float64)
    for i, j in (indices >= 0).nonzero().tolist():
        result[i, j] = (x[i].double() * y[indices[i, j]].double()).sum()
    return result


def gathered_sum(weights: Tensor, indices: Tensor, y: Tensor) -> Tensor:
    """out_i = sum_j w_ij y[index_ij]"""
    result = torch.zeros(len(weights), y.shape[1], dtype=torch.float64)
    for i, j in (indices >= 0).nonzero().tolist():
        result[i] += weights[i, j].double() * y[indices[i, j]].double()
    return result


def scattered_sum(weights: Tensor, indices: Tensor, x: Tensor, count: int) -> Tensor:
    """out_c = sum over index_ij = c of w_ij x_i"""
    result = torch.zeros(count, x.shape[1], dtype=torch.float64)
    for i, j in (indices >= 0).nonzero().tolist():
        result[indices[i, j]] += weights[i, j].double() * x[i].double()
    return result


def leave_one_out_knn(
    z: Tensor,
    labels: Tensor,
    memory: Tensor,
    memory_labels: Tensor,
    k: int,
    temperature: float,
    ids: Tensor | None,
    memory_ids: Tensor | None,
    missing: str,
    force: int = 1,
    smoothing: float = 1e-3,
) -> Tensor:
    """Steps 1 to 5 of LOOK, sample by sample, with exponentials as the paper writes them."""
    losses = []
    for i in range(len(z)):
        similarity = F.normalize(memory, dim=1) @ F.normalize(z[i], dim=0)
        entries = [
            j
            for j in similarity.argsort(descending=True, stable=True).tolist()
            if memory_labels[j] >= 0 and (ids is None or ids[i] != memory_ids[j])
        ]
        chosen = set(entries[:k])
        own = [j for j in entries if memory_labels[j] == labels[i]]
        if missing == "force_positive":
            chosen |= set(own[:force])
        weights = {j: (similarity[j] / temperature).exp() for j in chosen}
        mine = [w for j, w in weights.items() if memory_labels[j] == labels[i]]
        share = sum(mine) / sum(weights.values()) if mine else z.new_zeros(())
        if missing == "smooth":
            losses.append(-(share + smoothing).log())
        elif mine:
            losses.append(-share.log())
    return torch.stack(losses).mean() if losses else z.sum() * 0
