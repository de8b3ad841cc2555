"""``torch.ops.ipse.random_subsets``, ``gather_tokens``, ``add_tokens`` and ``scatter_tokens``.

``gather_tokens`` and ``add_tokens`` are each other's derivatives, so everything made of them can
be differentiated as often as wanted.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ipse import _core
from ipse.ops import token_formulas as formulas
from ipse.ops._checks import check_float
from ipse.ops._registry import define, to_numpy

# Of each operator, what it calls in the core.
CORE_FUNCTIONS = {
    "random_subsets": ("random_subsets",),
    "gather_tokens": ("gather_tokens",),
    "add_tokens": ("add_tokens",),
    "scatter_tokens": ("scatter_tokens",),
}

# Subsets -------------------------------------------------------------------------------------


def _subsets_fake(seed: Tensor, num_rows: int, num_tokens: int, keep: int) -> Tensor:
    name = "random_subsets"
    if seed.dtype is not torch.int64 or seed.numel() != 1:
        raise ValueError(
            f"{name}: seed must be one int64, got shape {tuple(seed.shape)} of {seed.dtype}"
        )
    if num_rows < 0 or not 0 <= keep <= num_tokens:
        raise ValueError(
            f"{name}: num_rows must be at least 0 and keep from 0 to num_tokens = {num_tokens}, "
            f"got {num_rows} and {keep}"
        )
    return seed.new_empty((num_rows, keep))


def _subsets(seed: Tensor, num_rows: int, num_tokens: int, keep: int) -> Tensor:
    """Drawn on the CPU for every device: the subsets are the same everywhere."""
    _subsets_fake(seed, num_rows, num_tokens, keep)
    indices = torch.empty((num_rows, keep), dtype=torch.int64)
    key = int(seed) % 2**64
    _core.random_subsets(key, num_tokens, to_numpy(indices), torch.get_num_threads())
    return indices.to(seed.device)


define(
    "random_subsets(Tensor seed, int num_rows, int num_tokens, int keep) -> Tensor",
    cpu=_subsets,
    other=_subsets,
    fake=_subsets_fake,
    autocast_float32=False,
)


# Picking out and putting back ----------------------------------------------------------------


def _check(name: str, argument: str, x: Tensor, indices: Tensor) -> None:
    check_float(name, argument, x)
    if x.dim() != 3 or x.shape[2] < 1:
        raise ValueError(
            f"{name}: {argument} must be (N, T, D) with at least one feature, "
            f"got shape {tuple(x.shape)}"
        )
    if indices.dtype is not torch.int64:
        raise TypeError(f"{name}: indices must be int64, got {indices.dtype}")
    if indices.dim() != 2 or indices.shape[0] != x.shape[0]:
        raise ValueError(
            f"{name}: indices must be ({x.shape[0]}, K), got shape {tuple(indices.shape)}"
        )
    if indices.device != x.device:
        raise ValueError(
            f"{name}: {argument} and indices must be on the same device, "
            f"got {x.device} and {indices.device}"
        )


def _gather_fake(x: Tensor, indices: Tensor) -> Tensor:
    _check("gather_tokens", "x", x, indices)
    return x.new_empty((*indices.shape, x.shape[2]))


def _check_back(name: str, tokens: Tensor, indices: Tensor, num_tokens: int) -> None:
    _check(name, "tokens", tokens, indices)
    if tokens.shape[1] != indices.shape[1]:
        raise ValueError(
            f"{name}: there must be one index for each of {tokens.shape[1]} tokens, "
            f"got {indices.shape[1]}"
        )
    if num_tokens < 0:
        raise ValueError(f"{name}: num_tokens must be at least 0, got {num_tokens}")


def _add_fake(tokens: Tensor, indices: Tensor, num_tokens: int) -> Tensor:
    _check_back("add_tokens", tokens, indices, num_tokens)
    return tokens.new_empty((tokens.shape[0], num_tokens, tokens.shape[2]))


def _scatter_fake(tokens: Tensor, indices: Tensor, num_tokens: int, fill: Tensor) -> Tensor:
    name = "scatter_tokens"
    _check_back(name, tokens, indices, num_tokens)
    if tuple(fill.shape) != (tokens.shape[2],):
        raise ValueError(
            f"{name}: fill must have shape ({tokens.shape[2]},), got {tuple(fill.shape)}"
        )
    if fill.dtype != tokens.dtype or fill.device != tokens.device:
        raise TypeError(
            f"{name}: tokens and fill must have the same dtype and device, got {tokens.dtype} on "
            f"{tokens.device} and {fill.dtype} on {fill.device}"
        )
    return tokens.new_empty((tokens.shape[0], num_tokens, tokens.shape[2]))


def _rows(x: Tensor) -> Any:
    """The values of a token side by side, as the core takes them."""
    return to_numpy(x if x.stride(2) == 1 or x.shape[2] == 1 else x.contiguous())


def _gather_cpu(x: Tensor, indices: Tensor) -> Tensor:
    out = _gather_fake(x, indices)
    arrays = _rows(x), to_numpy(indices.contiguous()), to_numpy(out)
    _core.gather_tokens(*arrays, torch.get_num_threads())
    return out


def _add_cpu(tokens: Tensor, indices: Tensor, num_tokens: int) -> Tensor:
    out = _add_fake(tokens, indices, num_tokens)
    arrays = _rows(tokens), to_numpy(indices.contiguous()), to_numpy(out)
    _core.add_tokens(*arrays, torch.get_num_threads())
    return out


def _scatter_cpu(tokens: Tensor, indices: Tensor, num_tokens: int, fill: Tensor) -> Tensor:
    out = _scatter_fake(tokens, indices, num_tokens, fill)
    row = to_numpy(fill.contiguous().unsqueeze(0))
    arrays = _rows(tokens), to_numpy(indices.contiguous()), row, to_numpy(out)
    _core.scatter_tokens(*arrays, torch.get_num_threads())
    return out


def _other(formula: Callable[..., Tensor], check: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The plain form of an operator, after the checks that its fake kernel makes."""

    def kernel(*arguments: Any) -> Tensor:
        check(*arguments)
        return formula(*arguments)

    return kernel


