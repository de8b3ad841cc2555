"""Contrastive losses: rows against columns, their similarities never stored."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ipse.ops import similarity_formulas as formulas

EXCLUDE = ("none", "self", "sample")


class SimilaritySums(NamedTuple):
    """Per-row sums over the columns, (M,) each."""

    logsumexp: Tensor
    positives: Tensor
    mean: Tensor


def _scale(temperature: float | Tensor, like: Tensor) -> Tensor:
    if isinstance(temperature, Tensor):
        return temperature.reciprocal()
    return torch.tensor(1.0 / temperature, dtype=torch.float64, device=like.device)


def similarity_logsumexp(
    x: Tensor,
    y: Tensor | None = None,
    temperature: float | Tensor = 1.0,
    *,
    normalize: bool = True,
    exclude: str = "none",
    samples: int | None = None,
) -> SimilaritySums:
    return SimilaritySums(
        *formulas.logsumexp(x, y, _scale(temperature, x), normalize, exclude, samples or 0)
    )


def ntxent_loss(
    z1: Tensor,
    z2: Tensor,
    temperature: float | Tensor = 0.5,
    *,
    extra_views: Sequence[Tensor] = (),
) -> Tensor:
    views = [z1, z2, *extra_views]
    samples = z1.shape[0]
    scale = _scale(temperature, z1)
    if scale.numel() == samples and scale.dim() == 1:
        scale = scale.repeat(len(views))
    sums, positives, _ = formulas.logsumexp(torch.cat(views), None, scale, True, "self", samples)
    return (sums - positives * scale.to(sums.dtype) / (len(views) - 1)).mean()


def info_nce_loss(
    query: Tensor, key: Tensor, negatives: Tensor | None = None, temperature: float | Tensor = 0.1
) -> Tensor:
    scale = _scale(temperature, query)
    samples = query.shape[0]
    if negatives is None:
        sums, positives, _ = formulas.logsumexp(query, key, scale, True, "none", samples)
        return (sums - positives * scale.to(sums.dtype)).mean()
    unit_query = formulas.unit_rows(query)
    positive = (unit_query * formulas.unit_rows(key)).sum(1) * scale.to(unit_query.dtype)
    if negatives.dim() == 2:
        sums, _, _ = formulas.logsumexp(query, negatives, scale, True, "none", 0)
    else:
        unit = formulas.unit_rows(negatives.flatten(0, 1)).view(negatives.shape)
        logits = torch.einsum("nd,nkd->nk", unit_query, unit) * scale.to(unit.dtype).view(-1, 1)
        sums = torch.logsumexp(logits, 1)
    return (torch.logaddexp(positive, sums) - positive).mean()


def clip_loss(
    image: Tensor,
    text: Tensor,
    logit_scale: float | Tensor,
    logit_bias: float | Tensor | None = None,
) -> Tensor:
    scale = torch.as_tensor(logit_scale, device=image.device)
    samples = image.shape[0]
    rows, positives, _ = formulas.logsumexp(image, text, scale, False, "none", samples)
    columns, _, _ = formulas.logsumexp(text, image, scale, False, "none", 0)
    return ((rows + columns) / 2 - positives * scale.to(rows.dtype)).mean()


def siglip_loss(
    image: Tensor,
    text: Tensor,
    logit_scale: float | Tensor,
    logit_bias: float | Tensor | None = None,
) -> Tensor:
    logits = image @ text.T * logit_scale
    if logit_bias is not None:
        logits = logits + logit_bias
    signs = 2 * torch.eye(len(image), dtype=logits.dtype, device=image.device) - 1
    return -torch.nn.functional.logsigmoid(signs * logits).sum() / len(image)


def supcon_loss(
    features: Tensor,
    labels: Tensor | None = None,
    mask: Tensor | None = None,
    temperature: float = 0.07,
    *,
    base_temperature: float = 0.07,
    contrast_mode: str = "all",
    reduction: str = "mean",
) -> Tensor:
    batch, views = features.shape[:2]
    if labels is not None:
        mask = labels.view(-1, 1) == labels.view(1, -1)
    elif mask is None:
        mask = torch.eye(batch, dtype=torch.bool, device=features.device)
    stacked = features.flatten(2).transpose(0, 1).flatten(0, 1)
    anchors = views if contrast_mode == "all" else 1
    mask = mask.to(stacked.dtype).repeat(anchors, views)
    own = torch.eye(len(stacked), dtype=torch.bool, device=features.device)[: len(mask)]
    mask = mask.masked_fill(own, 0.0)
    rows = stacked[: len(mask)]
    logits = rows @ stacked.T / temperature
    sums = formulas.masked_logsumexp(logits, own, 1)
    count = mask.sum(1)
    some = count > 1e-6
    per_row = (count * sums - (mask * logits).sum(1)) / torch.where(some, count, 1.0)
    per_row = torch.where(some, per_row, 0.0)
    factor = temperature / base_temperature
    if reduction == "positives":
        return factor * per_row.sum() / some.sum().clamp_min(1)
    return factor * per_row.mean()


def dcl_loss(
    z1: Tensor,
    z2: Tensor,
    temperature: float | Tensor = 0.1,
    positive_weights: Tensor | None = None,
) -> Tensor:
    samples = z1.shape[0]
    scale = _scale(temperature, z1)
    sums, positives, _ = formulas.logsumexp(
        torch.cat([z1, z2]), None, scale, True, "sample", samples
    )
    positives = positives * scale.to(sums.dtype)
    if positive_weights is not None:
        positives = positives * positive_weights.repeat(2)
    return (sums - positives).mean()


def dclw_loss(
    z1: Tensor, z2: Tensor, temperature: float | Tensor = 0.1, sigma: float = 0.5
) -> Tensor:
    with torch.no_grad():
        alike = (formulas.unit_rows(z1) * formulas.unit_rows(z2)).sum(1)
        weights = 2 - z1.shape[0] * torch.softmax(alike / sigma, 0)
    return dcl_loss(z1, z2, temperature, weights)
