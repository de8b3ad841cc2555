"""Bands and styles as citizens of torch: opcheck, compile, autocast, other devices, bad input."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from ipse import _core
from ipse.functional import band_energy, band_pass, high_frequency, style_standardize
from ipse.ops._planes import is_wide
from tests.reference import styles as reference
from tests.style_cases import make_images

OPS = torch.ops.ipse


def planes(dtype: torch.dtype = torch.float64, count: int = 4) -> Tensor:
    return make_images(count, 5, 8, dtype)[:, 0]


def style(dtype: torch.dtype = torch.float64) -> Tensor:
    wide = torch.float64 if dtype is torch.float64 else torch.float32
    amplitude: Tensor = OPS.style_amplitude(planes(wide, 2).flip(0), 3, 4)
    return amplitude


# Operators with arguments; the tensors among the first are differentiable.
CASES: dict[str, tuple[Any, Callable[[torch.dtype], tuple[Any, ...]]]] = {
    "band_pass": (OPS.band_pass.default, lambda d: (planes(d), 1.0, 3.0, "disc")),
    "high_pass": (OPS.band_pass.default, lambda d: (planes(d), 2.0, math.inf, "square")),
    "band_energy": (OPS.band_energy.default, lambda d: (planes(d), 0.0, 3.0, "disc")),
    "style_amplitude": (OPS.style_amplitude.default, lambda d: (planes(d), 3, 2)),
    "whole amplitude": (OPS.style_amplitude.default, lambda d: (planes(d), 5, 5)),
    "style_standardize": (OPS.style_standardize.default, lambda d: (planes(d), style(d), 1e-8)),
    "style_amplitude_backward": (
        OPS.style_amplitude_backward.default,
        lambda d: (OPS.style_amplitude(planes(d), 3, 2), planes(d).flip(0)),
    ),
    "style_standardize_backward": (
        OPS.style_standardize_backward.default,
        lambda d: (planes(d).flip(0), planes(d), style(d), 1e-8, [True, True]),
    ),
    "style_standardize_backward of planes": (
        OPS.style_standardize_backward.default,
        lambda d: (planes(d).flip(0), planes(d), style(d), 1e-8, [True, False]),
    ),
}
each_case = pytest.mark.parametrize("case", CASES)


def with_gradient(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        a.detach().clone().requires_grad_() if isinstance(a, Tensor) else a for a in arguments
    )


@each_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_opcheck(case: str, dtype: torch.dtype) -> None:
    op, make = CASES[case]
    # The derivatives of a backward in 16 bits are the formulas', rounded elsewhere.
    arguments = make(dtype)
    torch.library.opcheck(op, with_gradient(arguments))
    spread = tuple(a.mT.contiguous().mT if isinstance(a, Tensor) else a for a in make(dtype))
    torch.library.opcheck(op, spread)


def _on_a_device_without_kernel(op: Any, *values: Any) -> Any:
    """Runs what the dispatcher would pick for a device that has no kernel of its own."""
    # As inside a dispatched call: autograd has had its turn and records nothing.
    with torch._C._AutoDispatchBelowAutograd():
        return op.redispatch(torch._C.DispatchKeySet(torch._C.DispatchKey.XLA), *values)


@each_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_devices_without_kernel(case: str, dtype: torch.dtype) -> None:
    op, make = CASES[case]
    native, plain = op(*make(dtype)), _on_a_device_without_kernel(op, *make(dtype))
    tolerance = {torch.float64: 1e-11, torch.float32: 1e-4, torch.bfloat16: 2e-2}[dtype]
    torch.testing.assert_close(plain, native, rtol=tolerance, atol=tolerance)


def objective(x: Tensor) -> Tensor:
    styled = style_standardize(x.sin(), 0.3, 1, clamp=(0.0, 1.0))
    parts = band_pass(styled, 0, 2) + high_frequency(2 * styled, 3)
    return parts.square().mean() + band_energy(x, 2).mean()


def test_compile_whole_graph_for_any_batch_size() -> None:
    """One graph, no break, no recompilation for a second batch."""
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(objective, backend=counter, fullgraph=True, dynamic=True)
    frames = []
    for count in (3, 5):
        eager, traced = (make_images(count, 8, 9).requires_grad_() for _ in range(2))
        assert torch.equal(objective(eager), compiled(traced))
        objective(eager).backward()
        compiled(traced).backward()
        assert torch.equal(eager.grad, traced.grad)
        frames.append(counter.frame_count)
    assert frames[0] == frames[1] > 0


def test_export() -> None:
    class Objective(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return objective(x)

    x = make_images(3, 8, 9)
    assert torch.equal(torch.export.export(Objective(), (x,)).module()(x), objective(x))


def test_autocast_computes_in_float32() -> None:
    x = make_images(3, 8, 9, torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = [band_pass(x, 0, 3), band_energy(x, 3), style_standardize(x, 0.3, 1)]
    wide = x.float()
    plain = [band_pass(wide, 0, 3), band_energy(wide, 3), style_standardize(wide, 0.3, 1)]
    for mine, wanted in zip(cast, plain, strict=True):
        assert mine.dtype == torch.float32
        assert torch.equal(mine, wanted)


def test_meta_tensors() -> None:
    x = make_images(3, 8, 9, torch.float16).to("meta").requires_grad_()
    styled = style_standardize(x, 0.3, 1)
    assert (styled.device.type, styled.shape, styled.dtype) == ("meta", x.shape, x.dtype)
    energy = band_energy(styled, 3)
    assert (energy.shape, energy.dtype) == ((3, 2), torch.float32)
    energy.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == x.shape


X = make_images(3, 8, 8, torch.float32)


@pytest.mark.parametrize(
    ("arguments", "keywords", "error", "message"),
    [
        ((X[0, 0], 0.3), {}, ValueError, r"x must be \(N, \.\.\., H, W\), got shape \(8, 8\)"),
        (
            (X[..., :0], 0.3),
            {},
            ValueError,
            r"images must have at least one row and one column, got shape \(3, 2, 8, 0\)",
        ),
        ((X, 1.5), {}, ValueError, r"ratio must be between 0 and 1, got 1\.5"),
        ((X, -0.1), {}, ValueError, r"ratio must be between 0 and 1, got -0\.1"),
        ((X, math.nan), {}, ValueError, "ratio must be between 0 and 1, got nan"),
        ((X, 0.3, 3), {}, ValueError, "style must be an index into a batch of 3, got 3"),
        ((X, 0.3, -4), {}, ValueError, "style must be an index into a batch of 3, got -4"),
        (
            (X, 0.3, torch.tensor([0, 1])),
            {},
            ValueError,
            r"style must be one index or one for each of 3 images, got shape \(2,\)",
        ),
        (
            (X, 0.3, torch.tensor([0, 1, 5])),
            {},
            ValueError,
            "styles must be indices into a batch of 3, got 0 to 5",
        ),
        (
            (X, 0.3, torch.rand(3)),
            {},
            TypeError,
            "style must be integer, got torch.float32",
        ),
        (
            (X, 0.3),
            {"amplitude": torch.ones(1, 2, 5, 5)},
            ValueError,
            r"amplitude must have shape \(1, 2, 5, 3\) or \(N, 2, 5, 3\) for N images, "
            r"got \(1, 2, 5, 5\)",
        ),
        (
            (X, 0.3),
            {"amplitude": torch.ones(1, 2, 5, 3).double()},
            TypeError,
            "amplitude must be torch.float32 for planes of torch.float32, got torch.float64",
        ),
        (
            (X, 0.3),
            {"amplitude": torch.ones(1, 2, 5, 3, device="meta")},
            ValueError,
            "x and amplitude must be on the same device, got cpu and meta",
        ),
        ((X, 0.3), {"clamp": (1, 0)}, ValueError, r"clamp must be \(least, most\), got \(1, 0\)"),
        ((X, 0.3), {"eps": -1.0}, ValueError, r"eps must be at least 0 and finite, got -1\.0"),
    ],
)
def test_message(
    arguments: tuple[Any, ...], keywords: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^style_standardize: {message}$"):
        style_standardize(*arguments, **keywords)


def test_images_that_are_not_real_numbers() -> None:
    for wrong in (X.int(), X.cfloat(), X.to_sparse()):
        with pytest.raises((TypeError, RuntimeError)):
            style_standardize(wrong, 0.3)


@pytest.mark.parametrize("size", [(301, 260), (224, 224)], ids=str)
def test_wide_windows_of_large_images(size: tuple[int, int]) -> None:
    """Left to torch.fft, with the same values and gradients."""
    x = make_images(2, *size)
    planes = x[:, 0]
    assert is_wide(planes, size[0] // 2 + 1, size[1] // 2 + 1)
    assert not is_wide(planes, 20, 20)
    wanted = reference.style_standardize(x, 1.0, 1)
    leaf = x.clone().requires_grad_()
    got = style_standardize(leaf, 1.0, 1)
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-10)
    torch.testing.assert_close(got[1], x[1], rtol=0, atol=1e-13)
    by_native = torch.autograd.grad(got.square().sum(), leaf)[0]
    plain = x.clone().requires_grad_()
    reference.style_standardize(plain, 1.0, 1).square().sum().backward()
    torch.testing.assert_close(by_native, plain.grad, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(
        band_pass(x, 80, 110), reference.band_pass(x, 80, 110), rtol=0, atol=1e-12
    )
    energy = x.square().sum((-2, -1))
    torch.testing.assert_close(band_energy(x, math.inf), energy, rtol=1e-12, atol=0)
    half = x.to(torch.bfloat16)
    assert style_standardize(half, 1.0, 1).dtype == torch.bfloat16
    assert style_standardize(half[:0], 1.0, 1).shape == half[:0].shape


@pytest.mark.parametrize(("rows", "columns"), [(2, 3), (0, 3), (9, 3), (5, 0), (5, 6)])
def test_windows_that_do_not_fit(rows: int, columns: int) -> None:
    message = f"1 to 5 columns, got {rows} x {columns}"
    with pytest.raises(ValueError, match=message):
        OPS.style_amplitude(X[0], rows, columns)


# The core: called with anything, it must answer with an exception

LINES = np.zeros((16, 8), np.float32)  # two planes
MASK = np.ones((3, 2))
STYLE = np.ones((1, 10), np.float32)  # 5 rows, 2 columns
OUT = np.empty((16, 8), np.float32)
FILTER: dict[str, Any] = {"planes": LINES, "height": 8, "mask": MASK, "keep": 0.0, "out": OUT}
ENERGY: dict[str, Any] = {
    "planes": LINES,
    "height": 8,
    "mask": MASK,
    "energy": np.empty((2, 1), np.float32),
}
WINDOW: dict[str, Any] = {"planes": LINES, "height": 8, "half_rows": 2, "half_columns": 1}
AMPLITUDE = WINDOW | {"amplitude": np.empty((2, 10), np.float32)}
AMPLITUDE_BACK = WINDOW | {"grad": np.ones((2, 10), np.float32), "grad_planes": OUT}
STANDARDIZE = WINDOW | {"amplitude": STYLE, "eps": 1e-8, "out": OUT}
BACK = WINDOW | {
    "grad": np.ones((16, 8), np.float32),
    "amplitude": STYLE,
    "eps": 1e-8,
    "grad_planes": OUT,
    "grad_amplitude": np.empty((2, 10), np.float32),
}
GOOD = {
    "band_filter": FILTER,
    "band_energy": ENERGY,
    "style_amplitude_forward": AMPLITUDE,
    "style_amplitude_backward": AMPLITUDE_BACK,
    "style_standardize_forward": STANDARDIZE,
    "style_standardize_backward": BACK,
}
EVERYWHERE: list[tuple[dict[str, Any], str]] = [
    ({"planes": LINES[0]}, "planes must have 2 dimensions, got 1"),
    ({"planes": LINES[:, :0]}, "planes must have at least one row and one column"),
    ({"height": 0}, "planes must have at least one row and one column, got height 0"),
    ({"height": 7}, "planes must have a multiple of height rows, got 16 rows and height 7"),
    ({"num_threads": -1}, "num_threads must be at least 0"),
]
WINDOWS: list[tuple[dict[str, Any], str]] = [
    ({"half_rows": 5}, "the window must lie within the spectrum, got half sides 5 and 1"),
    ({"half_columns": -1}, "the window must lie within the spectrum, got half sides 2 and -1"),
]
OWN: list[tuple[str, dict[str, Any], str]] = [
    ("band_filter", {"mask": np.ones((6, 2))}, "the window must lie within the spectrum"),
    ("band_filter", {"mask": np.ones((0, 2))}, "the window must lie within the spectrum"),
    ("band_filter", {"mask": MASK.astype(np.float32)}, "mask must be float64, got float32"),
    ("band_filter", {"out": LINES}, "out must not overlap planes"),
    ("band_filter", {"out": OUT[:8]}, r"out must have shape \(16, 8\), got \(8, 8\)"),
    ("band_energy", {"energy": np.empty((2, 1))}, "energy must be float32, got float64"),
    ("band_energy", {"energy": OUT}, r"energy must have shape \(2, 1\), got \(16, 8\)"),
    ("style_amplitude_forward", {"amplitude": STYLE}, r"amplitude must have shape \(2, 10\)"),
    ("style_amplitude_backward", {"grad": STYLE}, r"grad must have shape \(2, 10\)"),
    ("style_standardize_forward", {"amplitude": np.ones((3, 10), np.float32)}, "amplitude must"),
    ("style_standardize_forward", {"amplitude": np.ones((1, 9), np.float32)}, "amplitude must"),
    ("style_standardize_forward", {"eps": math.nan}, "eps must be at least 0 and finite, got nan"),
    (
        "style_standardize_forward",
        {"amplitude": np.ones((1, 20), np.float32)[:, ::2]},
        "amplitude must have adjacent values in its rows",
    ),
    ("style_standardize_backward", {"grad": LINES[:8]}, r"grad must have shape \(16, 8\)"),
    ("style_standardize_backward", {"grad": LINES.astype(np.float64)}, "grad must be float32"),
    ("style_standardize_backward", {"grad_planes": LINES}, "grad_planes must not overlap planes"),
    ("style_standardize_backward", {"grad_amplitude": STYLE}, "grad_amplitude must have shape"),
]
CORE_CASES = [
    *[(name, change, text) for name in GOOD for change, text in EVERYWHERE],
    *[(name, change, text) for name in list(GOOD)[2:] for change, text in WINDOWS],
    *OWN,
]


@pytest.mark.parametrize(("function", "change", "message"), CORE_CASES)
def test_core_message(function: str, change: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^{function}: {message}"):
        getattr(_core, function)(**GOOD[function] | change)


@pytest.mark.parametrize("function", GOOD)
def test_core_accepts_the_good_arguments(function: str) -> None:
    getattr(_core, function)(**GOOD[function])


def test_sizes_that_cannot_be() -> None:
    """Refused by name or for want of memory, never attempted."""
    lines = np.lib.stride_tricks.as_strided(LINES, (2**40, 2**20), (0, 0), writeable=False)
    with pytest.raises((ValueError, MemoryError), match=r"overflow|alloc|must have shape"):
        _core.band_energy(lines, 2**40, MASK, np.empty((1, 1), np.float32))
