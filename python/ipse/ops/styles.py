"""``torch.ops.ipse.band_pass``, ``band_energy``, ``style_amplitude``, ``style_standardize``.

All four take planes (P, H, W) and look at a window of low frequencies only. ``band_pass`` is
linear and its own transpose, so its derivatives are itself; ``band_energy`` differentiates
through it. The gradients of the style operators have kernels, and are differentiable through
the plain formulas. Nothing is kept for a backward but the inputs.
"""

from typing import Any

import torch
from torch import Tensor

from ipse import _core
from ipse.ops import style_formulas as formulas
from ipse.ops._bands import SHAPES, Band, find_band, find_window
from ipse.ops._registry import COMPUTE_DTYPES, define, differentiate, to_numpy

# What each op calls in the core.
CORE_FUNCTIONS = {"band_pass": ("band_filter",), "band_energy": ("band_energy",)}


def check_planes(function: str, argument: str, planes: Tensor) -> None:
    """Raises TypeError or ValueError unless ``planes`` is a dense float tensor (P, H, W)."""
    if planes.dtype not in COMPUTE_DTYPES:
        allowed = "float32, float64, bfloat16 or float16"
        raise TypeError(f"{function}: {argument} must be {allowed}, got {planes.dtype}")
    if planes.layout is not torch.strided:
        raise TypeError(f"{function}: {argument} must be a dense tensor, got {planes.layout}")
    if planes.dim() != 3:
        raise ValueError(
            f"{function}: {argument} must be (P, H, W), got shape {tuple(planes.shape)}"
        )
    if planes.shape[1] < 1 or planes.shape[2] < 1:
        raise ValueError(
            f"{function}: {argument} must have at least one row and one column, "
            f"got shape {tuple(planes.shape)}"
        )


def _lines(planes: Tensor) -> Any:
    """The planes' rows one below the other, as the core takes them."""
    return to_numpy(planes.contiguous().view(-1, planes.shape[-1]))


# Bands


def check_band(function: str, low: float, high: float, shape: str) -> None:
    """Raises ValueError unless ``0 <= low <= high`` and the shape is known."""
    if shape not in SHAPES:
        allowed = " or ".join(map(repr, SHAPES))
        raise ValueError(f"{function}: shape must be {allowed}, got {shape!r}")
    if not 0 <= low <= high:
        raise ValueError(f"{function}: needs 0 <= low <= high, got {low} and {high}")


def _mask(band: Band, like: Tensor) -> Tensor:
    return torch.from_numpy(band.mask.copy()).to(like.device)


def _band_pass_fake(x: Tensor, low: float, high: float, shape: str) -> Tensor:
    check_planes("band_pass", "x", x)
    check_band("band_pass", low, high, shape)
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _band_pass_cpu(x: Tensor, low: float, high: float, shape: str) -> Tensor:
    out = _band_pass_fake(x, low, high, shape)
    height, width = x.shape[1:]
    band = find_band(height, width, low, high, shape)
    _core.band_filter(_lines(x), height, band.mask, band.keep, _lines(out), torch.get_num_threads())
    return out


def _band_pass_other(x: Tensor, low: float, high: float, shape: str) -> Tensor:
    check_planes("band_pass", "x", x)
    check_band("band_pass", low, high, shape)
    band = find_band(*x.shape[1:], low, high, shape)
    return formulas.band_pass(x, _mask(band, x), band.keep)


def _setup_band_pass(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.band = inputs[1:]


def _band_pass_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    return torch.ops.ipse.band_pass(grad, *ctx.band), None, None, None


define(
    "band_pass(Tensor x, float low, float high, str shape) -> Tensor",
    cpu=_band_pass_cpu,
    other=_band_pass_other,
    fake=_band_pass_fake,
    setup_context=_setup_band_pass,
    backward=_band_pass_backward,
)


def _band_energy_fake(x: Tensor, low: float, high: float, shape: str) -> Tensor:
    check_planes("band_energy", "x", x)
    check_band("band_energy", low, high, shape)
    return x.new_empty(x.shape[:1], dtype=COMPUTE_DTYPES[x.dtype])


def _band_energy_cpu(x: Tensor, low: float, high: float, shape: str) -> Tensor:
    energy = _band_energy_fake(x, low, high, shape)
    height, width = x.shape[1:]
    mask = find_window(height, width, low, high, shape).mask
    _core.band_energy(
        _lines(x), height, mask, to_numpy(energy.view(-1, 1)), torch.get_num_threads()
    )
    return energy


def _band_energy_other(x: Tensor, low: float, high: float, shape: str) -> Tensor:
    check_planes("band_energy", "x", x)
    check_band("band_energy", low, high, shape)
    band = find_window(*x.shape[1:], low, high, shape)
    return formulas.band_energy(x, _mask(band, x))


def _setup_band_energy(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, *ctx.band = inputs
    ctx.save_for_backward(x)


def _band_energy_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    (x,) = ctx.saved_tensors
    low_pass = torch.ops.ipse.band_pass(x, *ctx.band)
    return (2 * grad[:, None, None] * low_pass).to(x.dtype), None, None, None


define(
    "band_energy(Tensor x, float low, float high, str shape) -> Tensor",
    cpu=_band_energy_cpu,
    other=_band_energy_other,
    fake=_band_energy_fake,
    setup_context=_setup_band_energy,
    backward=_band_energy_backward,
)


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
    return _lines(planes), planes.shape[1], rows // 2, columns - 1


def _flat(amplitude: Tensor) -> Any:
    """One line of amplitudes for each plane."""
    return to_numpy(amplitude.contiguous().flatten(1))


def _amplitude_cpu(x: Tensor, rows: int, columns: int) -> Tensor:
    amplitude = _amplitude_fake(x, rows, columns)
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


def _like(x: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _amplitude_backward_cpu(grad: Tensor, x: Tensor) -> Tensor:
    grad_x = _like(x)
    window = _window(x, *grad.shape[1:])
    _core.style_amplitude_backward(*window, _flat(grad), _lines(grad_x), torch.get_num_threads())
    return grad_x


def _setup_amplitude_backward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _amplitude_backward_backward(ctx: Any, again: Tensor) -> tuple[Any, ...]:
    return tuple(differentiate(formulas.style_amplitude_gradient, ctx.saved_tensors, [again]))


define(
    "style_amplitude_backward(Tensor grad, Tensor x) -> Tensor",
    cpu=_amplitude_backward_cpu,
    other=formulas.style_amplitude_gradient,
    fake=lambda grad, x: _like(x),
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
    return _like(x)


def _standardize_cpu(x: Tensor, amplitude: Tensor, eps: float) -> Tensor:
    out = _standardize_fake(x, amplitude, eps)
    _core.style_standardize_forward(
        *_window(x, *amplitude.shape[1:]),
        _flat(amplitude),
        eps,
        _lines(out),
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
        _like(x) if wanted[0] else x.new_empty(0),
        amplitude.new_empty(amplitude.shape) if wanted[1] else amplitude.new_empty(0),
    )


def _standardize_backward_cpu(
    grad: Tensor, x: Tensor, amplitude: Tensor, eps: float, wanted: list[bool]
) -> tuple[Tensor, Tensor]:
    by_x, by_amplitude = _empty_grads(x, amplitude, wanted)
    each = amplitude.new_empty((x.shape[0], *amplitude.shape[1:])) if wanted[1] else None
    _core.style_standardize_backward(
        _lines(grad),
        *_window(x, *amplitude.shape[1:]),
        _flat(amplitude),
        eps,
        _lines(by_x) if wanted[0] else None,
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
