"""Normalise, activate, gate and pool a convolution's result in one pass over memory."""

from typing import NamedTuple

import torch
from torch import Tensor

import ipse.ops  # noqa: F401  # registers torch.ops.ipse.*
from ipse.ops._registry import COMPUTE_DTYPES

__all__ = ["ChannelResponse", "channel_response"]


class ChannelResponse(NamedTuple):
    """The gated activation, how strongly each channel responded, and the pooled result."""

    out: Tensor
    response: Tensor
    pooled: Tensor


def channel_response(
    x: Tensor,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    activation: str = "relu",
    pool: str = "avg",
) -> ChannelResponse:
    """All that a gated layer needs of its convolution, from one pass over it.

    With ``O = activation(x * scale + shift)``: the gated activation ``O * mask``, the response
    ``max |O|`` of each channel before the mask, and the pooled ``O * mask`` that the next
    layer's head looks at. Batch normalisation is ``scale = gain / sqrt(var + eps)``,
    ``shift = bias - mean * scale``, with the statistics of the batch or the running ones.

    Args:
        x: (N, C, H, W) or (N, C, ...): float32, float64, bfloat16 or float16; N may be 0.
            Contiguous and channels-last tensors are read as they lie, others copied.
        scale, shift: (C,) for the channels; default 1 and 0. Converted to float32, or float64
            where x is.
        mask: (N, C) bool, the channels that stay; default all. What is masked is exactly 0,
            even where O is not finite.
        activation: ``"relu"``, ``"relu6"``, ``"silu"`` or ``"identity"``.
        pool: ``"avg"`` or ``"max"`` over all positions.

    Returns:
        ``ChannelResponse(out, response, pooled)``: out like x, channels last where x has them
        so; response and pooled (N, C), float32 for 16-bit x (of which only out is rounded to
        16 bits). NaN in a channel makes its response NaN.

        All three are twice differentiable by x, scale and shift. A maximum's gradient goes to
        the first position that has it (as in memory of a contiguous tensor), that of ``|O|``
        is 0 where O is 0. In an autocast region nothing is cast: the arithmetic is float32.

    Raises:
        ValueError: shapes or devices do not fit, x has no channels or positions, or
            ``activation`` or ``pool`` is unknown.
        TypeError: ``x`` is not dense or not floating point, or ``mask`` is not bool.

    Memory:
        On the CPU, beside the results, three values a channel for each thread; in the backward
        two for each channel of each sample. Nothing but the inputs is kept for it.

    Source:
        Elkerdawy et al., Fire Together Wire Together, CVPR 2022 (arXiv 2110.08232),
        section 3.1: the global maximum of the heatmap and the head's pooled input.
    """
    compute = COMPUTE_DTYPES.get(x.dtype, torch.float32)
    channels = x.shape[1:2]
    scale = x.new_ones(channels, dtype=compute) if scale is None else scale.to(compute)
    shift = x.new_zeros(channels, dtype=compute) if shift is None else shift.to(compute)
    if mask is None:
        mask = x.new_ones(x.shape[:2], dtype=torch.bool)
    return ChannelResponse(
        *torch.ops.ipse.channel_response(x, scale, shift, mask, activation, pool)
    )
