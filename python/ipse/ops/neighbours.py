"""``torch.ops.ipse.topk_similarity`` and the products with chosen rows that are its derivatives.

``gathered_dot``, ``gathered_sum`` and ``scattered_sum`` are each other's derivatives, so
everything made of them can be differentiated as often as wanted, and no tensor larger than
its inputs, the (M, k) choice and its result ever exists.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ipse import _core
from ipse.ops import neighbour_formulas as formulas
from ipse.ops._registry import COMPUTE_DTYPES, define, to_numpy
from ipse.ops.neighbour_checks import (
    check_indices,
    check_matrix,
    check_pair,
    check_topk,
    check_weights,
)

# Of each operator, what it calls in the core.
CORE_FUNCTIONS = {
    "topk_similarity": ("topk_similarity",),
    "gathered_dot": ("gathered_dot",),
    "gathered_sum": ("gathered_sum",),
    "scattered_sum": ("scattered_sum",),
}


def _core_integers(tensor: Tensor | None) -> Any:
    return None if tensor is None else to_numpy(tensor.contiguous())


def _other(formula: Callable[..., Any], check: Callable[..., Any]) -> Callable[..., Any]:
    """The plain form of an operator, after the checks that its fake kernel makes."""

    def kernel(*arguments: Any) -> Any:
        check(*arguments)
        return formula(*arguments)

    return kernel


# topk_similarity -----------------------------------------------------------------------------


def _empty_topk(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    shape = (x.shape[0], k)
    values = x.new_empty(shape, dtype=COMPUTE_DTYPES[x.dtype])
    return values, x.new_empty(shape, dtype=torch.int64)


def _topk_cpu(
    x: Tensor, y: Tensor, k: int, metric: str, *filters: Tensor | None
) -> tuple[Tensor, Tensor]:
    check_topk(x, y, k, metric, *filters)
    values, indices = _empty_topk(x, k)
    row_ids, column_ids, row_labels, column_labels = map(_core_integers, filters)
    _core.topk_similarity(
        to_numpy(x),
        to_numpy(y),
        to_numpy(values),
        to_numpy(indices),
        metric,
        row_ids,
        column_ids,
        row_labels,
        column_labels,
        torch.get_num_threads(),
    )
    return values, indices


def _topk_fake(
    x: Tensor, y: Tensor, k: int, metric: str, *filters: Tensor | None
) -> tuple[Tensor, Tensor]:
    check_topk(x, y, k, metric, *filters)
    return _empty_topk(x, k)


def _topk_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, y, _, metric, *_ = inputs
    ctx.save_for_backward(x, y, output[1])
    ctx.mark_non_differentiable(output[1])
    ctx.metric = metric


def _topk_backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Any, ...]:
    x, y, indices = ctx.saved_tensors
    wanted = ctx.needs_input_grad[0], ctx.needs_input_grad[1]
    return (*formulas.topk_gradients(grad, x, y, indices, ctx.metric, wanted), *[None] * 6)


define(
    "topk_similarity(Tensor x, Tensor y, int k, str metric, Tensor? row_ids, Tensor? column_ids,"
    " Tensor? row_labels, Tensor? column_labels) -> (Tensor values, Tensor indices)",
    cpu=_topk_cpu,
    other=_other(formulas.topk_similarity, _topk_fake),
    fake=_topk_fake,
    setup_context=_topk_setup,
    backward=_topk_backward,
)


# The products with chosen rows ---------------------------------------------------------------


def _dot_result(x: Tensor, y: Tensor, indices: Tensor) -> Tensor:
    check_pair("gathered_dot", x, y)
    check_indices("gathered_dot", indices, x.shape[0])
    return x.new_empty(indices.shape, dtype=COMPUTE_DTYPES[x.dtype])


def _gather_result(weights: Tensor, indices: Tensor, y: Tensor) -> Tensor:
    check_matrix("gathered_sum", "y", y)
    check_indices("gathered_sum", indices, weights.shape[0])
    check_weights("gathered_sum", weights, indices, y)
    return y.new_empty((weights.shape[0], y.shape[1]))


def _scatter_result(weights: Tensor, indices: Tensor, x: Tensor, count: int) -> Tensor:
    check_matrix("scattered_sum", "x", x)
    check_indices("scattered_sum", indices, x.shape[0])
    check_weights("scattered_sum", weights, indices, x)
    return x.new_empty((count, x.shape[1]))


def _native(core: Callable[..., None], result: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """An operator's CPU kernel: ``core`` fills what ``result`` makes of the arguments."""

    def kernel(*arguments: Any) -> Tensor:
        out = result(*arguments)
        tensors = [a for a in arguments if isinstance(a, Tensor)]
        arrays = [_core_integers(t) if t.dtype is torch.int64 else to_numpy(t) for t in tensors]
        core(*arrays, to_numpy(out), torch.get_num_threads())
        return out

    return kernel


def _dot_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _dot_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    x, y, indices = ctx.saved_tensors
    ops = torch.ops.ipse
    by_x = ops.gathered_sum(grad, indices, y) if ctx.needs_input_grad[0] else None
    by_y = None
    if ctx.needs_input_grad[1]:
        by_y = ops.scattered_sum(grad, indices, x, y.shape[0])
    return by_x, by_y, None


def _gather_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    weights, indices, y = ctx.saved_tensors
    ops = torch.ops.ipse
    by_weights = ops.gathered_dot(grad, y, indices) if ctx.needs_input_grad[0] else None
    by_y = None
    if ctx.needs_input_grad[2]:
        by_y = ops.scattered_sum(weights, indices, grad, y.shape[0])
    return by_weights, None, by_y


def _scatter_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:3])


def _scatter_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    weights, indices, x = ctx.saved_tensors
    ops = torch.ops.ipse
    by_weights = ops.gathered_dot(x, grad, indices) if ctx.needs_input_grad[0] else None
    by_x = ops.gathered_sum(weights, indices, grad) if ctx.needs_input_grad[2] else None
    return by_weights, None, by_x, None


define(
    "gathered_dot(Tensor x, Tensor y, Tensor indices) -> Tensor",
    cpu=_native(_core.gathered_dot, _dot_result),
    other=_other(formulas.gathered_dot, _dot_result),
    fake=_dot_result,
    setup_context=_dot_setup,
    backward=_dot_backward,
    autocast_float32=False,
)
define(
    "gathered_sum(Tensor weights, Tensor indices, Tensor y) -> Tensor",
    cpu=_native(_core.gathered_sum, _gather_result),
    other=_other(formulas.gathered_sum, _gather_result),
    fake=_gather_result,
    setup_context=_dot_setup,
    backward=_gather_backward,
    autocast_float32=False,
)
define(
    "scattered_sum(Tensor weights, Tensor indices, Tensor x, int count) -> Tensor",
    cpu=_native(_core.scattered_sum, _scatter_result),
    other=_other(formulas.scattered_sum, _scatter_result),
    fake=_scatter_result,
    setup_context=_scatter_setup,
    backward=_scatter_backward,
    autocast_float32=False,
)
