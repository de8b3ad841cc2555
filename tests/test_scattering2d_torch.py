"""The scattering transform as a citizen of torch and of NumPy: derivatives, compile, the core."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ipse import _core
from ipse.functional import scattering2d
from ipse.ops import scattering as operators
from ipse.ops.scattering_filters import filter_bank
from tests.test_scattering2d import make_planes

SMALL = [((2, 4, 4), 1, 2, 1), ((1, 4, 8), 2, 2, 2), ((1, 2, 4, 4), 2, 3, 2)]


@pytest.mark.parametrize(("shape", "scales", "angles", "order"), SMALL, ids=str)
def test_gradcheck(shape: tuple[int, ...], scales: int, angles: int, order: int) -> None:
    x = make_planes(*shape, dtype=torch.float64).requires_grad_()
    function = lambda x: scattering2d(x, scales, angles, order)  # noqa: E731
    assert torch.autograd.gradcheck(function, x)
    assert torch.autograd.gradgradcheck(function, x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_gradient_in_other_dtypes(dtype: torch.dtype) -> None:
    x = make_planes(9, 12, 16, dtype=dtype)
    weights = make_planes(9, 25, 3, 4)

    def gradient(x: Tensor) -> Tensor:
        leaf = x.detach().requires_grad_()
        out = scattering2d(leaf, 2, 4)
        (out * weights.to(out.dtype)).sum().backward()
        assert leaf.grad is not None
        return leaf.grad

    mine, wanted = gradient(x), gradient(x.double())
    assert mine.dtype == dtype
    unit = torch.finfo(dtype).eps if dtype is not torch.float32 else 1e-5
    assert (mine.double() - wanted).abs().max() <= unit * wanted.abs().max()


def test_gradient_is_finite_where_the_modulus_is_zero() -> None:
    x = torch.zeros(1, 8, 8, requires_grad=True)
    scattering2d(x, 2, 4).sum().backward()
    assert x.grad is not None
    # what is left is the gradient of S0
    s0 = torch.zeros(1, 8, 8, requires_grad=True)
    scattering2d(s0, 2, 4)[:, 0].sum().backward()
    torch.testing.assert_close(x.grad, s0.grad)


def test_gradient_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    def gradient() -> Tensor:
        x = make_planes(7, 8, 8).requires_grad_()
        scattering2d(x, 1, 4).square().sum().backward()
        assert x.grad is not None
        return x.grad

    whole = gradient()
    monkeypatch.setattr(operators, "GRADIENT_BLOCK", 2 * 12 * 12)
    torch.testing.assert_close(gradient(), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("tracked", [False, True])
def test_opcheck(tracked: bool) -> None:
    x = make_planes(3, 8, 12, dtype=torch.float64)
    for planes in (x, x.mT.contiguous().mT, x[:1].expand(3, 8, 12)):
        leaf = planes.detach().requires_grad_(tracked)
        torch.library.opcheck(torch.ops.ipse.scattering2d.default, (leaf, 2, 3, 2))
    grad = make_planes(3, 16, 2, 3, dtype=torch.float64).requires_grad_(tracked)
    arguments = (grad, x.requires_grad_(tracked), 2, 3, 2)
    torch.library.opcheck(torch.ops.ipse.scattering2d_backward.default, arguments)


def test_compile_whole_graph() -> None:
    def objective(x: Tensor) -> Tensor:
        return scattering2d(2 * x, 2, 4).square().mean()

    compiled = torch.compile(objective, backend="aot_eager", fullgraph=True)
    results = []
    for function in (objective, compiled):
        x = make_planes(2, 3, 8, 8).requires_grad_()
        value = function(x)
        value.backward()
        results.append((value.detach(), x.grad))
    assert torch.equal(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1])


def test_autocast_computes_in_float32() -> None:
    x = make_planes(2, 8, 8, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = scattering2d(x, 2, 4)
    assert torch.equal(cast, scattering2d(x, 2, 4))


def test_filters_are_kept_within_a_bound() -> None:
    filter_bank.cache_clear()
    for width in range(4, 64, 4):
        scattering2d(torch.zeros(1, 4, width), 1, 2)
        scattering2d(torch.ones(1, 4, width), 1, 2)
    info = filter_bank.cache_info()
    assert info.hits == info.misses == 15
    assert info.currsize == info.maxsize == 8


# The core, from NumPy


def core_arguments(planes: int = 3, dtype: type = np.float32) -> dict[str, object]:
    bank = filter_bank(8, 12, 2, 3)
    return {
        "planes": np.random.default_rng(0).standard_normal((planes, 8, 12)).astype(dtype),
        "scales": 2,
        "angles": 3,
        "order": 2,
        "wavelets": bank.wavelets,
        "lowpass_rows": np.concatenate(bank.lowpass_rows),
        "lowpass_cols": np.concatenate(bank.lowpass_cols),
        "out": np.empty((planes * 16, 6), np.float64 if dtype is np.float64 else np.float32),
    }


def test_core_takes_views_that_run_backwards() -> None:
    arguments = core_arguments()
    _core.scattering2d_forward(**arguments)
    wanted = arguments["out"].copy()
    planes = arguments["planes"]
    arguments["planes"] = planes[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1]
    _core.scattering2d_forward(**arguments)
    assert np.array_equal(arguments["out"], wanted)
    assert np.abs(wanted).max() > 0.1


NO_PLANES = np.zeros((2, 8, 12), np.float32)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"planes": NO_PLANES[0]}, ValueError, "planes must have 3 dimensions, got 2"),
        ({"planes": NO_PLANES.astype(int)}, TypeError, "planes must be float32, float64"),
        ({"planes": NO_PLANES[:, :7]}, ValueError, "planes must have sides that are multiples"),
        ({"planes": NO_PLANES[:, :0]}, ValueError, "planes must have sides that are multiples"),
        ({"planes": NO_PLANES[:, :4]}, ValueError, "wavelets must be 1440 float64 values"),
        ({"planes": NO_PLANES}, ValueError, r"out must be float32 of shape \(32, 6\)"),
        ({"scales": 0}, ValueError, "scales must be from 1 to 24, got 0"),
        ({"angles": 0}, ValueError, "angles must be from 1 to 1024, got 0"),
        ({"order": 3}, ValueError, "order must be from 1 to 2, got 3"),
        ({"wavelets": np.full((2, 3, 16, 20), np.nan)}, ValueError, "wavelets must be finite"),
        ({"lowpass_rows": np.zeros(3)}, ValueError, "lowpass_rows must be 24 float64 values"),
        ({"lowpass_cols": np.zeros(30, np.float32)}, ValueError, "lowpass_cols must be 30"),
        ({"out": np.empty((48, 6))}, ValueError, "out must be float32 of shape"),
        ({"num_threads": -1}, ValueError, "num_threads must be at least 0"),
    ],
    ids=str,
)
def test_core_message(changes: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^scattering2d_forward: {message}"):
        _core.scattering2d_forward(**core_arguments() | changes)


def test_core_refuses_a_result_on_top_of_its_input() -> None:
    room = np.zeros(3 * 16 * 6, np.float32)
    arguments = core_arguments() | {
        "planes": room.reshape(3, 8, 12),
        "out": room.reshape(48, 6),
    }
    with pytest.raises(ValueError, match="out must not overlap planes"):
        _core.scattering2d_forward(**arguments)
