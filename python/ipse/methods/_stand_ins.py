"""Temporary: the library's losses in plain form until they are merged."""

from __future__ import annotations

from torch import Tensor, nn

from ipse.functional import ntxent_loss


class NTXentLoss(nn.Module):
    def __init__(self, temperature: float = 0.5) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, z1: Tensor, z2: Tensor) -> Tensor:
        return ntxent_loss(z1, z2, self.temperature)
