"""Supervised contrastive loss."""

import torch
from torch import Tensor

from ipse.functional.similarity import similarity_logsumexp

__all__ = ["supcon_loss"]

CONTRAST_MODES = ("all", "one")
REDUCTIONS = ("mean", "positives")


def supcon_loss(
    features: Tensor,
    labels: Tensor | None = None,
    mask: Tensor | None = None,
    temperature: float | Tensor = 0.07,
    *,
    base_temperature: float = 0.07,
    contrast_mode: str = "all",
    reduction: str = "mean",
) -> Tensor:
    """SupCon's loss L_out: each anchor is drawn to all others of its class.

    The mean over anchors of ``logsumexp_j(s_ij / T)`` minus the mean over positives p of
    ``s_ip / T``, times ``T / base_temperature``; j runs over everything but the anchor itself.
    The sum over positives is a product with the class's sum of features, so labels cost
    O(N D) and no (N, N) mask exists.

    Args:
        features: (N, V, ...) features of V views of N samples, **not normalised inside**, as in
            SupContrast; dimensions after the second are flattened to D. float32, float64,
            bfloat16 or float16.
        labels: (N,) integers. Neither labels nor mask: every sample is its own class
            (SimCLR with features that are not normalised).
        mask: (N, N), mask[i, j] > 0 is how much sample j is a positive of sample i; need not be
            symmetric. Its own N^2 values are the only quadratic ones.
        temperature: a number or a one-element tensor.
        base_temperature: only a factor of the result.
        contrast_mode: ``"all"`` views are anchors, or only ``"one"``, the first.
        reduction: ``"mean"`` over all anchors (SupContrast: an anchor without positives adds 0
            and counts), or over the anchors with ``"positives"`` (pytorch-metric-learning; 0 if
            there are none).

    Returns:
        Scalar tensor; float32 for 16-bit inputs. Twice differentiable.

    Raises:
        ValueError: features have fewer than three dimensions, both labels and mask are given,
            their shape does not fit, or contrast_mode or reduction is unknown.
        TypeError: features are not floating point.

    Memory:
        O(N V D) beyond inputs and gradients, on the CPU.

    Source:
        Khosla et al., Supervised Contrastive Learning, NeurIPS 2020 (arXiv 2004.11362),
        equation 2.
    """
    _check(features, labels, mask, contrast_mode, reduction)
    batch, views = features.shape[:2]
    stacked = features.flatten(2).transpose(0, 1).flatten(0, 1)  # view by view
    if stacked.dtype in (torch.bfloat16, torch.float16):
        stacked = stacked.float()  # so that its two gradients are added before they are rounded
    anchors = stacked if contrast_mode == "all" else stacked[:batch]
    sums = similarity_logsumexp(
        anchors,
        None if contrast_mode == "all" else stacked,
        temperature,
        normalize=False,
        exclude="self",
    ).logsumexp
    if mask is None:
        count, target = _class_targets(stacked, labels, batch, views, len(anchors))
    else:
        count, target = _mask_targets(stacked, mask, batch, views, len(anchors))
    # An anchor is no positive of itself.
    own = 1.0 if mask is None else mask.diagonal().to(sums.dtype).repeat(len(anchors) // batch)
    similarity = (anchors * target).sum(1) - own * anchors.square().sum(1)
    count = count - own
    some = count > 1e-6
    per_anchor = (count * torch.where(some, sums, 0.0) - similarity / temperature) / torch.where(
        some, count, 1.0
    )
    per_anchor = torch.where(some, per_anchor, 0.0)
    factor = temperature / base_temperature
    if reduction == "positives":
        return factor * per_anchor.sum() / some.sum().clamp_min(1)
    return factor * per_anchor.mean()


def _check(
    features: Tensor,
    labels: Tensor | None,
    mask: Tensor | None,
    contrast_mode: str,
    reduction: str,
) -> None:
    if features.dim() < 3:
        raise ValueError(
            f"supcon_loss: features must be (N, V, ...), got shape {tuple(features.shape)}"
        )
    batch = features.shape[0]
    if labels is not None and mask is not None:
        raise ValueError("supcon_loss: labels and mask must not both be given")
    if labels is not None and labels.numel() != batch:
        raise ValueError(
            f"supcon_loss: labels must be one for each of the {batch} samples, got {labels.numel()}"
        )
    if mask is not None and mask.shape != (batch, batch):
        raise ValueError(
            f"supcon_loss: mask must have shape ({batch}, {batch}), got {tuple(mask.shape)}"
        )
    if contrast_mode not in CONTRAST_MODES:
        raise ValueError(
            f"supcon_loss: contrast_mode must be one of {', '.join(CONTRAST_MODES)}, "
            f"got {contrast_mode!r}"
        )
    if reduction not in REDUCTIONS:
        raise ValueError(
            f"supcon_loss: reduction must be one of {', '.join(REDUCTIONS)}, got {reduction!r}"
        )


def _class_targets(
    stacked: Tensor, labels: Tensor | None, batch: int, views: int, anchors: int
) -> tuple[Tensor, Tensor]:
    """For each anchor: how many of its class there are, (A,), and their sum, (A, D)."""
    if labels is None:
        classes = torch.arange(batch, device=stacked.device)
    else:
        classes = torch.unique(labels.reshape(-1), return_inverse=True)[1]
    each = classes.repeat(views)
    count = torch.bincount(each, minlength=batch).to(stacked.dtype)
    total = stacked.new_zeros((batch, stacked.shape[1])).index_add(0, each, stacked)
    own = each[:anchors]
    return count.index_select(0, own), total.index_select(0, own)


def _mask_targets(
    stacked: Tensor, mask: Tensor, batch: int, views: int, anchors: int
) -> tuple[Tensor, Tensor]:
    """The same, weighted by the mask's rows."""
    weights = mask.to(stacked.dtype)
    total = weights @ stacked.view(views, batch, -1).sum(0)
    repeats = anchors // batch
    return views * weights.sum(1).repeat(repeats), total.repeat(repeats, 1)
