"""CLIP's symmetric image-text loss as a module."""

from torch import Tensor, nn

from ipse.functional import clip_loss
from ipse.losses._gather import gather_rows

__all__ = ["ClipLoss"]


class ClipLoss(nn.Module):
    """CLIP's loss of image and text features; a drop-in for open_clip's ``ClipLoss``.

    Features are **not** normalised here, and ``logit_scale`` multiplies.

    Args:
        local_loss, gather_with_grad, cache_labels, rank, world_size: as in open_clip;
            ``cache_labels`` changes nothing, because there are no labels to cache.
    """

    def __init__(
        self,
        local_loss: bool = False,
        gather_with_grad: bool = False,
        cache_labels: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__()
        self.local_loss = local_loss
        self.gather_with_grad = gather_with_grad
        self.cache_labels = cache_labels
        self.rank = rank
        self.world_size = world_size

    def forward(
        self,
        image_features: Tensor,
        text_features: Tensor,
        logit_scale: float | Tensor,
        logit_bias: float | Tensor | None = None,
        output_dict: bool = False,
    ) -> Tensor | dict[str, Tensor]:
        """The scalar loss of two (N, D) features, or ``{"contrastive_loss": loss}``.

        ``logit_bias`` shifts all logits alike, which no softmax notices.
        """
        if self.world_size > 1:
            image_features, text_features = gather_rows(image_features), gather_rows(text_features)
        loss = clip_loss(image_features, text_features, logit_scale, logit_bias)
        return {"contrastive_loss": loss} if output_dict else loss
