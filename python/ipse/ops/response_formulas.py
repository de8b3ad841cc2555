"""``channel_response`` in plain, differentiable PyTorch."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ipse.ops._registry import COMPUTE_DTYPES

ACTIVATIONS = ("identity", "relu", "relu6", "silu")
POOLS = ("avg", "max")


def activate(z: Tensor, activation: str) -> Tensor:
    if activation == "relu":
        return z.relu()
    if activation == "relu6":
        return torch.nn.functional.relu6(z)
    if activation == "silu":
        return torch.nn.functional.silu(z)
    return z


def _first_largest(values: Tensor, size: Tensor) -> Tensor:
    """(N, C): the value of each plane where ``size`` is largest, the first on a tie."""
    return values.gather(2, size.argmax(2, keepdim=True)).squeeze(2)


def channel_response(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    mask: Tensor,
    activation: str,
    pool: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """(N, C, ...) the masked activation, (N, C) max |activation|, (N, C) the pooled result."""
    spatial = [1] * (x.dim() - 2)
    z = x.to(COMPUTE_DTYPES[x.dtype]) * scale.view(-1, *spatial) + shift.view(-1, *spatial)
    wide = activate(z, activation)
    planes = wide.flatten(2)
    response = _first_largest(planes, planes.detach().abs()).abs()
    wide = torch.where(mask.view(*mask.shape, *spatial), wide, torch.zeros_like(wide))
    planes = wide.flatten(2)
    pooled = planes.mean(2) if pool == "avg" else _first_largest(planes, planes.detach())
    return wide.to(x.dtype), response, pooled


def _slope(z: Tensor, activation: str) -> Tensor:
    """The derivative of the activation; 0 where it has a corner."""
    if activation == "relu":
        return (z > 0).to(z.dtype)
    if activation == "relu6":
        return ((z > 0) & (z < 6)).to(z.dtype)
    if activation == "silu":
        sigmoid = z.sigmoid()
        return sigmoid * (1 + z * (1 - sigmoid))
    return torch.ones_like(z)


def _at_first_largest(size: Tensor, grad: Tensor) -> Tensor:
    """(N, C, P): ``grad`` (N, C) where ``size`` is largest, 0 elsewhere."""
    where = size.detach().argmax(2, keepdim=True)
    return torch.zeros_like(size, dtype=grad.dtype).scatter(2, where, grad.unsqueeze(2))


def channel_response_gradient(
    grads: Sequence[Tensor | None],
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    mask: Tensor,
    activation: str,
    pool: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """What the gradients of the three results make of x, scale and shift."""
    by_out, by_response, by_pooled = grads
    planes = x.flatten(2).to(COMPUTE_DTYPES[x.dtype])
    z = planes * scale.unsqueeze(1) + shift.unsqueeze(1)
    wide = activate(z, activation)
    kept = mask.unsqueeze(2)
    arrived = torch.zeros_like(wide)
    if by_out is not None:
        arrived = arrived + by_out.flatten(2)
    if by_pooled is not None and pool == "avg":
        arrived = arrived + (by_pooled / wide.shape[2]).unsqueeze(2)
    elif by_pooled is not None:
        masked = torch.where(kept, wide, torch.zeros_like(wide))
        arrived = arrived + _at_first_largest(masked, by_pooled)
    arrived = torch.where(kept, arrived, torch.zeros_like(arrived))
    if by_response is not None:
        arrived = arrived + _at_first_largest(wide.abs(), by_response) * wide.detach().sign()
    by_z = arrived * _slope(z, activation)
    by_x = (by_z * scale.unsqueeze(1)).to(x.dtype).view(x.shape)
    return by_x, (by_z * planes).sum((0, 2)), by_z.sum((0, 2))
