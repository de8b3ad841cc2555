"""Mixed Barlow Twins as a module."""

from torch import Tensor, nn

from ipse.functional import mixed_barlow_twins_loss

__all__ = ["MixedBarlowTwinsLoss"]


class MixedBarlowTwinsLoss(nn.Module):
    """Barlow Twins with a penalty on mixed samples, against overfitting in long training.

    Args:
        lambda_param: weight of the off-diagonal (redundancy) term.
        regularization: weight of the penalty, times ``lambda_param``.
        detach_targets: no gradient through the mixtures that the mixed correlations should equal.

    Example:
        >>> import torch
        >>> from ipse.losses import MixedBarlowTwinsLoss
        >>> z1, z2, z_mixed = torch.randn(3, 256, 1024, requires_grad=True)
        >>> MixedBarlowTwinsLoss()(z1, z2, z_mixed, torch.randperm(256), 0.3).backward()
    """

    def __init__(
        self,
        lambda_param: float = 1 / 128,
        regularization: float = 4.0,
        detach_targets: bool = False,
    ) -> None:
        super().__init__()
        self.lambda_param = lambda_param
        self.regularization = regularization
        self.detach_targets = detach_targets

    def forward(
        self,
        z_a: Tensor,
        z_b: Tensor,
        z_mixed: Tensor,
        permutation: Tensor,
        mix_weight: float | Tensor,
    ) -> Tensor:
        """The scalar loss of two (N, D) views and the embeddings of their mix.

        The mix is ``mix_weight a + (1 - mix_weight) b[permutation]``, made of images. See
        :func:`ipse.functional.mixed_barlow_twins_loss`.
        """
        return mixed_barlow_twins_loss(
            z_a,
            z_b,
            z_mixed,
            permutation,
            mix_weight,
            self.lambda_param,
            self.regularization,
            detach_targets=self.detach_targets,
        )

    def extra_repr(self) -> str:
        return (
            f"lambda_param={self.lambda_param}, regularization={self.regularization}, "
            f"detach_targets={self.detach_targets}"
        )
