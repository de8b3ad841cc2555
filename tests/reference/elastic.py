"""Layers of a sub-network with weights that are cut out and scaled beforehand."""

import torch
from torch import Tensor


def elastic_linear(
    x: Tensor, weight: Tensor, bias: Tensor | None, out_features: int, groups: int
) -> Tensor:
    """Extraction as POA does it: D / in is folded into a copy of the weight."""
    width = x.shape[-1]
    rows = weight.shape[0] // groups
    used = torch.cat([torch.arange(out_features) + g * rows for g in range(groups)])
    cut = weight[used][:, :width] * (weight.shape[1] / width)
    return torch.nn.functional.linear(x, cut, None if bias is None else bias[used])


def elastic_layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    width = x.shape[-1]
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt()
    return scaled * weight[:width] + bias[:width]
