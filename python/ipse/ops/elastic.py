"""``torch.ops.ipse.elastic_linear``: a linear layer through the first rows and columns of a weight.

The products are torch's own, which take the leading rows and columns of a matrix as they lie. What
the operator adds is the way back: the gradient is written into its corner of the weight's
gradient, with no copy of either, and the input's scale is a factor of the products.
"""

from typing import Any

import torch
from torch import Tensor

from ipse.ops._checks import check_float
from ipse.ops._registry import define

NAME = "elastic_linear"
# Nothing in the core is called.
CORE_FUNCTIONS: dict[str, tuple[str, ...]] = {"elastic_linear": ()}


def _check(x: Tensor, weight: Tensor, bias: Tensor | None, out_features: int, groups: int) -> None:
    check_float(NAME, "x", x)
    if x.dim() != 2 or weight.dim() != 2:
        raise ValueError(
            f"{NAME}: x must be (N, in) and weight (out, in), "
            f"got shapes {tuple(x.shape)} and {tuple(weight.shape)}"
        )
    rows, columns = weight.shape
    if not 1 <= x.shape[1] <= columns:
        raise ValueError(
            f"{NAME}: x must have from 1 to {columns} features, as many as the weight has columns, "
            f"got {x.shape[1]}"
        )
    if groups < 1 or rows % groups != 0:
        raise ValueError(f"{NAME}: groups must divide the weight's {rows} rows, got {groups}")
    if not 1 <= out_features <= rows // groups:
        raise ValueError(
            f"{NAME}: out_features must be from 1 to {rows // groups}, the rows of a group, "
            f"got {out_features}"
        )
    if bias is not None and tuple(bias.shape) != (rows,):
        raise ValueError(f"{NAME}: bias must have shape ({rows},), got {tuple(bias.shape)}")
    for argument, value in (("weight", weight), ("bias", bias)):
        if value is not None and value.dtype != x.dtype:
            raise TypeError(
                f"{NAME}: x and {argument} must have the same dtype, "
                f"got {x.dtype} and {value.dtype}"
            )
        if value is not None and value.device != x.device:
            raise ValueError(
                f"{NAME}: x and {argument} must be on the same device, "
                f"got {x.device} and {value.device}"
            )


def _corners(stacked: Tensor, count: int, groups: int) -> list[Tensor]:
    """The first ``count`` rows of each of the groups of rows, as views."""
    return [part[:count] for part in stacked.view(groups, -1, *stacked.shape[1:])]


def _product(left: Tensor, right: Tensor, factor: float, start: Tensor | None = None) -> Tensor:
    """``factor * left @ right + start``."""
    if start is None:
        return torch.addmm(left.new_zeros(()), left, right, beta=0, alpha=factor)
    return torch.addmm(start, left, right, alpha=factor)


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None, out_features: int, groups: int
) -> Tensor:
    _check(x, weight, bias, out_features, groups)
    factor = weight.shape[1] / x.shape[1]
    active = [part[:, : x.shape[1]].t() for part in _corners(weight, out_features, groups)]
    starts = [None] * groups if bias is None else _corners(bias, out_features, groups)
    parts = [_product(x, w, factor, b) for w, b in zip(active, starts, strict=True)]
    return parts[0] if groups == 1 else torch.cat(parts, dim=1)


def _fake(x: Tensor, weight: Tensor, bias: Tensor | None, out_features: int, groups: int) -> Tensor:
    _check(x, weight, bias, out_features, groups)
    return x.new_empty((x.shape[0], groups * out_features))


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, _, ctx.out_features, ctx.groups = inputs
    ctx.save_for_backward(x, weight)


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    x, weight = ctx.saved_tensors
    by_x = by_weight = by_bias = None
    out, groups = ctx.out_features, ctx.groups
    factor = weight.shape[1] / x.shape[1]
    if ctx.needs_input_grad[0]:
        active = [part[:, : x.shape[1]] for part in _corners(weight, out, groups)]
        for part, arrived in zip(active, grad.split(out, dim=1), strict=True):
            by_x = _product(arrived, part, factor, by_x)
    if ctx.needs_input_grad[1]:
        by_weight = torch.ops.ipse.elastic_linear_weight_backward(grad, x, *weight.shape, groups)
    if ctx.needs_input_grad[2]:
        sums = grad.sum(0).view(groups, out)
        by_bias = torch.nn.functional.pad(sums, (0, weight.shape[0] // groups - out)).flatten()
    return by_x, by_weight, by_bias, None, None


define(
    "elastic_linear(Tensor x, Tensor weight, Tensor? bias, int out_features, int groups) -> Tensor",
    cpu=linear,
    other=linear,
    fake=_fake,
    setup_context=_setup,
    backward=_backward,
    autocast_float32=False,
)


def weight_gradient(grad: Tensor, x: Tensor, rows: int, columns: int, groups: int) -> Tensor:
    out = grad.shape[1] // groups
    by_weight = x.new_zeros((rows, columns))
    corners = [part[:, : x.shape[1]] for part in _corners(by_weight, out, groups)]
    for corner, arrived in zip(corners, grad.split(out, dim=1), strict=True):
        corner.addmm_(arrived.t(), x, beta=0, alpha=columns / x.shape[1])
    return by_weight


def _setup_weight(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    grad, x, _, _, ctx.groups = inputs
    ctx.save_for_backward(grad, x)


def _weight_backward(ctx: Any, again: Tensor) -> tuple[Any, ...]:
    grad, x = ctx.saved_tensors
    by_grad = by_x = None
    out = grad.shape[1] // ctx.groups
    factor = again.shape[1] / x.shape[1]
    corners = [part[:, : x.shape[1]] for part in _corners(again.contiguous(), out, ctx.groups)]
    if ctx.needs_input_grad[0]:
        by_grad = torch.cat([_product(x, part.t(), factor) for part in corners], dim=1)
    if ctx.needs_input_grad[1]:
        for part, arrived in zip(corners, grad.split(out, dim=1), strict=True):
            by_x = _product(arrived, part, factor, by_x)
    return by_grad, by_x, None, None, None


define(
    "elastic_linear_weight_backward(Tensor grad, Tensor x, int rows, int columns, int groups)"
    " -> Tensor",
    cpu=weight_gradient,
    other=weight_gradient,
    fake=lambda grad, x, rows, columns, groups: x.new_empty((rows, columns)),
    setup_context=_setup_weight,
    backward=_weight_backward,
    autocast_float32=False,
)
