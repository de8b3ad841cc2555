"""``torch.ops.ipse.style_amplitude`` and ``style_standardize`` of planes (P, H, W).

Their gradients have kernels, and are differentiable through the plain formulas. Nothing is kept
for a backward but the inputs.
"""

from typing import Any

import torch
from torch import Tensor

from ipse import _core
from ipse.ops import style_formulas as formulas
from ipse.ops._planes import check_planes, is_wide, like, lines_of
from ipse.ops._registry import COMPUTE_DTYPES, define, differentiate, to_numpy

# Amplitudes


def check_window(function: str, planes: Tensor, rows: int, columns: int) -> None:
    """Raises ValueError unless (rows, columns) is a symmetric window of the half plane."""
    height, width = planes.shape[1:]
    odd = rows % 2 == 1 and 1 <= rows <= height
    if not (odd or rows == height) or not 1 <= columns <= width // 2 + 1:
        raise ValueError(
            f"{function}: the window must have an odd number of rows up to {height}, or all, and "
            f"1 to {width // 2 + 1} columns, got {rows} x {columns}"
        )


def _amplitude_fake(x: Tensor, rows: int, columns: int) -> Tensor:
    check_planes("style_amplitude", "x", x)
    check_window("style_amplitude", x, rows, columns)
    return x.new_empty((x.shape[0], rows, columns), dtype=COMPUTE_DTYPES[x.dtype])


def _window(planes: Tensor, rows: int, columns: int) -> tuple[Any, int, int, int]:
    """Planes and window as the core takes them."""
    return lines_of(planes), planes.shape[1], rows // 2, columns - 1


def _flat(amplitude: Tensor) -> Any:
    """One line of amplitudes for each plane."""
    return to_numpy(amplitude.contiguous().flatten(1))


def _amplitude_cpu(x: Tensor, rows: int, columns: int) -> Tensor:
    amplitude = _amplitude_fake(x, rows, columns)
    if is_wide(x, rows // 2 + 1, columns):
        return formulas.style_amplitude(x, rows, columns)
    _core.style_amplitude_forward(
        *_window(x, rows, columns), _flat(amplitude), torch.get_num_threads()
    )
    return amplitude


def _amplitude_other(x: Tensor, rows: int, columns: int) -> Tensor:
    _amplitude_fake(x, rows, columns)
    return formulas.style_amplitude(x, rows, columns)


def _setup_amplitude(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0])


def _amplitude_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    return torch.ops.ipse.style_amplitude_backward(grad, *ctx.saved_tensors), None, None


define(
    "style_amplitude(Tensor x, int rows, int columns) -> Tensor",
    cpu=_amplitude_cpu,
    other=_amplitude_other,
    fake=_amplitude_fake,
    setup_context=_setup_amplitude,
    backward=_amplitude_backward,
)


