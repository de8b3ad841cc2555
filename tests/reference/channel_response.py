"""The steps that channel_response fuses, one after the other."""

import torch
from torch import Tensor

ACTIVATIONS = {
    "identity": lambda z: z,
    "relu": torch.nn.functional.relu,
    "relu6": torch.nn.functional.relu6,
    "silu": torch.nn.functional.silu,
}


def _first_largest(planes: Tensor, size: Tensor) -> Tensor:
    """(N, C): of each plane the value where ``size`` is largest, the first such."""
    where = [
        [min(p for p, v in enumerate(plane) if v == max(plane)) for plane in sample]
        for sample in size.detach().tolist()
    ]
    index = torch.tensor(where, dtype=torch.int64).reshape(*size.shape[:2], 1)
    return planes.gather(2, index).squeeze(2)


def channel_response(
    x: Tensor, scale: Tensor, shift: Tensor, mask: Tensor, activation: str, pool: str
) -> tuple[Tensor, Tensor, Tensor]:
    shape = (1, -1, *[1] * (x.dim() - 2))
    z = x.to(scale.dtype) * scale.reshape(shape) + shift.reshape(shape)
    activated = ACTIVATIONS[activation](z).flatten(2)
    response = _first_largest(activated, activated.abs()).abs()
    out = activated * mask.to(activated.dtype).unsqueeze(2)
    pooled = out.mean(2) if pool == "avg" else _first_largest(out, out)
    return out.reshape(x.shape).to(x.dtype), response, pooled
