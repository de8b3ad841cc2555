"""``torch.ops.ipse.fourier_crop`` and ``lanczos_crop``: linear maps and their adjoints.

``crop(x)`` maps (..., H, W) to (..., height, width); ``crop_backward(grad)`` is the transposed
map, to the height and width of the input. Both multiply by ``scale``; ``shift`` is added by the
forward alone. Differentiating one gives the other, as often as wanted.
"""

from typing import Any

import torch
from torch import Tensor

from ipse import _core
from ipse.ops import crop_formulas as formulas
from ipse.ops._checks import check_dense
from ipse.ops._registry import COMPUTE_DTYPES, define, to_numpy


def check_crop(
    name: str,
    x: Tensor,
    height: int,
    width: int,
    scale: Tensor | None,
    shift: Tensor | None,
    dtype: torch.dtype,
) -> None:
    """Raises TypeError or ValueError unless these are arguments of ``name``."""
    if x.dtype not in COMPUTE_DTYPES and x.dtype is not torch.uint8:
        allowed = "uint8, float32, float64, bfloat16 or float16"
        raise TypeError(f"{name}: x must be {allowed}, got {x.dtype}")
    if dtype not in COMPUTE_DTYPES:
        allowed = "float32, float64, bfloat16 or float16"
        raise TypeError(f"{name}: dtype must be {allowed}, got {dtype}")
    check_dense(name, "x", x)
    if x.dim() < 2:
        raise ValueError(f"{name}: x must be (..., H, W), got shape {tuple(x.shape)}")
    for side, size, most in (("height", height, x.shape[-2]), ("width", width, x.shape[-1])):
        if not 1 <= size <= most:
            raise ValueError(
                f"{name}: the {side} must be at least 1 and at most the input's {most}, got {size}"
            )
    for argument, values in (("scale", scale), ("shift", shift)):
        if values is None:
            continue
        if x.dim() < 3:
            raise ValueError(
                f"{name}: {argument} needs a channel axis: x must be (..., C, H, W), "
                f"got shape {tuple(x.shape)}"
            )
        if values.dim() != 1 or values.shape[0] != x.shape[-3]:
            raise ValueError(
                f"{name}: {argument} must have one value for each of {x.shape[-3]} channels, "
                f"got shape {tuple(values.shape)}"
            )


def _empty(x: Tensor, height: int, width: int, dtype: torch.dtype) -> Tensor:
    """The result, channels last where that is how x lies in memory."""
    shape = (*x.shape[:-2], height, width)
    last = (
        x.dim() == 4
        and not x.is_contiguous()
        and x.is_contiguous(memory_format=torch.channels_last)
    )
    memory_format = torch.channels_last if last else torch.contiguous_format
    return torch.empty(shape, dtype=dtype, device=x.device, memory_format=memory_format)


def _four_dimensional(x: Tensor) -> Tensor:
    """(N, C, H, W); a copy only where the leading axes cannot be joined in place."""
    if x.dim() == 4:
        return x
    if x.dim() < 4:
        return x.reshape(*[1] * (4 - x.dim()), *x.shape)
    return x.flatten(0, -4)


def _numbers(values: Tensor | None) -> list[float] | None:
    return None if values is None else values.tolist()


def _register(name: str, kind: str) -> None:
    """The crop of one kind and its adjoint."""
    forward_core = getattr(_core, f"{name}_forward")
    backward_core = getattr(_core, f"{name}_backward")

    def forward_fake(
        x: Tensor,
        height: int,
        width: int,
        scale: Tensor | None,
        shift: Tensor | None,
        dtype: torch.dtype,
    ) -> Tensor:
        check_crop(name, x, height, width, scale, shift, dtype)
        return _empty(x, height, width, dtype)

    def forward_cpu(
        x: Tensor, height: int, width: int, scale: Tensor | None, shift: Tensor | None, dtype: Any
    ) -> Tensor:
        cropped = forward_fake(x, height, width, scale, shift, dtype)
        forward_core(
            to_numpy(_four_dimensional(x)),
            to_numpy(_four_dimensional(cropped)),
            _numbers(scale),
            _numbers(shift),
            torch.get_num_threads(),
        )
        return cropped

    def backward_fake(
        grad: Tensor, height: int, width: int, scale: Tensor | None, dtype: torch.dtype
    ) -> Tensor:
        return _empty(grad, height, width, dtype)

    def backward_cpu(
        grad: Tensor, height: int, width: int, scale: Tensor | None, dtype: torch.dtype
    ) -> Tensor:
        grad_x = _empty(grad, height, width, dtype)
        backward_core(
            to_numpy(_four_dimensional(grad)),
            to_numpy(_four_dimensional(grad_x)),
            _numbers(scale),
            torch.get_num_threads(),
        )
        return grad_x

    def forward_other(
        x: Tensor, height: int, width: int, scale: Tensor | None, shift: Tensor | None, dtype: Any
    ) -> Tensor:
        check_crop(name, x, height, width, scale, shift, dtype)
        return formulas.crop(kind, x, height, width, scale, shift, dtype, adjoint=False)

    def backward_other(
        grad: Tensor, height: int, width: int, scale: Tensor | None, dtype: torch.dtype
    ) -> Tensor:
        return formulas.crop(kind, grad, height, width, scale, None, dtype, adjoint=True)

    def setup_forward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, _, _, ctx.scale, _, _ = inputs
        ctx.size, ctx.dtype = (x.shape[-2], x.shape[-1]), x.dtype

    def forward_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        op = getattr(torch.ops.ipse, f"{name}_backward")
        return op(grad, *ctx.size, ctx.scale, ctx.dtype), *[None] * 5

    def setup_backward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        grad, _, _, ctx.scale, _ = inputs
        ctx.size, ctx.dtype = (grad.shape[-2], grad.shape[-1]), grad.dtype

    def backward_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        op = getattr(torch.ops.ipse, name)
        return op(grad, *ctx.size, ctx.scale, None, ctx.dtype), *[None] * 4

    define(
        f"{name}(Tensor x, SymInt height, SymInt width, Tensor? scale, Tensor? shift,"
        " ScalarType dtype) -> Tensor",
        cpu=forward_cpu,
        other=forward_other,
        fake=forward_fake,
        setup_context=setup_forward,
        backward=forward_backward,
        autocast_float32=False,
    )
    define(
        f"{name}_backward(Tensor grad, SymInt height, SymInt width, Tensor? scale,"
        " ScalarType dtype) -> Tensor",
        cpu=backward_cpu,
        other=backward_other,
        fake=backward_fake,
        setup_context=setup_backward,
        backward=backward_backward,
        autocast_float32=False,
    )


KINDS = {"fourier_crop": "fourier", "lanczos_crop": "lanczos"}
for _name, _kind in KINDS.items():
    _register(_name, _kind)
