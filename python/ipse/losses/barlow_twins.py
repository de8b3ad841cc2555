"""Barlow Twins as a module."""

from torch import Tensor, nn

from ipse.functional import barlow_twins_loss
from ipse.losses._gather import gather_rows, require_distributed

__all__ = ["BarlowTwinsLoss"]


class BarlowTwinsLoss(nn.Module):
    """The Barlow Twins loss; a drop-in for ``lightly.loss.BarlowTwinsLoss``.

    Args:
        lambda_param: weight of the off-diagonal (redundancy) term.
        gather_distributed: compute the loss of the batch of all processes together: W
            ranks with N rows each give the value and, after DistributedDataParallel's
            average, the gradient of one process with W N rows. (lightly standardises each
            rank by its own statistics and averages the correlations, a different loss.)

    Raises:
        ValueError: ``gather_distributed`` without torch.distributed.

    Example:
        >>> import torch
        >>> from ipse.losses import BarlowTwinsLoss
        >>> z1, z2 = torch.randn(2, 256, 8192, requires_grad=True)
        >>> BarlowTwinsLoss()(z1, z2).backward()
    """

    def __init__(self, lambda_param: float = 5e-3, gather_distributed: bool = False) -> None:
        super().__init__()
        require_distributed("BarlowTwinsLoss", gather_distributed)
        self.lambda_param = lambda_param
        self.gather_distributed = gather_distributed

    def forward(self, z_a: Tensor, z_b: Tensor) -> Tensor:
        """The scalar loss of two (N, D) views; see :func:`ipse.functional.barlow_twins_loss`."""
        if self.gather_distributed:
            z_a, z_b = gather_rows(z_a), gather_rows(z_b)
        return barlow_twins_loss(z_a, z_b, self.lambda_param)

    def extra_repr(self) -> str:
        return f"lambda_param={self.lambda_param}, gather_distributed={self.gather_distributed}"
