"""SigLIP's pairwise sigmoid loss as a module."""

from torch import Tensor, nn

from ipse.functional import siglip_loss
from ipse.losses._gather import gather_rows

__all__ = ["SigLipLoss"]


class SigLipLoss(nn.Module):
    """The sigmoid loss of image and text features; a drop-in for open_clip's ``SigLipLoss``.

    Features are **not** normalised here, and ``logit_scale`` multiplies.

    Args:
        cache_labels, rank, world_size, dist_impl, chunk_size: as in open_clip;
            ``cache_labels`` and ``chunk_size`` change nothing.
    """

    def __init__(
        self,
        cache_labels: bool = False,
        rank: int = 0,
        world_size: int = 1,
        dist_impl: str | None = None,
        chunk_size: int = 0,
    ) -> None:
        super().__init__()
        self.cache_labels = cache_labels
        self.rank = rank
        self.world_size = world_size
        self.dist_impl = dist_impl or "bidir"
        self.chunk_size = chunk_size

    def forward(
        self,
        image_features: Tensor,
        text_features: Tensor,
        logit_scale: float | Tensor,
        logit_bias: float | Tensor | None = None,
        output_dict: bool = False,
    ) -> Tensor | dict[str, Tensor]:
        """The scalar loss of two (N, D) features, or ``{"contrastive_loss": loss}``."""
        if self.world_size > 1:
            image_features, text_features = gather_rows(image_features), gather_rows(text_features)
        loss = siglip_loss(image_features, text_features, logit_scale, logit_bias)
        return {"contrastive_loss": loss} if output_dict else loss
