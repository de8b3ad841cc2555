"""Bimodal iSogCLR: CLIP with one temperature for each image and one for each text, as a module."""

from torch import Tensor, nn

from ipse.losses._batch_sums import batch_mean, batch_sums, is_split
from ipse.losses._gather import Gather, check_gather, gather_rows
from ipse.losses._temperature_state import TemperatureRule, TemperatureState

__all__ = ["ISogCLRClipLoss"]


class ISogCLRClipLoss(nn.Module):
    """The robust global contrastive loss of image-text pairs.

    As :class:`ISogCLRLoss`, with separate states for images (whose negatives are the other
    texts) and texts (whose negatives are the other images), and with differences
    ``h_ij = s_ij - s_ii`` to the own pair's similarity inside the moving average, as in the
    official bimodal code. (That keeps an offset for each sample against overflow; here the
    average lives in log space.)

    Args:
        N: number of pairs in the data set.
        gamma: weight of the new estimate in the moving averages.
        tau_init, tau_min, tau_max: start and bounds of the temperatures.
        rho: divergence to aim at, in nats; above log(B - 1) it cannot be reached, and a
            warning says so. (The published 6 to 8 needs batches of thousands of pairs.)
        eta_init, eta_min, eta_sched, eta_exp_gamma: as for :class:`ISogCLRLoss`.
        beta_u: weight of the new gradient in the temperatures' momentum.
        gather_distributed: as for :class:`ISogCLRLoss`.

    Raises:
        ValueError: arguments out of range, or ``gather_distributed`` without
            torch.distributed.

    Source:
        Qiu et al., Not All Semantics are Created Equal, ICML 2023 (arXiv 2305.11965),
        section 4 and appendix.
    """

    def __init__(
        self,
        N: int,  # noqa: N803  # the official name
        gamma: float = 0.8,
        tau_init: float = 0.01,
        tau_min: float = 0.005,
        tau_max: float = 1.0,
        rho: float = 6.0,
        eta_init: float = 0.03,
        eta_min: float = 1e-4,
        beta_u: float = 0.9,
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
            gradient_limit=5.0,
        )
        rule.check("ISogCLRClipLoss")
        if N < 1:
            raise ValueError(f"ISogCLRClipLoss: N must be at least 1, got {N}")
        self.rule = rule
        self.images = TemperatureState(N, rule)
        self.texts = TemperatureState(N, rule)
        self.gather_distributed = check_gather("ISogCLRClipLoss", gather_distributed)

    def forward(
        self,
        index: Tensor,
        image: Tensor,
        text: Tensor,
        epoch: int | None = None,
        max_epoch: int | None = None,
    ) -> Tensor:
        """The scalar loss of (N, D) image and text features, normalised here.

        ``index``: (N,) which pairs of the data set they are, without duplicates. Gradient
        and value as for :class:`ISogCLRLoss`, summed over the two directions.
        """
        name, gather, samples = "ISogCLRClipLoss", self.gather_distributed, image.shape[0]
        self.images.check(name, index, samples)
        everybody = gather_rows(index) if is_split(gather) else index
        self.images.check_unique(name, everybody)
        negatives = len(everybody) - 1
        if not negatives:
            raise ValueError(f"{name}: the batch must have at least 2 samples, got 1")
        self.rule.warn_if_unreachable(name, negatives, stacklevel=5)
        eta = self.rule.eta(name, epoch, max_epoch) if self.training else None

        loss = image.new_zeros((), dtype=self.images.tau.dtype)
        for state, rows, columns in ((self.images, image, text), (self.texts, text, image)):
            tau = state.tau[index]
            sums = batch_sums(rows, columns, tau, exclude="sample", samples=samples, gather=gather)
            tau = tau.to(sums.total.dtype)
            differences = sums.logsumexp - sums.total / tau
            surrogate, objective = state.step(
                index,
                differences[None],
                (sums.mean - sums.total)[None],
                negatives,
                eta,
                gather,
            )
            gradient = batch_mean(surrogate, gather)
            loss = loss + gradient + (batch_mean(objective, gather) - gradient).detach()
        return loss

    def extra_repr(self) -> str:
        rule = self.rule
        return (
            f"gamma={rule.gamma}, tau=[{rule.tau_min}, {rule.tau_max}], rho={rule.rho}, "
            f"eta_init={rule.eta_init}, beta_u={rule.beta_u}, eta_sched={rule.eta_sched!r}, "
            f"gather_distributed={self.gather_distributed}"
        )
