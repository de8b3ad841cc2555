"""Decoupled contrastive learning, plain and weighted, as modules."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ipse.functional import dcl_loss, dclw_loss
from ipse.losses._batch_sums import batch_mean, batch_sums, is_split
from ipse.losses._gather import Gather, check_gather, gather_rows
from ipse.losses._temperature import check_temperature, per_anchor

__all__ = ["DCLLoss", "DCLWLoss"]

WeightFunction = Callable[[Tensor, Tensor], Tensor]


class DCLLoss(nn.Module):
    """NT-Xent without the positive pair in the denominator; a drop-in for lightly's ``DCLLoss``.

    Args:
        temperature: divides the cosine similarities.
        weight_fn: called with the normalised views; returns the (N,) weights of the
            positive terms. It is called for each view as the anchor, in both orders.
        gather_distributed: the loss of the batch of all processes together, as in
            :class:`NTXentLoss`, ``"ring"`` included. ``weight_fn`` sees the views of its
            own rank.

    Raises:
        ValueError: ``temperature`` within 1e-8 of zero, or ``gather_distributed`` without
            torch.distributed.

    Source:
        Yeh et al., Decoupled Contrastive Learning, ECCV 2022 (arXiv 2110.06848), equation 6.
    """

    def __init__(
        self,
        temperature: float | Tensor = 0.1,
        weight_fn: WeightFunction | None = None,
        gather_distributed: Gather = False,
    ) -> None:
        super().__init__()
        self.temperature = check_temperature(type(self).__name__, temperature)
        self.weight_fn = weight_fn
        self.gather_distributed = check_gather(type(self).__name__, gather_distributed)

    def forward(self, out0: Tensor, out1: Tensor) -> Tensor:
        """The scalar loss of two (N, D) views; see :func:`ipse.functional.dcl_loss`."""
        if self.weight_fn is None and not is_split(self.gather_distributed):
            return dcl_loss(out0, out1, self.temperature)
        if self.weight_fn is None:
            return self._weighted(out0, out1, torch.ones(()))
        z0, z1 = normalize(out0, dim=1), normalize(out1, dim=1)
        weights = torch.cat([self.weight_fn(z0, z1), self.weight_fn(z1, z0)])
        return self._weighted(out0, out1, weights)

    def _weighted(self, out0: Tensor, out1: Tensor, weights: Tensor) -> Tensor:
        """The loss with one weight for each anchor's positive term."""
        samples = out0.shape[0]
        temperature = per_anchor(self.temperature, samples, 2)
        sums = batch_sums(
            torch.cat([out0, out1]),
            None,
            temperature,
            exclude="sample",
            samples=samples,
            gather=self.gather_distributed,
        )
        positives = weights.to(sums.total.device) * sums.total / temperature
        return batch_mean(sums.logsumexp - positives, self.gather_distributed)

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}, gather_distributed={self.gather_distributed}"


class DCLWLoss(DCLLoss):
    """DCL whose positives are weighted by how hard they are; a drop-in for lightly's ``DCLWLoss``.

    A sample's weight is ``2 - N softmax_n(s_n / sigma)`` over the positive similarities s
    of the batch (negative von Mises-Fisher weights); no gradient flows through it.

    Args:
        temperature: divides the cosine similarities.
        sigma: divides the positive similarities in the weights.
        gather_distributed: the loss of the batch of all processes together, as in
            :class:`NTXentLoss`, ``"ring"`` and the weights' softmax included. (lightly's
            weights compare the samples of one process.)

    Source:
        Yeh et al., Decoupled Contrastive Learning, ECCV 2022 (arXiv 2110.06848), section 3.2.
    """

    def __init__(
        self,
        temperature: float | Tensor = 0.1,
        sigma: float = 0.5,
        gather_distributed: Gather = False,
    ) -> None:
        super().__init__(temperature, None, gather_distributed)
        self.sigma = sigma

    def forward(self, out0: Tensor, out1: Tensor) -> Tensor:
        """The scalar loss of two (N, D) views; see :func:`ipse.functional.dclw_loss`."""
        if not is_split(self.gather_distributed):
            return dclw_loss(out0, out1, self.temperature, self.sigma)
        with torch.no_grad():
            wide = torch.promote_types(out0.dtype, torch.float32)
            z0, z1 = (normalize(out.to(wide), dim=1) for out in (out0, out1))
            logits = (z0 * z1).sum(1) / self.sigma
            everybody = gather_rows(logits)
            weights = 2 - len(everybody) * (logits - everybody.logsumexp(0)).exp()
        return self._weighted(out0, out1, weights.repeat(2))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, sigma={self.sigma}"
