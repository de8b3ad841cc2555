"""iSogCLR: contrastive learning with one temperature per sample, as a module."""

import math

import torch
from torch import Tensor, nn

from ipse.functional import similarity_logsumexp
from ipse.losses._gather import require_distributed
from ipse.losses._temperature_state import TemperatureRule, TemperatureState

__all__ = ["ISogCLRLoss"]


class ISogCLRLoss(nn.Module):
    """The robust global contrastive loss; a drop-in for the official ``SogCLR_DRO_Loss``.

    Each sample i has its own temperature, learned so that the softmax over its negatives
    stays at divergence ``rho`` from uniform, and a moving average s_i of its denominator,
    which makes small batches suffice. Both live in buffers, are saved with the module and
    change only in training mode. (The defaults are those of the published recipe, not of
    the official class, whose rho=6 no batch below 203 samples can reach.)

    Args:
        N: number of samples in the data set.
        gamma: weight of the new estimate in s; 1 forgets the past.
        tau_init, tau_min, tau_max: start and bounds of the temperatures.
        rho: divergence to aim at, in nats; above log(2 B - 2) it cannot be reached, and a
            warning says so.
        bsz: batch size B if known; the warning then comes at once.
        eta_init, eta_min, eta_sched, eta_exp_gamma: step size of the temperatures:
            ``"const"``; ``"cosine"``: a quarter wave from ``eta_init`` down to ``eta_min``;
            ``"exp"``: times ``eta_exp_gamma`` each epoch, down to ``eta_min``.
        beta_u: weight of the new gradient in the temperatures' momentum.
        gather_distributed: the loss of the batch of all processes together; the state then
            changes identically on each.

    Raises:
        ValueError: arguments out of range, or ``gather_distributed`` without
            torch.distributed.

    Source:
        Qiu et al., Not All Semantics are Created Equal, ICML 2023 (arXiv 2305.11965),
        algorithm 1.
    """

    def __init__(
        self,
        N: int,  # noqa: N803  # the official name
        gamma: float = 0.8,
        tau_init: float = 0.1,
        tau_min: float = 0.05,
        tau_max: float = 1.0,
        rho: float = 0.4,
        bsz: int | None = None,
        eta_init: float = 0.03,
        eta_min: float = 1e-4,
        beta_u: float = 0.5,
        eta_sched: str = "const",
        eta_exp_gamma: float = 0.8,
        gather_distributed: bool = False,
    ) -> None:
        super().__init__()
        require_distributed("ISogCLRLoss", gather_distributed)
        rule = TemperatureRule(
            gamma=gamma,
            tau_init=tau_init,
            tau_min=tau_min,
            tau_max=tau_max,
            rho=rho,
            eta_init=eta_init,
            eta_min=eta_min,
            beta_u=beta_u,
            eta_sched=eta_sched,
            eta_exp_gamma=eta_exp_gamma,
            gradient_limit=3.0,
        )
        rule.check("ISogCLRLoss")
        if N < 1:
            raise ValueError(f"ISogCLRLoss: N must be at least 1, got {N}")
        if bsz is not None and bsz > 1:
            rule.warn_if_unreachable("ISogCLRLoss", 2 * bsz - 2)
        self.rule = rule
        self.state = TemperatureState(N, rule)
        self.gather_distributed = gather_distributed

    @property
    def tau(self) -> Tensor:
        """(N,) temperatures of all samples."""
        return self.state.tau

    def forward(
        self,
        index: Tensor,
        z1: Tensor,
        z2: Tensor | None = None,
        epoch: int | None = None,
        max_epoch: int | None = None,
    ) -> Tensor:
        """The scalar loss of two (N, D) views, or of (N, 2, D) alone, normalised here.

        ``index``: (N,) which samples of the data set they show, without duplicates.
        ``epoch``, ``max_epoch``: for the step sizes that depend on them.

        The gradient is the algorithm's (with the moving averages as denominators). The
        value estimates the objective: the mean over samples, and sum over the two views,
        of ``tau (log s + rho) - positive similarity``.
        """
        z1, z2 = self._views(z1, z2)
        samples = z1.shape[0]
        self.state.check("ISogCLRLoss", index, samples)
        self.state.check_unique("ISogCLRLoss", index)
        negatives = 2 * samples - 2
        self.rule.warn_if_unreachable("ISogCLRLoss", negatives)

        tau = self.tau[index].repeat(2)
        sums = similarity_logsumexp(
            torch.cat([z1, z2]), None, tau, exclude="sample", samples=samples
        )
        log_g = (sums.logsumexp.detach() - math.log(negatives)).view(2, samples)
        log_s = self.state.averages(index, log_g)
        if self.training:
            eta = self.rule.eta("ISogCLRLoss", epoch, max_epoch)
            self.state.update(index, log_g, log_s, sums.mean.view(2, samples), eta)

        tau = tau.to(log_g.dtype)
        # d(surrogate)/dS_ij = exp(S_ij / tau_i) / (s_i M B): the softmax times this.
        weight = tau * (log_g - log_s).exp().flatten()
        surrogate = (weight * sums.logsumexp - sums.positives).sum() / samples
        objective = tau * (log_s.flatten() + self.rule.rho) - sums.positives.detach()
        return surrogate + (objective.sum() / samples - surrogate.detach())

    def _views(self, z1: Tensor, z2: Tensor | None) -> tuple[Tensor, Tensor]:
        if z2 is None:
            if z1.dim() != 3 or z1.shape[1] != 2:
                raise ValueError(
                    f"ISogCLRLoss: z1 without z2 must be (N, 2, D), got shape {tuple(z1.shape)}"
                )
            z1, z2 = z1.unbind(1)
        if len(z1) < 2:
            raise ValueError(f"ISogCLRLoss: the batch must have at least 2 samples, got {len(z1)}")
        return z1, z2

    def extra_repr(self) -> str:
        rule = self.rule
        return (
            f"gamma={rule.gamma}, tau=[{rule.tau_min}, {rule.tau_max}], rho={rule.rho}, "
            f"eta_init={rule.eta_init}, beta_u={rule.beta_u}, eta_sched={rule.eta_sched!r}, "
            f"gather_distributed={self.gather_distributed}"
        )
