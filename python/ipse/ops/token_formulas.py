"""Tokens picked out and put back in plain PyTorch: what devices without a kernel run."""

from torch import Tensor


def _whole(indices: Tensor, x: Tensor) -> Tensor:
    return indices.unsqueeze(2).expand(*indices.shape, x.shape[2])


def gather_tokens(x: Tensor, indices: Tensor) -> Tensor:
    """``x[n, indices[n, k]]``."""
    return x.gather(1, _whole(indices, x))


def add_tokens(tokens: Tensor, indices: Tensor, num_tokens: int) -> Tensor:
    """Zeros, with ``tokens[n, k]`` added at ``indices[n, k]``."""
    room = tokens.new_zeros(tokens.shape[0], num_tokens, tokens.shape[2])
    return room.scatter_add_(1, _whole(indices, tokens), tokens)


def scatter_tokens(tokens: Tensor, indices: Tensor, num_tokens: int, fill: Tensor) -> Tensor:
    """``fill``, with ``tokens[n, k]`` at ``indices[n, k]``."""
    room = fill.repeat(tokens.shape[0], num_tokens, 1)
    return room.scatter_(1, _whole(indices, tokens), tokens)
