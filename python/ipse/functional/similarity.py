"""Contrastive losses of unlabelled pairs: rows against columns, their similarities never stored."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

import ipse.ops  # noqa: F401  # registers torch.ops.ipse.*
from ipse.ops import similarity_formulas as formulas
from ipse.ops.similarity import contrast_loss

__all__ = [
    "SimilaritySums",
    "dcl_loss",
    "dclw_loss",
    "info_nce_loss",
    "ntxent_loss",
    "similarity_logsumexp",
]


def inverse_temperature(name: str, temperature: float | Tensor) -> tuple[Tensor | None, float]:
    """The scale as an operator takes it: a tensor, or None and a number."""
    if isinstance(temperature, Tensor):
        return temperature.reciprocal(), 0.0
    if not abs(temperature) >= 1e-8:
        raise ValueError(f"{name}: temperature must be at least 1e-8 in size, got {temperature}")
    return None, 1.0 / temperature


def _each_view(scale: Tensor | None, samples: int, views: int) -> Tensor | None:
    """One temperature for each sample serves all its views."""
    if scale is not None and views > 1 and tuple(scale.shape) == (samples,) and samples > 1:
        return scale.repeat(views)
    return scale


class SimilaritySums(NamedTuple):
    """Per-row sums over the columns, (M,) each; see :func:`similarity_logsumexp`."""

    logsumexp: Tensor
    positives: Tensor
    mean: Tensor


def similarity_logsumexp(
    x: Tensor,
    y: Tensor | None = None,
    temperature: float | Tensor = 1.0,
    *,
    normalize: bool = True,
    exclude: str | None = None,
    samples: int | None = None,
) -> SimilaritySums:
    """What every contrastive loss is made of: sums over the similarities of rows and columns.

    With ``s_ij`` the similarity of row i and column j and ``T_i`` the row's temperature: the
    logsumexp of ``s_ij / T_i``, the sum of the positives' ``s_ij``, and the mean of ``s_ij``
    under the softmax, all in one pass over tiles that are never stored. Losses that weigh rows
    in their own way are this and a few vectors.

    Args:
        x: (N, D) rows; float32, float64, bfloat16 or float16, any strides.
        y: (K, D) columns of the same dtype, or None: the rows against themselves, which costs
            half as much.
        temperature: a number, a one-element tensor or (N,), one for each row; may be negative.
        normalize: divide rows and columns by their length (cosine similarity). A zero row
            stays zero and its gradient is zero.
        exclude: columns that a row does not see: ``"none"``, ``"self"`` (column i of row i) or
            ``"sample"`` (every column of the row's sample). Default: ``"self"`` without y,
            ``"none"`` with it.
        samples: row i and column j show one sample where ``i % samples == j % samples``
            (stacked views). Default: no positives.

    Returns:
        SimilaritySums of (N,) tensors, float32 for 16-bit inputs: ``logsumexp`` (-inf where
        nothing is visible), ``positives`` (zero without ``samples``; a row's similarity with
        itself does not count) and ``mean``, through which no gradient flows. The first two are
        twice differentiable by x, y and temperature.

    Raises:
        ValueError: shapes, devices, ``exclude`` or ``samples`` do not fit, or a temperature
            below 1e-8 in size.
        TypeError: dtypes differ or are not floating point.

    Memory:
        Beyond inputs and gradients, on the CPU, two copies of rows and columns, and in
        backward one gradient for each two threads' share: O((N + K) D); no (N, K) matrix.
        Where only x learns, y being constant and without ``samples``, its gradient is made on
        the way forward, (N, D) more, and backward costs next to nothing.

    Source:
        The softmax part of Oord et al., Representation Learning with Contrastive Predictive
        Coding (arXiv 1807.03748), equation 4.
    """
    if exclude is None:
        exclude = "self" if y is None else "none"
    scale, constant = inverse_temperature("similarity_logsumexp", temperature)
    constant_columns = not samples and _only_rows_learn(x, y)
    sums, positives, mean, _, _ = torch.ops.ipse.similarity_logsumexp(
        x, y, scale, constant, normalize, exclude, samples or 0, constant_columns
    )
    return SimilaritySums(sums, positives, mean)


def _only_rows_learn(x: Tensor, y: Tensor | None) -> bool:
    """Whether the gradient can be had on the way forward, for one product more."""
    return torch.is_grad_enabled() and x.requires_grad and y is not None and not y.requires_grad


def ntxent_loss(
    z1: Tensor,
    z2: Tensor,
    temperature: float | Tensor = 0.5,
    *,
    extra_views: Sequence[Tensor] = (),
) -> Tensor:
    """NT-Xent, SimCLR's loss: each embedding must pick out its other view among all others.

    The mean over all rows of ``logsumexp_j(s_ij / T) - s_ip / T``, with cosine similarities, j
    over everything but the row itself and p the same sample's other view (with more than two
    views: the mean over them). Equal to lightly's ``NTXentLoss``.

    Args:
        z1, z2: (N, D) embeddings of two views, N >= 1, D >= 1, one dtype: float32, float64,
            bfloat16 or float16. Any strides; normalised inside. NaN and infinity propagate.
        temperature: a number, a one-element tensor (its gradient comes in the same pass), (N,)
            one for each sample, or one for each row of the stacked views. May be negative;
            any size from 1e-8 on is safe, by true row maxima.
        extra_views: further (N, D) views.

    Returns:
        Scalar tensor; float32 for 16-bit inputs, which are computed in float32. In an
        autocast region inputs are cast to float32. Twice differentiable. Identical rows give
        ln(2 N - 1). A zero row counts as a zero vector, its gradient is zero.

    Raises:
        ValueError: shapes or devices differ, or a temperature below 1e-8 in size.
        TypeError: dtypes differ or are not floating point.

    Memory:
        O(N D) beyond inputs and gradients, on the CPU: no (2N, 2N) matrix exists.

    Source:
        Chen et al., A Simple Framework for Contrastive Learning of Visual Representations,
        ICML 2020 (arXiv 2002.05709), equation 1.
    """
    scale, constant = inverse_temperature("ntxent_loss", temperature)
    scale = _each_view(scale, z1.shape[0], 2 + len(extra_views))
    others = torch.cat([z2, *extra_views]) if extra_views else z2
    for view in (z2, *extra_views):
        if view.shape != z1.shape:
            shapes = f"{tuple(z1.shape)} and {tuple(view.shape)}"
            raise ValueError(f"ntxent_loss: all views must have the same shape, got {shapes}")
    return contrast_loss("ntxent", z1, others, scale, constant, z1.shape[0])


def dcl_loss(
    z1: Tensor,
    z2: Tensor,
    temperature: float | Tensor = 0.1,
    positive_weights: Tensor | None = None,
) -> Tensor:
    """Decoupled contrastive loss: NT-Xent without the positive in the denominator.

    Equal to lightly's ``DCLLoss`` (whose value is the mean over both directions).

    Args:
        z1, z2: (N, D) embeddings of two views; as for :func:`ntxent_loss`.
        temperature: as for :func:`ntxent_loss`.
        positive_weights: (N,) factor of each sample's positive term; default 1.

    Returns:
        Scalar tensor, as :func:`ntxent_loss`; -inf for N = 1, where there are no negatives.

    Raises:
        ValueError: shapes or devices differ, or a temperature below 1e-8 in size.
        TypeError: dtypes differ or are not floating point.

    Memory:
        O(N D) beyond inputs and gradients, on the CPU.

    Source:
        Yeh et al., Decoupled Contrastive Learning, ECCV 2022 (arXiv 2110.06848), equation 6.
    """
    scale, constant = inverse_temperature("dcl_loss", temperature)
    samples = z1.shape[0]
    scale = _each_view(scale, samples, 2)
    if positive_weights is None:
        return contrast_loss("dcl", z1, z2, scale, constant, samples)
    if positive_weights.shape != (samples,):
        raise ValueError(
            f"dcl_loss: positive_weights must have shape ({samples},), "
            f"got {tuple(positive_weights.shape)}"
        )
    if z1.shape != z2.shape:
        shapes = f"{tuple(z1.shape)} and {tuple(z2.shape)}"
        raise ValueError(f"dcl_loss: z1 and z2 must have the same shape, got {shapes}")
    sums, positives, *_ = torch.ops.ipse.similarity_logsumexp(
        torch.cat([z1, z2]), None, scale, constant, True, "sample", samples, False
    )
    logits = positives * (constant if scale is None else scale.to(positives.dtype))
    return (sums - logits * positive_weights.repeat(2)).mean()


def dclw_loss(
    z1: Tensor, z2: Tensor, temperature: float | Tensor = 0.1, sigma: float = 0.5
) -> Tensor:
    """Weighted decoupled contrastive loss: positives far apart count more.

    The weights ``2 - N softmax_n(s_n / sigma)`` of the positives' similarities take no part in
    the gradient. Equal to lightly's ``DCLWLoss``.

    Args:
        z1, z2: (N, D) embeddings of two views; as for :func:`ntxent_loss`.
        temperature: as for :func:`ntxent_loss`.
        sigma: temperature of the weights.

    Returns:
        Scalar tensor, as :func:`dcl_loss`.

    Raises:
        ValueError: shapes or devices differ, or a temperature below 1e-8 in size.
        TypeError: dtypes differ or are not floating point.

    Memory:
        O(N D) beyond inputs and gradients, on the CPU.

    Source:
        Yeh et al., Decoupled Contrastive Learning, ECCV 2022 (arXiv 2110.06848), equation 6
        with the negative von Mises-Fisher weighting.
    """
    if z1.shape != z2.shape:
        shapes = f"{tuple(z1.shape)} and {tuple(z2.shape)}"
        raise ValueError(f"dclw_loss: z1 and z2 must have the same shape, got {shapes}")
    with torch.no_grad():
        alike = (formulas.unit_rows(z1) * formulas.unit_rows(z2)).sum(1)
        weights = 2 - z1.shape[0] * torch.softmax(alike / sigma, 0)
    return dcl_loss(z1, z2, temperature, weights)


def info_nce_loss(
    query: Tensor,
    key: Tensor,
    negatives: Tensor | None = None,
    temperature: float | Tensor = 0.1,
) -> Tensor:
    """InfoNCE, one way: each query must pick out its key among negatives.

    The mean over queries of ``logsumexp(s_+ / T, s_j / T) - s_+ / T`` with cosine
    similarities. With a queue of past keys as negatives it is MoCo's loss.

    Args:
        query, key: (N, D) embeddings, row by row a pair; one dtype: float32, float64, bfloat16
            or float16. Any strides; normalised inside.
        negatives: (K, D) shared by all queries, such as a queue, (N, K, D) each query's own, or
            None: the other queries' keys.
        temperature: a number, a one-element tensor or (N,), one for each query.

    Returns:
        Scalar tensor; float32 for 16-bit inputs. Twice differentiable by query, key, negatives
        and temperature.

    Raises:
        ValueError: shapes or devices do not fit, or a temperature below 1e-8 in size.
        TypeError: dtypes differ or are not floating point.

    Memory:
        O((N + K) D) beyond inputs and gradients, on the CPU; with negatives of each query's
        own, which are N K D already, also their normalised copy.

    Source:
        Oord et al., Representation Learning with Contrastive Predictive Coding (arXiv
        1807.03748), equation 4; He et al., MoCo, CVPR 2020 (arXiv 1911.05722), equation 1.
    """
    scale, constant = inverse_temperature("info_nce_loss", temperature)
    samples = query.shape[0]
    if negatives is None:
        return contrast_loss("info_nce", query, key, scale, constant, samples)
    if query.shape != key.shape:
        shapes = f"{tuple(query.shape)} and {tuple(key.shape)}"
        raise ValueError(f"info_nce_loss: query and key must have the same shape, got {shapes}")
    unit_query = formulas.unit_rows(query)
    factor = constant if scale is None else scale.to(unit_query.dtype)
    positive = (unit_query * formulas.unit_rows(key)).sum(1) * factor
    if negatives.dim() == 2:
        sums = similarity_logsumexp(query, negatives, temperature, exclude="none").logsumexp
    elif negatives.dim() == 3 and negatives.shape[::2] == query.shape:
        unit = formulas.unit_rows(negatives.flatten(0, 1)).view(negatives.shape)
        similarity = torch.einsum("nd,nkd->nk", unit_query, unit)
        factor = factor.reshape(-1, 1) if isinstance(factor, Tensor) else factor
        sums = torch.logsumexp(similarity * factor, 1)
    else:
        raise ValueError(
            f"info_nce_loss: negatives must be (K, D) or (N, K, D) for queries of shape "
            f"{tuple(query.shape)}, got {tuple(negatives.shape)}"
        )
    return (torch.logaddexp(positive, sums) - positive).mean()
