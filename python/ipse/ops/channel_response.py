"""``torch.ops.ipse.channel_response``: what one pass over a convolution's result can tell.

Its gradient has a kernel and is differentiable through the plain formula. Nothing is kept for
the backward but the inputs.
"""

import math
from typing import Any

import torch
from torch import Tensor

from ipse import _core
from ipse.ops import response_formulas as formulas
from ipse.ops._checks import check_float
from ipse.ops._registry import COMPUTE_DTYPES, define, differentiate, to_numpy

NAME = "channel_response"


def _check(
    x: Tensor, scale: Tensor, shift: Tensor, mask: Tensor, activation: str, pool: str
) -> None:
    check_float(NAME, "x", x)
    if x.dim() < 3 or 0 in x.shape[1:]:
        raise ValueError(
            f"{NAME}: x must be (N, C, ...) with at least one channel and one position, "
            f"got shape {tuple(x.shape)}"
        )
    compute = COMPUTE_DTYPES[x.dtype]
    for argument, value in (("scale", scale), ("shift", shift)):
        if tuple(value.shape) != (x.shape[1],):
            raise ValueError(
                f"{NAME}: {argument} must have one value for each of {x.shape[1]} channels, "
                f"got shape {tuple(value.shape)}"
            )
        if value.dtype != compute:
            raise TypeError(f"{NAME}: {argument} must be {compute}, got {value.dtype}")
    if tuple(mask.shape) != tuple(x.shape[:2]):
        raise ValueError(
            f"{NAME}: mask must have shape {tuple(x.shape[:2])}, got {tuple(mask.shape)}"
        )
    if mask.dtype is not torch.bool:
        raise TypeError(f"{NAME}: mask must be bool, got {mask.dtype}")
    for argument, value in (("scale", scale), ("shift", shift), ("mask", mask)):
        if value.device != x.device:
            raise ValueError(
                f"{NAME}: x and {argument} must be on the same device, "
                f"got {x.device} and {value.device}"
            )
    if activation not in formulas.ACTIVATIONS:
        raise ValueError(
            f"{NAME}: activation must be one of {', '.join(formulas.ACTIVATIONS)}, got {activation}"
        )
    if pool not in formulas.POOLS:
        raise ValueError(f"{NAME}: pool must be avg or max, got {pool}")


def channels_are_last(x: Tensor) -> bool:
    """Whether the values of one position lie side by side, and no others between them."""
    return not x.is_contiguous() and x.movedim(1, -1).is_contiguous()


def like(x: Tensor) -> Tensor:
    """Room for a result of x's shape: channels last where x has them so, else in C order."""
    if channels_are_last(x):
        return x.new_empty((x.shape[0], *x.shape[2:], x.shape[1])).movedim(-1, 1)
    return x.new_empty(x.shape)


def _fake(
    x: Tensor, scale: Tensor, shift: Tensor, mask: Tensor, activation: str, pool: str
) -> tuple[Tensor, Tensor, Tensor]:
    _check(x, scale, shift, mask, activation, pool)
    compute = COMPUTE_DTYPES[x.dtype]
    return (
        like(x),
        x.new_empty(x.shape[:2], dtype=compute),
        x.new_empty(x.shape[:2], dtype=compute),
    )


def _flat(x: Tensor) -> Any:
    """(N, C * P): the values of each sample as they lie, as the core takes them."""
    ordered = x.movedim(1, -1) if channels_are_last(x) else x.contiguous()
    return to_numpy(ordered.reshape(x.shape[0], math.prod(x.shape[1:])))


def _row(vector: Tensor) -> Any:
    return to_numpy(vector.contiguous().unsqueeze(0))


def _cpu(
    x: Tensor, scale: Tensor, shift: Tensor, mask: Tensor, activation: str, pool: str
) -> tuple[Tensor, Tensor, Tensor]:
    out, response, pooled = _fake(x, scale, shift, mask, activation, pool)
    _core.channel_response_forward(
        _flat(x),
        channels_are_last(x),
        _row(scale),
        _row(shift),
        to_numpy(mask.contiguous()),
        activation,
        pool,
        _flat(out),
        to_numpy(response),
        to_numpy(pooled),
        torch.get_num_threads(),
    )
    return out, response, pooled


def _in_layout_of(x: Tensor, result: Tensor) -> Tensor:
    return like(x).copy_(result)


