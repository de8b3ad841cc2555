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
        N: int,  # noqa: N803
        gamma: float = 0.8,
        tau_init: float = 0.1,
        tau_min: float = 0.05,
        tau_max: float = 1.0,
        rho: float = 0.4,
        bsz: int | None = None,
        eta_init: float = 0.03,
        beta_u: float = 0.5,
    ) -> None:
        super().__init__()
        self.rho, self.tau_min, self.tau_max = rho, tau_min, tau_max
        self.gamma, self.beta, self.eta = gamma, beta_u, eta_init
        self.register_buffer("log_s", torch.full((N,), -math.inf))
        self.register_buffer("tau", torch.full((N,), tau_init))
        self.register_buffer("u", torch.zeros(N))

    def forward(self, index: Tensor, z1: Tensor, z2: Tensor) -> Tensor:
        count = len(z1)
        tau = self.tau[index].repeat(2)
        sums = similarity_logsumexp(
            torch.cat([z1, z2]), temperature=tau, exclude="sample", samples=count
        )
        log_g = sums.logsumexp.detach() - math.log(2 * count - 2)
        old = self.log_s[index].repeat(2)
        keep = math.log1p(-self.gamma) if self.gamma < 1 else -math.inf
        log_s = torch.logaddexp(keep + old, math.log(self.gamma) + log_g)
        log_s = torch.where(old.isinf(), log_g, log_s)
        ratio = (log_g - log_s).exp()
        slope = log_s + self.rho - ratio * sums.mean / tau
        slope = slope.view(2, -1).mean(0).clamp(-3, 3)
        with torch.no_grad():
            self.log_s[index] = torch.logaddexp(*log_s.view(2, -1)) - math.log(2)
            self.u[index] = torch.lerp(self.u[index], slope, self.beta)
            self.tau[index] = (self.tau[index] - self.eta * self.u[index]).clamp(
                self.tau_min, self.tau_max
            )
        return (tau * ratio * sums.logsumexp - sums.positives).sum() / count
