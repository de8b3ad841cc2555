"""SigLIP's pairwise sigmoid loss as a module."""

import torch
from torch import Tensor, nn

from ipse.functional import siglip_loss
from ipse.losses._batch_sums import batch_mean, other_ranks
from ipse.losses._gather import Gather, check_world
from ipse.losses._ring import BlockSums

__all__ = ["SigLipLoss"]

IMPLEMENTATIONS = ("bidir", "shift", "reduce", "gather")


class SigLipLoss(nn.Module):
    """The sigmoid loss of image and text features; a drop-in for open_clip's ``SigLipLoss``.

    Features are **not** normalised here, and ``logit_scale`` multiplies. With
    ``world_size > 1`` the texts of all ranks are candidates for this rank's images, and
    every rank reports the mean over all images (open_clip reports each rank's own); the
    gradients are open_clip's.

    Args:
        cache_labels: changes nothing: there are no labels to cache.
        rank, world_size: of the process group; 1 computes this process's batch alone.
        dist_impl: ``"gather"`` collects all texts on every rank; None, ``"bidir"``,
            ``"shift"`` and ``"reduce"`` send them from rank to rank, so that memory does not
            grow with the number of ranks (differentiable once). The result is the same.
        chunk_size: changes nothing: a process's own logits are never stored.

    Raises:
        ValueError: unknown ``dist_impl``.

    Source:
        Zhai et al., Sigmoid Loss for Language Image Pre-Training, ICCV 2023
        (arXiv 2303.15343), algorithm 1.
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
        self.dist_impl = dist_impl or "bidir"
        if self.dist_impl not in IMPLEMENTATIONS:
            raise ValueError(
                f"SigLipLoss: dist_impl must be one of {', '.join(IMPLEMENTATIONS)}, "
                f"got {dist_impl!r}"
            )
        self.cache_labels = cache_labels
        self.rank = rank
        self.world_size = world_size
        self.chunk_size = chunk_size

    def forward(
        self,
        image_features: Tensor,
        text_features: Tensor,
        logit_scale: float | Tensor,
        logit_bias: float | Tensor | None = None,
        output_dict: bool = False,
    ) -> Tensor | dict[str, Tensor]:
        """The scalar loss of two (N, D) features, or ``{"contrastive_loss": loss}``.

        See :func:`ipse.functional.siglip_loss`.
        """
        loss = siglip_loss(image_features, text_features, logit_scale, logit_bias)
        if self.world_size > 1:
            others = self._other_texts(image_features, text_features, logit_scale, logit_bias)
            samples = image_features.shape[0]
            gather: Gather = self.dist_impl == "gather" or "ring"
            loss = batch_mean(loss * samples + others, gather, samples)
        return {"contrastive_loss": loss} if output_dict else loss

    def _other_texts(
        self,
        image: Tensor,
        text: Tensor,
        logit_scale: float | Tensor,
        logit_bias: float | Tensor | None,
    ) -> Tensor:
        """The sum over images and texts of other ranks, none of which belong together."""
        check_world("SigLipLoss", self.rank, self.world_size)
        scale, bias = (
            torch.as_tensor(value, dtype=None if isinstance(value, Tensor) else torch.float64)
            for value in (logit_scale, 0.0 if logit_bias is None else logit_bias)
        )

        def block(r: Tensor, _: None, c: Tensor, __: None, t: Tensor, b: Tensor) -> BlockSums:
            total = siglip_loss(r, c, t, b, paired=False) * len(r)
            return BlockSums(total.new_full((), -torch.inf), total, torch.zeros_like(total))

        gather: Gather = self.dist_impl == "gather" or "ring"
        return other_ranks(block, image, text, (scale, bias), gather).total

    def extra_repr(self) -> str:
        return (
            f"rank={self.rank}, world_size={self.world_size}, dist_impl={self.dist_impl!r}, "
            f"chunk_size={self.chunk_size}"
        )
