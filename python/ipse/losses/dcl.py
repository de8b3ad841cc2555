"""Decoupled contrastive learning, plain and weighted, as modules."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ipse.functional import dcl_loss, dclw_loss, similarity_logsumexp
from ipse.losses._gather import gather_rows, require_distributed
from ipse.losses._temperature import check_temperature

__all__ = ["DCLLoss", "DCLWLoss"]

WeightFunction = Callable[[Tensor, Tensor], Tensor]


class DCLLoss(nn.Module):
    """NT-Xent without the positive pair in the denominator; a drop-in for lightly's ``DCLLoss``.

    Args:
        temperature: divides the cosine similarities.
        weight_fn: called with the normalised views; returns the (N,) weights of the
            positive terms. It is called for each view as the anchor, in both orders.
        gather_distributed: the loss of the batch of all processes together.

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
        gather_distributed: bool = False,
    ) -> None:
        super().__init__()
        require_distributed(type(self).__name__, gather_distributed)
        self.temperature = check_temperature(type(self).__name__, temperature)
        self.weight_fn = weight_fn
        self.gather_distributed = gather_distributed

    def forward(self, out0: Tensor, out1: Tensor) -> Tensor:
        """The scalar loss of two (N, D) views; see :func:`ipse.functional.dcl_loss`."""
        if self.gather_distributed:
            out0, out1 = gather_rows(out0), gather_rows(out1)
        if self.weight_fn is None:
            return dcl_loss(out0, out1, self.temperature)
        views = torch.cat([out0, out1])
        sums = similarity_logsumexp(
            views, None, self.temperature, exclude="sample", samples=out0.shape[0]
        )
        z0, z1 = normalize(out0, dim=1), normalize(out1, dim=1)
        weights = torch.cat([self.weight_fn(z0, z1), self.weight_fn(z1, z0)])
        return (sums.logsumexp - weights * sums.positives / self.temperature).mean()

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}, gather_distributed={self.gather_distributed}"


class DCLWLoss(DCLLoss):
    """DCL whose positives are weighted by how hard they are; a drop-in for lightly's ``DCLWLoss``.

    A sample's weight is ``2 - N softmax_n(s_n / sigma)`` over the positive similarities s
    of the batch (negative von Mises-Fisher weights); no gradient flows through it.

    Args:
        temperature: divides the cosine similarities.
        sigma: divides the positive similarities in the weights.
        gather_distributed: the loss of the batch of all processes together, the weights'
            softmax included. (lightly's weights compare the samples of one process.)

    Source:
        Yeh et al., Decoupled Contrastive Learning, ECCV 2022 (arXiv 2110.06848), section 3.2.
    """

    def __init__(
        self,
        temperature: float | Tensor = 0.1,
        sigma: float = 0.5,
        gather_distributed: bool = False,
    ) -> None:
        super().__init__(temperature, None, gather_distributed)
        self.sigma = sigma

    def forward(self, out0: Tensor, out1: Tensor) -> Tensor:
        """The scalar loss of two (N, D) views; see :func:`ipse.functional.dclw_loss`."""
        if self.gather_distributed:
            out0, out1 = gather_rows(out0), gather_rows(out1)
        return dclw_loss(out0, out1, self.temperature, self.sigma)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, sigma={self.sigma}"
