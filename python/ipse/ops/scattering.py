"""``torch.ops.ipse.scattering2d``: schema, kernel, autograd, autocast.

The gradient starts again from the planes, some of them at a time, through the plain formula;
it is itself differentiable.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ipse import _core
from ipse.ops import scattering_formulas as formulas
from ipse.ops._checks import check_float
from ipse.ops._registry import COMPUTE_DTYPES, define, differentiate, to_numpy
from ipse.ops.scattering_filters import filter_bank

CORE_FUNCTIONS = {"scattering2d": ("scattering2d_forward",)}

# Values of the largest grid that the formula's gradient holds at a time, for each channel.
GRADIENT_BLOCK = 2**16


def check_planes(planes: Tensor, scales: int, angles: int, order: int) -> None:
    """Raises TypeError or ValueError unless planes (P, H, W) can be scattered."""
    name = "scattering2d"
    check_float(name, "x", planes)
    if planes.dim() != 3:
        raise ValueError(f"{name}: x must be (P, H, W), got shape {tuple(planes.shape)}")
    if scales < 1:
        raise ValueError(f"{name}: J must be at least 1, got {scales}")
    if angles < 1:
        raise ValueError(f"{name}: L must be at least 1, got {angles}")
    if order not in (1, 2):
        raise ValueError(f"{name}: order must be 1 or 2, got {order}")
    height, width = planes.shape[1:]
    if scales > 24 or 2**scales > min(height, width):
        raise ValueError(
            f"{name}: 2^J must be no more than the sides of x, got J = {scales} "
            f"for {height} x {width}"
        )
    if height % 2**scales != 0 or width % 2**scales != 0:
        raise ValueError(
            f"{name}: the sides of x must be multiples of 2^J = {2**scales}, got {height} x {width}"
        )


def channels(scales: int, angles: int, order: int) -> int:
    """1 + J L, and L^2 J (J - 1) / 2 more at order 2."""
    pairs = scales * (scales - 1) // 2 if order == 2 else 0
    return 1 + scales * angles + pairs * angles**2


def empty_coefficients(planes: Tensor, scales: int, angles: int, order: int) -> Tensor:
    """Checks the arguments; room for the result."""
    check_planes(planes, scales, angles, order)
    count, height, width = planes.shape
    return planes.new_empty(
        (count, channels(scales, angles, order), height // 2**scales, width // 2**scales),
        dtype=COMPUTE_DTYPES[planes.dtype],
    )


def _forward_cpu(planes: Tensor, scales: int, angles: int, order: int) -> Tensor:
    out = empty_coefficients(planes, scales, angles, order)
    if out.numel() == 0:
        return out
    bank = filter_bank(planes.shape[1], planes.shape[2], scales, angles)
    _core.scattering2d_forward(
        to_numpy(planes),
        scales,
        angles,
        order,
        bank.wavelets,
        np.concatenate(bank.lowpass_rows),
        np.concatenate(bank.lowpass_cols),
        to_numpy(out.view(-1, out.shape[2] * out.shape[3])),
        torch.get_num_threads(),
    )
    return out


def _forward_other(planes: Tensor, scales: int, angles: int, order: int) -> Tensor:
    check_planes(planes, scales, angles, order)
    return formulas.scattering2d(planes, scales, angles, order)


def _setup_forward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    planes, *ctx.rest = inputs
    ctx.save_for_backward(planes)


def _forward_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    (planes,) = ctx.saved_tensors
    return torch.ops.ipse.scattering2d_backward(grad, planes, *ctx.rest), None, None, None


def _backward_kernel(grad: Tensor, planes: Tensor, scales: int, angles: int, order: int) -> Tensor:
    result = planes.new_empty(planes.shape)
    pad = 2 * 2**scales
    area = (planes.shape[1] + pad) * (planes.shape[2] + pad)
    block = max(1, GRADIENT_BLOCK // area)
    for begin in range(0, len(planes), block):
        part = slice(begin, begin + block)
        result[part] = formulas.scattering2d_gradient(
            grad[part], planes[part], scales, angles, order
        )
    return result


def _backward_fake(grad: Tensor, planes: Tensor, scales: int, angles: int, order: int) -> Tensor:
    return planes.new_empty(planes.shape)


def _setup_backward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    grad, planes, *ctx.rest = inputs
    ctx.save_for_backward(grad, planes)


def _backward_backward(ctx: Any, grad_grad: Tensor) -> tuple[Any, ...]:
    def function(grad: Tensor, planes: Tensor) -> Tensor:
        return formulas.scattering2d_gradient(grad, planes, *ctx.rest)

    grads = differentiate(function, ctx.saved_tensors, [grad_grad])
    return (*grads, None, None, None)


define(
    "scattering2d(Tensor x, int J, int L, int order) -> Tensor",
    cpu=_forward_cpu,
    other=_forward_other,
    fake=empty_coefficients,
    setup_context=_setup_forward,
    backward=_forward_backward,
)
define(
    "scattering2d_backward(Tensor grad, Tensor x, int J, int L, int order) -> Tensor",
    cpu=_backward_kernel,
    other=_backward_kernel,
    fake=_backward_fake,
    setup_context=_setup_backward,
    backward=_backward_backward,
    autocast_float32=False,
)