def _gather_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, indices = inputs
    ctx.save_for_backward(indices)
    ctx.num_tokens = x.shape[1]


def _gather_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    (indices,) = ctx.saved_tensors
    return torch.ops.ipse.add_tokens(grad, indices, ctx.num_tokens), None


def _back_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[1])
    ctx.num_tokens = inputs[2]


def _add_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    (indices,) = ctx.saved_tensors
    return torch.ops.ipse.gather_tokens(grad, indices), None, None


def _scatter_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    (indices,) = ctx.saved_tensors
    by_tokens = by_fill = None
    if ctx.needs_input_grad[0]:
        by_tokens = torch.ops.ipse.gather_tokens(grad, indices)
    if ctx.needs_input_grad[3]:
        # A product with ones and zeros: no masked copy of the gradient.
        free = grad.new_ones(grad.shape[:2]).scatter(1, indices, 0.0)
        by_fill = (free.reshape(1, -1) @ grad.reshape(-1, grad.shape[2])).squeeze(0)
    return by_tokens, None, None, by_fill


define(
    "gather_tokens(Tensor x, Tensor indices) -> Tensor",
    cpu=_gather_cpu,
    other=_other(formulas.gather_tokens, _gather_fake),
    fake=_gather_fake,
    setup_context=_gather_setup,
    backward=_gather_backward,
    autocast_float32=False,
)
define(
    "add_tokens(Tensor tokens, Tensor indices, int num_tokens) -> Tensor",
    cpu=_add_cpu,
    other=_other(formulas.add_tokens, _add_fake),
    fake=_add_fake,
    setup_context=_back_setup,
    backward=_add_backward,
    autocast_float32=False,
)
define(
    "scatter_tokens(Tensor tokens, Tensor indices, int num_tokens, Tensor fill) -> Tensor",
    cpu=_scatter_cpu,
    other=_other(formulas.scatter_tokens, _scatter_fake),
    fake=_scatter_fake,
    setup_context=_back_setup,
    backward=_scatter_backward,
    autocast_float32=False,
)