def _amplitude_backward_cpu(grad: Tensor, x: Tensor) -> Tensor:
    if is_wide(x, grad.shape[1] // 2 + 1, grad.shape[2]):
        return formulas.style_amplitude_gradient(grad, x)
    grad_x = like(x)
    window = _window(x, *grad.shape[1:])
    _core.style_amplitude_backward(*window, _flat(grad), lines_of(grad_x), torch.get_num_threads())
    return grad_x


def _setup_amplitude_backward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _amplitude_backward_backward(ctx: Any, again: Tensor) -> tuple[Any, ...]:
    return tuple(differentiate(formulas.style_amplitude_gradient, ctx.saved_tensors, [again]))


define(
    "style_amplitude_backward(Tensor grad, Tensor x) -> Tensor",
    cpu=_amplitude_backward_cpu,
    other=formulas.style_amplitude_gradient,
    fake=lambda grad, x: like(x),
    setup_context=_setup_amplitude_backward,
    backward=_amplitude_backward_backward,
    autocast_float32=False,
)


# Styles


def _check_style(x: Tensor, amplitude: Tensor, eps: float) -> None:
    name = "style_standardize"
    check_planes(name, "x", x)
    if amplitude.dim() != 3:
        shape = tuple(amplitude.shape)
        raise ValueError(f"{name}: amplitude must be (M, rows, columns), got shape {shape}")
    check_window(name, x, *amplitude.shape[1:])
    if amplitude.dtype != COMPUTE_DTYPES[x.dtype]:
        raise TypeError(
            f"{name}: amplitude must be {COMPUTE_DTYPES[x.dtype]} for planes of {x.dtype}, "
            f"got {amplitude.dtype}"
        )
    if amplitude.device != x.device:
        raise ValueError(
            f"{name}: x and amplitude must be on the same device, "
            f"got {x.device} and {amplitude.device}"
        )
    if amplitude.shape[0] < 1 or x.shape[0] % amplitude.shape[0] != 0:
        raise ValueError(
            f"{name}: the number of amplitudes must divide that of planes, "
            f"got {amplitude.shape[0]} and {x.shape[0]}"
        )
    if not (eps >= 0 and eps < float("inf")):
        raise ValueError(f"{name}: eps must be at least 0 and finite, got {eps}")


def _standardize_fake(x: Tensor, amplitude: Tensor, eps: float) -> Tensor:
    _check_style(x, amplitude, eps)
    return like(x)


def _standardize_cpu(x: Tensor, amplitude: Tensor, eps: float) -> Tensor:
    out = _standardize_fake(x, amplitude, eps)
    if is_wide(x, amplitude.shape[1] // 2 + 1, amplitude.shape[2]):
        return formulas.style_standardize(x, amplitude, eps)
    _core.style_standardize_forward(
        *_window(x, *amplitude.shape[1:]),
        _flat(amplitude),
        eps,
        lines_of(out),
        torch.get_num_threads(),
    )
    return out


def _standardize_other(x: Tensor, amplitude: Tensor, eps: float) -> Tensor:
    _check_style(x, amplitude, eps)
    return formulas.style_standardize(x, amplitude, eps)


def _setup_standardize(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, amplitude, ctx.eps = inputs
    ctx.save_for_backward(x, amplitude)


def _standardize_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    wanted = list(ctx.needs_input_grad[:2])
    op = torch.ops.ipse.style_standardize_backward
    grads = op(grad, *ctx.saved_tensors, ctx.eps, wanted)
    return *(g if want else None for g, want in zip(grads, wanted, strict=True)), None


define(
    "style_standardize(Tensor x, Tensor amplitude, float eps) -> Tensor",
    cpu=_standardize_cpu,
    other=_standardize_other,
    fake=_standardize_fake,
    setup_context=_setup_standardize,
    backward=_standardize_backward,
)


def _empty_grads(x: Tensor, amplitude: Tensor, wanted: list[bool]) -> tuple[Tensor, Tensor]:
    """Room for the gradients; empty where one is not wanted."""
    return (
        like(x) if wanted[0] else x.new_empty(0),
        amplitude.new_empty(amplitude.shape) if wanted[1] else amplitude.new_empty(0),
    )


def _standardize_backward_cpu(
    grad: Tensor, x: Tensor, amplitude: Tensor, eps: float, wanted: list[bool]
) -> tuple[Tensor, Tensor]:
    if is_wide(x, amplitude.shape[1] // 2 + 1, amplitude.shape[2]):
        return _standardize_backward_other(grad, x, amplitude, eps, wanted)
    by_x, by_amplitude = _empty_grads(x, amplitude, wanted)
    each = amplitude.new_empty((x.shape[0], *amplitude.shape[1:])) if wanted[1] else None
    _core.style_standardize_backward(
        lines_of(grad),
        *_window(x, *amplitude.shape[1:]),
        _flat(amplitude),
        eps,
        lines_of(by_x) if wanted[0] else None,
        None if each is None else _flat(each),
        torch.get_num_threads(),
    )
    if each is not None:
        # One image after the other, always: the same bits every time.
        by_amplitude = each.view(-1, *amplitude.shape).sum(0)
    return by_x, by_amplitude


def _standardize_backward_other(
    grad: Tensor, x: Tensor, amplitude: Tensor, eps: float, wanted: list[bool]
) -> tuple[Tensor, Tensor]:
    grads = formulas.style_standardize_gradient(grad, x, amplitude, eps)
    empty = _empty_grads(x, amplitude, [False, False])
    by_x, by_amplitude = (
        g if want else none for g, want, none in zip(grads, wanted, empty, strict=True)
    )
    return by_x, by_amplitude


def _setup_standardize_backward(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    *tensors, ctx.eps, ctx.wanted = inputs
    ctx.save_for_backward(*tensors)


def _standardize_backward_backward(
    ctx: Any, by_x: Tensor | None, by_amplitude: Tensor | None
) -> tuple[Any, ...]:
    def gradient(grad: Tensor, x: Tensor, amplitude: Tensor) -> tuple[Tensor, Tensor]:
        return formulas.style_standardize_gradient(grad, x, amplitude, ctx.eps)

    again = [g if want else None for g, want in zip((by_x, by_amplitude), ctx.wanted, strict=True)]
    return *differentiate(gradient, ctx.saved_tensors, again), None, None


define(
    "style_standardize_backward(Tensor grad, Tensor x, Tensor amplitude, float eps, bool[] wanted)"
    " -> (Tensor, Tensor)",
    cpu=_standardize_backward_cpu,
    other=_standardize_backward_other,
    fake=lambda grad, x, amplitude, eps, wanted: _empty_grads(x, amplitude, wanted),
    setup_context=_setup_standardize_backward,
    backward=_standardize_backward_backward,
    autocast_float32=False,
)
