"""CLIP's symmetric image-text loss as a module."""

from typing import Any

import torch
from torch import Tensor, nn

from ipse.functional import clip_loss
from ipse.losses._batch_sums import batch_mean, batch_sums
from ipse.losses._gather import Gather, check_world

__all__ = ["ClipLoss"]


class ClipLoss(nn.Module):
    """CLIP's loss of image and text features; a drop-in for open_clip's ``ClipLoss``.

    Features are **not** normalised here, and ``logit_scale`` multiplies. With
    ``world_size > 1`` all features of all ranks are candidates, and each rank computes its
    own rows and columns only, whichever value it reports.

    Args:
        local_loss: report the mean over this rank's anchors instead of the global mean.
        gather_with_grad: gradients reach the other ranks' features. After
            DistributedDataParallel's average they are then those of one process with the
            whole batch. Without it (open_clip's default) this rank's features get 1/W of
            that, or with ``local_loss`` only what they get as anchors.
        cache_labels: changes nothing: there are no labels to cache.
        rank, world_size: of the process group; 1 computes this process's batch alone.
        ring: with ``gather_with_grad``: features travel from rank to rank instead of being
            gathered, so that memory does not grow with the number of ranks.

    Raises:
        ValueError: ``ring`` without ``gather_with_grad``.

    Source:
        Radford et al., CLIP, ICML 2021 (arXiv 2103.00020), figure 3.
    """

    def __init__(
        self,
        local_loss: bool = False,
        gather_with_grad: bool = False,
        cache_labels: bool = False,
        rank: int = 0,
        world_size: int = 1,
        ring: bool = False,
    ) -> None:
        super().__init__()
        if ring and not gather_with_grad:
            raise ValueError("ClipLoss: ring=True needs gather_with_grad=True")
        self.local_loss = local_loss
        self.gather_with_grad = gather_with_grad
        self.cache_labels = cache_labels
        self.rank = rank
        self.world_size = world_size
        self.ring = ring

    def forward(
        self,
        image_features: Tensor,
        text_features: Tensor,
        logit_scale: float | Tensor,
        logit_bias: float | Tensor | None = None,
        output_dict: bool = False,
    ) -> Tensor | dict[str, Tensor]:
        """The scalar loss of two (N, D) features, or ``{"contrastive_loss": loss}``.

        ``logit_bias`` shifts all logits alike, which no softmax notices. See
        :func:`ipse.functional.clip_loss`.
        """
        if self.world_size > 1:
            loss = self._split_over_ranks(image_features, text_features, logit_scale)
        else:
            loss = clip_loss(image_features, text_features, logit_scale, logit_bias)
        return {"contrastive_loss": loss} if output_dict else loss

    def _split_over_ranks(self, image: Tensor, text: Tensor, logit_scale: float | Tensor) -> Tensor:
        check_world("ClipLoss", self.rank, self.world_size)
        columns = [image, text]
        if not self.gather_with_grad and self.local_loss:
            columns = [image.detach(), text.detach()]
        elif not self.gather_with_grad:
            image, text = columns = [_ScaledGradient.apply(x, 1 / self.world_size) for x in columns]
        temperature = 1 / torch.as_tensor(logit_scale, device=image.device)
        gather: Gather = "ring" if self.ring else True
        samples = image.shape[0]
        of_images, of_texts = (
            batch_sums(
                rows,
                others,
                temperature,
                normalize=False,
                exclude="none",
                samples=samples,
                gather=gather,
            )
            for rows, others in ((image, columns[1]), (text, columns[0]))
        )
        both = (of_images.logsumexp + of_texts.logsumexp) / 2
        terms = both - (of_images.total + of_texts.total) / 2 / temperature
        return terms.mean() if self.local_loss else batch_mean(terms, gather)

    def extra_repr(self) -> str:
        return (
            f"local_loss={self.local_loss}, gather_with_grad={self.gather_with_grad}, "
            f"rank={self.rank}, world_size={self.world_size}, ring={self.ring}"
        )


class _ScaledGradient(torch.autograd.Function):
    """The identity, with a factor on the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad * ctx.factor, None
