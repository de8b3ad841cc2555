"""Temporary: the loss of iSogCLR in plain form until the library's own is merged."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ipse.functional import similarity_logsumexp


class ISogCLRLoss(nn.Module):
    log_s: Tensor
    tau: Tensor
    u: Tensor

    def __init__(
        self,
        num_samples: int,
        *,
        rho: float,
        tau_init: float,
        tau_min: float,
        tau_max: float,
        gamma: float,
        beta: float,
        eta: float,
    ) -> None:
        super().__init__()
        self.rho, self.tau_min, self.tau_max = rho, tau_min, tau_max
        self.gamma, self.beta, self.eta = gamma, beta, eta
        self.register_buffer("log_s", torch.full((num_samples,), -math.inf))
        self.register_buffer("tau", torch.full((num_samples,), tau_init))
        self.register_buffer("u", torch.zeros(num_samples))

    def forward(self, z1: Tensor, z2: Tensor, indices: Tensor) -> Tensor:
        count = len(z1)
        tau = self.tau[indices].repeat(2)
        sums = similarity_logsumexp(
            torch.cat([z1, z2]), temperature=tau, exclude="sample", samples=count
        )
        log_g = sums.logsumexp.detach() - math.log(2 * count - 2)
        old = self.log_s[indices].repeat(2)
        keep = math.log1p(-self.gamma) if self.gamma < 1 else -math.inf
        log_s = torch.logaddexp(keep + old, math.log(self.gamma) + log_g)
        log_s = torch.where(old.isinf(), log_g, log_s)
        ratio = (log_g - log_s).exp()
        slope = log_s + self.rho - ratio * sums.mean / tau
        slope = slope.view(2, -1).mean(0).clamp(-3, 3)
        with torch.no_grad():
            self.log_s[indices] = torch.logaddexp(*log_s.view(2, -1)) - math.log(2)
            self.u[indices] = torch.lerp(self.u[indices], slope, self.beta)
            self.tau[indices] = (self.tau[indices] - self.eta * self.u[indices]).clamp(
                self.tau_min, self.tau_max
            )
        return (tau * ratio * sums.logsumexp - sums.positives).sum() / count
