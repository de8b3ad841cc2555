"""iSogCLR: contrastive learning with one temperature per sample, as a module."""

import torch
from torch import Tensor, nn

from ipse.losses._batch_sums import batch_mean, batch_sums, is_split
from ipse.losses._gather import Gather, check_gather, gather_rows
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
        gather_distributed: the loss of the batch of all processes together, as in
            :class:`NTXentLoss`, ``"ring"`` included; the state changes alike on all ranks.

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
        gather_distributed: Gather = False,
    ) -> None:
        super().__init__()
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
            rule.warn_if_unreachable("ISogCLRLoss", 2 * bsz - 2, stacklevel=3)
        self.rule = rule
        self.state = TemperatureState(N, rule)
        self.gather_distributed = check_gather("ISogCLRLoss", gather_distributed)

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
        samples, gather = z1.shape[0], self.gather_distributed
        self.state.check("ISogCLRLoss", index, samples)
        everybody = gather_rows(index) if is_split(gather) else index
        self.state.check_unique("ISogCLRLoss", everybody)
        negatives = 2 * len(everybody) - 2
        if not negatives:
            raise ValueError("ISogCLRLoss: the batch must have at least 2 samples, got 1")
        self.rule.warn_if_unreachable("ISogCLRLoss", negatives, stacklevel=5)
        eta = self.rule.eta("ISogCLRLoss", epoch, max_epoch) if self.training else None

        sums = batch_sums(
            torch.cat([z1, z2]),
            None,
            self.tau[index].repeat(2),
            exclude="sample",
            samples=samples,
            gather=gather,
        )
        by_view = (2, samples)
        surrogate, objective = self.state.step(
            index, sums.logsumexp.view(by_view), sums.mean.view(by_view), negatives, eta, gather
        )
        # Both are per sample and sum over its views, hence the count.
        gradient = batch_mean(surrogate - sums.total.view(by_view), gather, samples)
        value = batch_mean(objective - sums.total.detach().view(by_view), gather, samples)
        return gradient + (value - gradient).detach()

    def _views(self, z1: Tensor, z2: Tensor | None) -> tuple[Tensor, Tensor]:
        if z2 is not None:
            return z1, z2
        if z1.dim() != 3 or z1.shape[1] != 2:
            raise ValueError(
                f"ISogCLRLoss: z1 without z2 must be (N, 2, D), got shape {tuple(z1.shape)}"
            )
        first, second = z1.unbind(1)
        return first, second

    def extra_repr(self) -> str:
        rule = self.rule
        return (
            f"gamma={rule.gamma}, tau=[{rule.tau_min}, {rule.tau_max}], rho={rule.rho}, "
            f"eta_init={rule.eta_init}, beta_u={rule.beta_u}, eta_sched={rule.eta_sched!r}, "
            f"gather_distributed={self.gather_distributed}"
        )
