"""VICReg as a module."""

import torch
from torch import Tensor, nn

from ipse.functional import vicreg_loss
from ipse.losses._gather import gather_rows, require_distributed

__all__ = ["VICRegLoss"]


class VICRegLoss(nn.Module):
    """The VICReg loss; a drop-in for ``lightly.loss.VICRegLoss``.

    Args:
        lambda_param, mu_param, nu_param: weights of the invariance, variance and
            covariance terms.
        gather_distributed: compute the whole loss on the batch of all processes together:
            W ranks with N rows each give the value and, after DistributedDataParallel's
            average, the gradient of one process with W N rows. (lightly leaves the
            invariance term to each rank, so its value differs between ranks.)
        eps: added to the variances.

    Raises:
        ValueError: ``gather_distributed`` without torch.distributed.
    """

    def __init__(
        self,
        lambda_param: float = 25.0,
        mu_param: float = 25.0,
        nu_param: float = 1.0,
        gather_distributed: bool = False,
        eps: float = 1e-4,
    ) -> None:
        super().__init__()
        require_distributed("VICRegLoss", gather_distributed)
        self.lambda_param = lambda_param
        self.mu_param = mu_param
        self.nu_param = nu_param
        self.gather_distributed = gather_distributed
        self.eps = eps

    def forward(self, z_a: Tensor, z_b: Tensor) -> Tensor:
        """The scalar loss of two (N, ..., D) views.

        Inner dimensions are positions: the loss is the mean over them of the (N, D) loss,
        which is what the covariance of each position means in VICRegL and lightly.
        See :func:`ipse.functional.vicreg_loss`.
        """
        if self.gather_distributed:
            z_a, z_b = gather_rows(z_a), gather_rows(z_b)
        if z_a.dim() <= 2 or z_a.shape != z_b.shape:
            return self._loss(z_a, z_b)  # says what is wrong with the shapes, if anything
        if 0 in z_a.shape[1:-1]:
            shape = tuple(z_a.shape)
            raise ValueError(f"VICRegLoss: z_a and z_b must not be empty, got shape {shape}")
        positions = zip(z_a.flatten(1, -2).unbind(1), z_b.flatten(1, -2).unbind(1), strict=True)
        return torch.stack([self._loss(a, b) for a, b in positions]).mean()

    def _loss(self, z_a: Tensor, z_b: Tensor) -> Tensor:
        return vicreg_loss(z_a, z_b, self.lambda_param, self.mu_param, self.nu_param, eps=self.eps)

    def extra_repr(self) -> str:
        return (
            f"lambda_param={self.lambda_param}, mu_param={self.mu_param}, "
            f"nu_param={self.nu_param}, gather_distributed={self.gather_distributed}, "
            f"eps={self.eps}"
        )
