"""One temperature per training sample, and the three numbers from which it is learned."""

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ipse.losses._batch_sums import is_split
from ipse.losses._gather import Gather, gather_rows


@dataclass(frozen=True)
class TemperatureRule:
    """How the state of a sample moves; the names are those of the paper and its code."""

    gamma: float  # weight of the new estimate in the moving average s
    tau_init: float
    tau_min: float
    tau_max: float
    rho: float  # radius of the KL ball: the divergence from uniform that tau aims at
    eta_init: float  # step size of tau
    eta_min: float
    beta_u: float  # weight of the new gradient in its moving average u
    eta_sched: str
    eta_exp_gamma: float
    gradient_limit: float  # of tau's gradient, both signs

    def check(self, name: str) -> None:
        """Raises ValueError for what cannot work."""
        for argument in ("gamma", "beta_u"):
            value = getattr(self, argument)
            if not 0 < value <= 1:
                raise ValueError(f"{name}: {argument} must be in (0, 1], got {value}")
        if not 0 < self.tau_min <= self.tau_init <= self.tau_max:
            raise ValueError(
                f"{name}: 0 < tau_min <= tau_init <= tau_max must hold, "
                f"got {self.tau_min}, {self.tau_init}, {self.tau_max}"
            )
        if self.eta_sched not in ("const", "cosine", "exp"):
            raise ValueError(
                f"{name}: eta_sched must be 'const', 'cosine' or 'exp', got {self.eta_sched!r}"
            )

    def eta(self, name: str, epoch: int | None, max_epoch: int | None) -> float:
        """The step size in this epoch."""
        if self.eta_sched == "const":
            return self.eta_init
        if epoch is None or (self.eta_sched == "cosine" and max_epoch is None):
            raise ValueError(f"{name}: eta_sched={self.eta_sched!r} needs epoch and max_epoch")
        if self.eta_sched == "exp":
            return max(self.eta_min, self.eta_init * self.eta_exp_gamma**epoch)
        assert max_epoch is not None
        swing = self.eta_init - self.eta_min
        return self.eta_min + swing * math.cos(math.pi * epoch / (2 * max_epoch))

    def warn_if_unreachable(self, name: str, negatives: int, stacklevel: int) -> None:
        """No softmax over n negatives is further than log n from uniform."""
        if self.rho > math.log(negatives):
            warnings.warn(
                f"{name}: rho={self.rho} cannot be reached with {negatives} negatives "
                f"(log {negatives} = {math.log(negatives):.3g}): every temperature will sink "
                f"to tau_min={self.tau_min}",
                stacklevel=stacklevel,
            )


class TemperatureState(nn.Module):
    """The state of N samples: (N,) buffers ``log_s``, ``tau`` and ``u``.

    ``log_s``: log of the moving average of ``mean_j exp(S_ij / tau_i)`` over the negatives
    (in log space nothing overflows at tau = 0.005); minus infinity until the first visit.
    ``u``: moving average of tau's gradient.
    """

    log_s: Tensor
    tau: Tensor
    u: Tensor

    def __init__(self, samples: int, rule: TemperatureRule) -> None:
        super().__init__()
        self.rule = rule
        self.register_buffer("log_s", torch.full((samples,), -math.inf))
        self.register_buffer("tau", torch.full((samples,), rule.tau_init))
        self.register_buffer("u", torch.zeros(samples))

    def check(self, name: str, index: Tensor, rows: int) -> None:
        """Raises ValueError unless ``index`` names ``rows`` different samples."""
        samples = len(self.tau)
        if index.shape != (rows,):
            raise ValueError(f"{name}: index must be ({rows},), got shape {tuple(index.shape)}")
        if index.dtype not in (torch.int64, torch.int32):
            raise ValueError(f"{name}: index must be int64 or int32, got {index.dtype}")
        low, high = (int(end) for end in index.aminmax())
        if low < 0 or high >= samples:
            raise ValueError(
                f"{name}: index must be in 0 ... {samples - 1}, got {low if low < 0 else high}"
            )

    def check_unique(self, name: str, index: Tensor) -> None:
        """Raises ValueError if two rows of one batch would write to the same sample."""
        values, counts = index.unique(return_counts=True)
        if len(values) != len(index):
            twice = int(values[counts > 1][0])
            raise ValueError(f"{name}: index must have no duplicates, got {twice} more than once")

    def step(
        self,
        index: Tensor,
        logsumexp: Tensor,
        mean: Tensor,
        negatives: int,
        eta: float | None,
        gather: Gather,
    ) -> tuple[Tensor, Tensor]:
        """The negatives' part of the loss of V views of B samples; moves their state.

        Args:
            index: (B,) samples.
            logsumexp: (V, B) log of the sum over the negatives of exp(h / tau).
            mean: (V, B) softmax mean of h.
            negatives: how many there were.
            eta: step size of tau; None leaves the state as it is.
            gather: whether other ranks' samples move their state here, too.

        Returns:
            Two (V, B) tensors: one whose gradient by h_ij is the algorithm's,
            ``exp(h_ij / tau_i) / (s_i negatives)``, and the objective ``tau (log s + rho)``.
        """
        log_g = logsumexp.detach() - math.log(negatives)
        log_s = self._averages(index, log_g)
        tau = self.tau[index].to(log_g.dtype)
        if eta is not None:
            moves = torch.stack([log_g, log_s, mean.detach()]).transpose(0, 2)  # (B, V, 3)
            if is_split(gather):
                index, moves = gather_rows(index), gather_rows(moves)
            g, averages, means = moves.transpose(0, 2)
            self._move(index, g, averages, means, eta)
        weight = tau * (log_g - log_s).exp()
        return weight * logsumexp, tau * (log_s + self.rule.rho)

    def _averages(self, index: Tensor, log_g: Tensor) -> Tensor:
        """(V, B) log of the moving average after the new ``log_g``: one for each view."""
        gamma = self.rule.gamma
        old = self.log_s[index].to(log_g.dtype)
        kept = math.log1p(-gamma) if gamma < 1 else -math.inf
        moved = torch.logaddexp(old + kept, log_g + math.log(gamma))
        return torch.where(old == -math.inf, log_g, moved)

    def _move(self, index: Tensor, log_g: Tensor, log_s: Tensor, mean: Tensor, eta: float) -> None:
        """Stores the averages and takes one momentum step on the temperatures."""
        rule = self.rule
        tau = self.tau[index].to(log_g.dtype)
        divergence = log_s + rule.rho - (log_g - log_s).exp() * mean / tau
        gradient = divergence.mean(0).clamp(-rule.gradient_limit, rule.gradient_limit)
        u = (1 - rule.beta_u) * self.u[index] + rule.beta_u * gradient
        stored = log_s.logsumexp(0) - math.log(len(log_s))
        # A batch that overflowed (mixed precision skips its step) must not poison the state.
        good = gradient.isfinite() & stored.isfinite()
        index = index[good]
        self.log_s[index] = stored[good].to(self.log_s)
        self.u[index] = u[good].to(self.u)
        self.tau[index] = (tau - eta * u)[good].clamp(rule.tau_min, rule.tau_max).to(self.tau)

    def extra_repr(self) -> str:
        return f"samples={len(self.tau)}"