def _other(
    x: Tensor, scale: Tensor, shift: Tensor, mask: Tensor, activation: str, pool: str
) -> tuple[Tensor, Tensor, Tensor]:
    _check(x, scale, shift, mask, activation, pool)
    out, response, pooled = formulas.channel_response(x, scale, shift, mask, activation, pool)
    return _in_layout_of(x, out), response, pooled


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.activation, ctx.pool = inputs
    ctx.save_for_backward(*tensors)
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    if all(grad is None for grad in grads):
        return (None,) * 6
    found = torch.ops.ipse.channel_response_backward(
        *grads, *ctx.saved_tensors, ctx.activation, ctx.pool
    )
    return (*found, None, None, None)


define(
    "channel_response(Tensor x, Tensor scale, Tensor shift, Tensor mask, str activation,"
    " str pool) -> (Tensor out, Tensor response, Tensor pooled)",
    cpu=_cpu,
    other=_other,
    fake=_fake,
    setup_context=_setup,
    backward=_backward,
    autocast_float32=False,
)


# The gradient

_Gradients = tuple[Tensor, Tensor, Tensor]


def _gradient_fake(
    grad_out: Tensor | None,
    grad_response: Tensor | None,
    grad_pooled: Tensor | None,
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    mask: Tensor,
    activation: str,
    pool: str,
) -> _Gradients:
    return like(x), torch.empty_like(scale), torch.empty_like(shift)


def _arrived(x: Tensor, grad: Tensor | None) -> Any:
    """A gradient in the memory order of x."""
    if grad is None:
        return None
    same = channels_are_last(grad) == channels_are_last(x)
    return _flat(grad if same else like(x).copy_(grad))


def _gradient_cpu(
    grad_out: Tensor | None,
    grad_response: Tensor | None,
    grad_pooled: Tensor | None,
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    mask: Tensor,
    activation: str,
    pool: str,
) -> _Gradients:
    by_x, by_scale, by_shift = like(x), torch.empty_like(scale), torch.empty_like(shift)
    _core.channel_response_backward(
        _arrived(x, grad_out),
        None if grad_response is None else to_numpy(grad_response.contiguous()),
        None if grad_pooled is None else to_numpy(grad_pooled.contiguous()),
        _flat(x),
        channels_are_last(x),
        _row(scale),
        _row(shift),
        to_numpy(mask.contiguous()),
        activation,
        pool,
        _flat(by_x),
        _row(by_scale),
        _row(by_shift),
        torch.get_num_threads(),
    )
    return by_x, by_scale, by_shift


def _gradient_other(
    grad_out: Tensor | None,
    grad_response: Tensor | None,
    grad_pooled: Tensor | None,
    x: Tensor,
    *others: Any,
) -> _Gradients:
    grads = (grad_out, grad_response, grad_pooled)
    by_x, by_scale, by_shift = formulas.channel_response_gradient(grads, x, *others)
    return _in_layout_of(x, by_x), by_scale, by_shift


def _setup_gradient(ctx: Any, inputs: tuple[Any, ...], output: _Gradients) -> None:
    *tensors, ctx.activation, ctx.pool = inputs
    ctx.save_for_backward(*tensors)
    ctx.set_materialize_grads(False)


def _gradient_backward(ctx: Any, *again: Tensor | None) -> tuple[Any, ...]:
    *grads, x, scale, shift, mask = ctx.saved_tensors
    present = [i for i, grad in enumerate(grads) if grad is not None]

    def gradient(*inputs: Tensor) -> _Gradients:
        arrived: list[Tensor | None] = [None, None, None]
        for i, grad in zip(present, inputs[:-3], strict=True):
            arrived[i] = grad
        x, scale, shift = inputs[-3:]
        return formulas.channel_response_gradient(
            arrived, x, scale, shift, mask, ctx.activation, ctx.pool
        )

    found = differentiate(gradient, [*(grads[i] for i in present), x, scale, shift], again)
    result: list[Tensor | None] = [None] * 9
    for i, grad in zip([*present, 3, 4, 5], found, strict=True):
        result[i] = grad
    return tuple(result)


define(
    "channel_response_backward(Tensor? grad_out, Tensor? grad_response, Tensor? grad_pooled,"
    " Tensor x, Tensor scale, Tensor shift, Tensor mask, str activation, str pool)"
    " -> (Tensor, Tensor, Tensor)",
    cpu=_gradient_cpu,
    other=_gradient_other,
    fake=_gradient_fake,
    setup_context=_setup_gradient,
    backward=_gradient_backward,
    autocast_float32=False,
)
