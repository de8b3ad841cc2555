"""Layers of a sub-network that shares the first rows and columns of a larger one's weights."""

import torch
from torch import Tensor

import ipse.ops  # noqa: F401  # registers torch.ops.ipse.*

__all__ = ["elastic_layer_norm", "elastic_linear"]


def elastic_linear(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    out_features: int | None = None,
    groups: int = 1,
) -> Tensor:
    """A linear layer through the corner of a weight that a narrower network uses.

    ``y = W[:out, :in] (x * D / in) + b[:out]`` with D the weight's columns and ``in`` the
    features of x: the input is scaled by how much narrower it is. With in = D and all rows this
    is the plain linear layer. No part of the weight is copied, in either direction: the products
    read and write the corner as it lies, and the scale is a factor of theirs.

    Args:
        x: (N, in) or (N, ..., in): float32, float64, bfloat16 or float16, in from 1 to D.
        weight: (groups * R, D), the same dtype.
        bias: (groups * R,); default none.
        out_features: rows used of each group, from 1 to R; default R.
        groups: equal groups of rows that are cut alike and whose results follow each other: 3
            for the one weight of queries, keys and values.

    Returns:
        (N, ..., groups * out_features). Differentiable by x, weight and bias as often as
        wanted; the gradients of what is not used are 0. In an autocast region everything is
        cast to its dtype, as ``torch.nn.functional.linear`` does.

    Raises:
        ValueError: shapes or devices do not fit or a size is out of range.
        TypeError: dtypes differ or are not floating point.

    Memory:
        The result; in the backward the gradients, that of the weight at its full size.

    Source:
        Zhang et al., POA: Pre-training Once for Models of All Sizes, ECCV 2024
        (arXiv 2408.01031), section 3.2 and its released code.
    """
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight = x.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    if x.dim() < 2:
        raise ValueError(f"elastic_linear: x must be (N, ..., in), got shape {tuple(x.shape)}")
    rows = weight.shape[0] // max(1, groups) if out_features is None else out_features
    flat = x.reshape(x.shape[:-1].numel(), x.shape[-1])
    y: Tensor = torch.ops.ipse.elastic_linear(flat, weight, bias, rows, groups)
    return y.view(*x.shape[:-1], y.shape[-1])


def elastic_layer_norm(
    x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-6
) -> Tensor:
    """Layer normalisation over the features that a narrower network has.

    Args:
        x: (N, w) or (N, ..., w), normalised over its last axis: over w features, not over D.
        weight: (D,) gain with D >= w; its first w are used, as a view.
        bias: (D,), likewise.
        eps: added to the variance.

    Returns:
        Like x. Differentiable as ``torch.nn.functional.layer_norm``, which does the work; the
        gradients of the gains that are not used are 0.

    Raises:
        ValueError: x has no features, or ``weight`` or ``bias`` has fewer than x.

    Memory:
        As ``torch.nn.functional.layer_norm``.

    Source:
        Zhang et al., POA: Pre-training Once for Models of All Sizes, ECCV 2024
        (arXiv 2408.01031), section 3.2 and its released code.
    """
    if x.dim() < 2 or x.shape[-1] < 1:
        raise ValueError(f"elastic_layer_norm: x must be (N, ..., w), got shape {tuple(x.shape)}")
    width = x.shape[-1]
    for argument, value in (("weight", weight), ("bias", bias)):
        if value is not None and (value.dim() != 1 or value.shape[0] < width):
            raise ValueError(
                f"elastic_layer_norm: {argument} must be (D,) with D at least {width}, "
                f"got shape {tuple(value.shape)}"
            )
    gain = None if weight is None else weight[:width]
    start = None if bias is None else bias[:width]
    return torch.nn.functional.layer_norm(x, (width,), gain, start, eps)
