"""Temporary: the leave-one-out loss in plain form until the library's own is merged."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def leave_one_out_knn_loss(
    z: Tensor,
    labels: Tensor,
    memory: Tensor,
    memory_labels: Tensor,
    *,
    k: int,
    temperature: float,
    ids: Tensor,
    memory_ids: Tensor,
    force: int,
) -> Tensor:
    similarity = F.normalize(z, dim=1) @ F.normalize(memory, dim=1).T
    similarity = similarity.masked_fill(ids[:, None] == memory_ids, -torch.inf)
    same = labels[:, None] == memory_labels
    found = similarity.detach()
    near = torch.zeros_like(same).scatter(1, found.topk(k).indices, True)
    positives = found.masked_fill(~same, -torch.inf).topk(min(force, len(memory))).indices
    near = near.scatter(1, positives, True) & found.isfinite()
    logits = (similarity / temperature).masked_fill(~near, -torch.inf)
    has = (near & same).any(dim=1)
    own = logits.masked_fill(~same, -torch.inf)[has].logsumexp(dim=1)
    return (logits[has].logsumexp(dim=1) - own).sum() / len(z)
