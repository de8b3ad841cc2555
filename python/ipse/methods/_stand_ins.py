"""Temporary: the library's losses in plain form until they are merged."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ipse.functional import info_nce_loss, ntxent_loss


class NTXentLoss(nn.Module):
    def __init__(self, temperature: float = 0.5) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, z1: Tensor, z2: Tensor) -> Tensor:
        return ntxent_loss(z1, z2, self.temperature)


class InfoNCELoss(nn.Module):
    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, query: Tensor, key: Tensor, negatives: Tensor | None = None) -> Tensor:
        return info_nce_loss(query, key, negatives, self.temperature)


class MemoryQueue(nn.Module):
    def __init__(self, size: int, dimension: int) -> None:
        super().__init__()
        self.register_buffer("keys", F.normalize(torch.randn(size, dimension), dim=1))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        size = len(self.keys)
        slots = (int(self.position) + torch.arange(len(keys))) % size
        self.keys[slots] = keys
        self.position.fill_((int(self.position) + len(keys)) % size)


class Prototypes(nn.Module):
    def __init__(self, dimension: int, count: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(F.normalize(torch.randn(count, dimension), dim=1))

    def forward(self, z: Tensor) -> Tensor:
        return F.normalize(z, dim=1) @ F.normalize(self.weight, dim=1).T


@torch.no_grad()
def ema_update(average: nn.Module, module: nn.Module, momentum: float) -> None:
    for a, b in zip(average.parameters(), module.parameters(), strict=True):
        a.lerp_(b, 1 - momentum)


def sinkhorn(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    logits = scores.double() / epsilon
    for _ in range(iterations):
        logits = logits - logits.logsumexp(0, keepdim=True)
        logits = logits - logits.logsumexp(1, keepdim=True)
    return logits.exp().to(scores.dtype)


class SwaVLoss(nn.Module):
    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, high: Sequence[Tensor], low: Sequence[Tensor] = ()) -> Tensor:
        codes = [sinkhorn(s.detach()) for s in high]
        first = -(codes[1] * F.log_softmax(high[0] / self.temperature, 1)).sum(1).mean()
        second = -(codes[0] * F.log_softmax(high[1] / self.temperature, 1)).sum(1).mean()
        return (first + second) / 2


class DINOLoss(nn.Module):
    def __init__(self, output_dim: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(1, output_dim))

    def forward(
        self, teacher: Sequence[Tensor], student: Sequence[Tensor], temperature: float
    ) -> Tensor:
        targets = [F.softmax((t - self.center) / temperature, 1).detach() for t in teacher]
        logs = [F.log_softmax(s / 0.1, 1) for s in student]
        loss = -(targets[0] * logs[1]).sum(1).mean() - (targets[1] * logs[0]).sum(1).mean()
        with torch.no_grad():
            self.center.lerp_(torch.cat(list(teacher)).mean(0, keepdim=True), 0.1)
        return loss / 2
