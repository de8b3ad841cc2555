"""mass_topk_mask, mass_curve and uniform_topk_mask against exact arithmetic, bit for bit."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from ipse import _core, functional
from ipse.functional import mass_curve, mass_topk_mask, uniform_topk_mask
from tests.mask_cases import CHANNELS, DTYPES, KINDS, MASSES, responses, rows_of_any
from tests.reference import pruning_masks as reference

OPS = torch.ops.ipse
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "mass_topk_mask": lambda x: mass_topk_mask(x, 0.7),
    "mass_curve": lambda x: (mass_curve(x, [0.3, 0.7, 1.0]),),
    "uniform_topk_mask": lambda x: uniform_topk_mask(x, 0.4),
}
every_function = pytest.mark.parametrize("function", FUNCTIONS)


def assert_same(got: Any, wanted: Any) -> None:
    for mine, exact in zip(got, wanted, strict=True):
        assert torch.equal(mine, exact)


def check_row(x: Tensor, mass: float, keep_at_least: int) -> None:
    keep = {"keep_at_least": keep_at_least}
    assert_same(mass_topk_mask(x, mass, **keep), reference.mass_topk_mask(x, mass, **keep))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", CHANNELS)
def test_masks_equal_exact_arithmetic(kind: str, channels: int) -> None:
    few = channels > 500
    for dtype in DTYPES[: 2 if few else 4]:
        x = responses(kind, 1 if few else 3, channels).to(dtype)
        for keep in {0, 1, channels // 2, channels} if not few else {0, channels // 2}:
            for mass in MASSES:
                check_row(x, mass, keep)
            grid = [0.5, *reversed(MASSES), 0.2]
            got = mass_curve(x, grid, keep_at_least=keep)
            assert torch.equal(got, reference.mass_curve(x, grid, keep))
            for drop in (0.0, 0.3, 1.0):
                got = uniform_topk_mask(x, drop, keep_at_least=keep)
                assert_same(got, reference.uniform_topk_mask(x, drop, keep))


@given(rows_of_any, st.floats(0, 1, exclude_min=True), st.integers(0, 3), st.booleans())
@example([[0.5, 0.3, 0.15, 0.05]], 0.8, 0, True)
@example([[2.0**-149] * 3], 0.5, 1, False)
@example([[5e-324, 0.0]], 0.5, 0, True)
def test_masks_of_any_rows(rows: list[list[float]], mass: float, keep: int, wide: bool) -> None:
    x = torch.tensor(rows, dtype=torch.float64 if wide else torch.float32)
    keep = min(keep, x.shape[1])
    check_row(x, mass, keep)
    grid = [mass, 0.4, 1.0, -2.0]
    assert torch.equal(mass_curve(x, grid), reference.mass_curve(x, grid))
    assert_same(uniform_topk_mask(x, mass), reference.uniform_topk_mask(x, mass))


@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1e300], ids=str)
def test_rows_at_the_ends_of_float64(scale: float) -> None:
    x = responses("uniform", 3, 70) * scale
    for mass in MASSES:
        check_row(x, mass, 1)


@pytest.mark.parametrize("mass", [0.05, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["uniform", "activations", "dominated", "many octaves"])
def test_same_as_the_released_code(kind: str, mass: float) -> None:
    """Wherever its rounded, normalised sums do not come within 1e-9 of the limit."""
    x = responses(kind, 64, 300, seed=1)
    mask, nearest = reference.published_mask(x, mass)
    clear = nearest > 1e-9
    assert clear.sum() > 60
    assert torch.equal(mass_topk_mask(x, mass).mask[clear], mask[clear])


@pytest.mark.parametrize(("mass", "kept"), [(0.8, 2), (0.79, 1), (0.96, 3), (0.4, 0), (1.0, 4)])
def test_examples_of_the_paper_card(mass: float, kept: int) -> None:
    result = mass_topk_mask(torch.tensor([[0.05, 0.5, 0.15, 0.3]]), mass)
    assert result.counts.item() == kept
    order = torch.tensor([1, 3, 2, 0])
    assert result.mask[0, order].tolist() == [rank < kept for rank in range(4)]


def test_rows_without_mass_and_ties() -> None:
    zeros = torch.zeros(2, 5)
    assert mass_topk_mask(zeros, 0.9).counts.tolist() == [0, 0]
    assert mass_topk_mask(zeros, 1.0).counts.tolist() == [0, 0]
    assert mass_topk_mask(zeros, -1.0).mask.all()
    assert mass_topk_mask(zeros, 0.9, keep_at_least=2).mask[0].tolist() == [1, 1, 0, 0, 0]
    assert mass_topk_mask(-zeros, 0.9, keep_at_least=1).counts.tolist() == [1, 1]  # -0 is 0
    equal = torch.full((1, 100), 3.0)
    assert mass_topk_mask(equal, 0.37).mask[0].nonzero().flatten().tolist() == list(range(37))
    assert uniform_topk_mask(equal, 0.25).mask[0].tolist() == [True] * 75 + [False] * 25


@every_function
def test_layouts_threads_and_empty(function: str, restored_threads: None) -> None:
    call = FUNCTIONS[function]
    x = responses("activations", 700, 96).float()
    wanted = call(x)
    spread = torch.zeros(1400, 288)[::2, ::3].copy_(x)
    for same in (x.T.contiguous().T, spread, x.flip(1).flip(1)):
        assert_same(call(same), wanted)
    assert_same(call(x[:1].expand(3, -1)), call(x[[0, 0, 0]]))
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        assert_same(call(x), wanted)
    for result in call(x[:0]):
        assert len(result) == 0
    assert mass_curve(x, []).shape == (700, 0)
    assert torch.equal(mass_curve(x, torch.tensor([0.5])), mass_curve(x, [0.5]))


@every_function
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_responses_that_are_refused(function: str, value: float, dtype: torch.dtype) -> None:
    x = responses("uniform", 500, 300).to(dtype)
    x[333, 7] = x[444, 0] = value
    message = f"{function}: response must be finite and at least 0, got .* in row 333"
    with pytest.raises(ValueError, match=message):
        FUNCTIONS[function](x)
    op, arguments = CASES[function]
    with pytest.raises(ValueError, match=message):
        without_kernel(op, x, *arguments)


# As citizens of torch

CASES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "mass_topk_mask": (OPS.mass_topk_mask.default, (0.7, 1)),
    "mass_topk_mask of all": (OPS.mass_topk_mask.default, (-1.0, 0)),
    "mass_topk_mask at 1": (OPS.mass_topk_mask.default, (1.0, 0)),
    "mass_curve": (OPS.mass_curve.default, ([0.1, 0.7, 1.0, -1.0], 2)),
    "mass_curve of none": (OPS.mass_curve.default, ([], 0)),
    "uniform_topk_mask": (OPS.uniform_topk_mask.default, (0.4, 1)),
}


def without_kernel(op: Any, *values: Any) -> Any:
    """Runs what the dispatcher would pick for a device that has no kernel of its own."""
    with torch._C._AutoDispatchBelowAutograd():
        return op.redispatch(torch._C.DispatchKeySet(torch._C.DispatchKey.XLA), *values)


each_case = pytest.mark.parametrize("case", CASES)


@each_case
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_opcheck_and_devices_without_kernel(case: str, dtype: torch.dtype) -> None:
    op, arguments = CASES[case]
    x = responses("ties", 5, 40).to(dtype)
    torch.library.opcheck(op, (x, *arguments))
    torch.library.opcheck(op, (x.clone().requires_grad_(), *arguments))
    native = op(x, *arguments)
    plain = without_kernel(op, x, *arguments)
    if isinstance(native, Tensor):
        native, plain = (native,), (plain,)
    assert_same(native, plain)


def test_no_gradient() -> None:
    x = responses("uniform", 3, 8).requires_grad_()
    for function in FUNCTIONS.values():
        assert not any(result.requires_grad for result in function(x))


def test_compile_and_autocast() -> None:
    def everything(x: Tensor) -> tuple[Tensor, ...]:
        first = mass_topk_mask(x.abs(), 0.8, keep_at_least=1)
        return (*first, mass_curve(x.abs(), [0.5, 1.0]), *uniform_topk_mask(x.abs(), 0.5))

    compiled = torch.compile(everything, backend="aot_eager", fullgraph=True, dynamic=True)
    for rows in (3, 6):
        x = responses("activations", rows, 30)
        assert_same(compiled(x), everything(x))
    x = responses("activations", 3, 30).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_same(mass_topk_mask(x, 0.8), mass_topk_mask(x, 0.8))
    meta = mass_topk_mask(x.to("meta"), 0.8)
    assert (meta.mask.shape, meta.mask.dtype) == ((3, 30), torch.bool)


X = torch.ones(3, 4)


@pytest.mark.parametrize(
    ("function", "arguments", "error", "message"),
    [
        (
            "mass_topk_mask",
            (X, 0.0),
            ValueError,
            r"mass must be above 0 and .* 0\.0",
        ),
        ("mass_topk_mask", (X, 1.5), ValueError, r"mass must be above 0 .* got 1\.5"),
        ("mass_topk_mask", (X, math.nan), ValueError, "mass must be above 0 .* got nan"),
        ("mass_topk_mask", (X[0], 0.5), ValueError, r"response must be \(N, C\) .* shape \(4,\)"),
        ("mass_topk_mask", (X[:, :0], 0.5), ValueError, r"response must .* shape \(3, 0\)"),
        ("mass_topk_mask", (X.int(), 0.5), TypeError, "response must be float32, .* torch.int32"),
        ("mass_curve", (X, [0.5, 0.0]), ValueError, "every mass of the grid must be above 0"),
        ("mass_curve", (X, torch.ones(1, 1)), ValueError, r"grid must be \(G,\), got shape"),
        ("uniform_topk_mask", (X, -0.1), ValueError, r"drop must be between 0 and 1, got -0\.1"),
        ("uniform_topk_mask", (X, math.nan), ValueError, "drop must be between 0 and 1, got nan"),
    ],
)
def test_messages(
    function: str, arguments: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{function}: {message}"):
        getattr(functional, function)(*arguments)


@every_function
@pytest.mark.parametrize("keep", [-1, 5])
def test_keep_at_least_out_of_range(function: str, keep: int) -> None:
    arguments = {"mass_topk_mask": 0.5, "mass_curve": [0.5], "uniform_topk_mask": 0.5}[function]
    message = f"^{function}: keep_at_least must be from 0 to the number of channels, 4, got {keep}"
    call = {
        "mass_topk_mask": mass_topk_mask,
        "mass_curve": mass_curve,
        "uniform_topk_mask": uniform_topk_mask,
    }[function]
    with pytest.raises(ValueError, match=message):
        call(X, arguments, keep_at_least=keep)


# The core: called with anything, it must answer with an exception

ROWS = np.ones((3, 4), np.float32)
MASK: dict[str, Any] = {
    "response": ROWS,
    "mask": np.empty((3, 4), bool),
    "counts": np.empty((3, 1), np.int64),
}
GOOD = {
    "mass_topk_mask": MASK | {"mass": 0.5},
    "mass_curve": {"response": ROWS, "grid": [0.5, 1.0], "counts": np.empty((3, 2), np.int64)},
    "uniform_topk_mask": MASK | {"most": 2},
}
EVERYWHERE: list[tuple[dict[str, Any], str]] = [
    ({"response": ROWS[0]}, "response must have 2 dimensions, got 1"),
    ({"response": ROWS[:, :0]}, r"response must have at least one channel, got \(3, 0\)"),
    ({"response": ROWS.astype(int)}, "response must be float32, float64"),
    ({"keep_at_least": 5}, "keep_at_least must be from 0 to the number of channels, 4, got 5"),
    ({"keep_at_least": -1}, "keep_at_least must be from 0"),
    ({"num_threads": -1}, "num_threads must be at least 0"),
    ({"counts": np.empty((3, 3), np.int64)}, r"counts must have shape \(3, [12]\), got \(3, 3\)"),
    ({"counts": np.empty((3, 1), np.int32)}, "counts must be int64, got int32"),
    ({"response": -ROWS}, "response must be finite and at least 0, got another value in row 0"),
]
OWN: list[tuple[str, dict[str, Any], str]] = [
    ("mass_topk_mask", {"mass": 0.0}, r"a mass must be above 0 and at most 1, .* got 0\.0"),
    ("mass_topk_mask", {"mask": np.empty((4, 3), bool)}, "mask must be a writable C-contiguous"),
    ("mass_topk_mask", {"mask": np.empty((3, 4), np.uint8)}, "mask must be a writable"),
    ("mass_topk_mask", {"mask": np.empty((4, 3), bool).T}, "mask must be a writable"),
    ("mass_curve", {"grid": [0.5, math.nan]}, "a mass must be above 0 and at most 1, .* got nan"),
    ("uniform_topk_mask", {"most": 5}, "most must be from 0 to the number of channels, 4, got 5"),
    ("uniform_topk_mask", {"most": -1}, "most must be from 0"),
]


@pytest.mark.parametrize(
    ("function", "change", "message"),
    [*[(name, change, text) for name in GOOD for change, text in EVERYWHERE], *OWN],
)
def test_core_message(function: str, change: dict[str, Any], message: str) -> None:
    getattr(_core, function)(**GOOD[function])
    with pytest.raises((ValueError, TypeError), match=f"^{function}: {message}"):
        getattr(_core, function)(**GOOD[function] | change)


def test_sizes_that_cannot_be() -> None:
    rows = np.lib.stride_tricks.as_strided(ROWS, (2**40, 2**20), (0, 0), writeable=False)
    with pytest.raises((ValueError, MemoryError)):
        _core.mass_topk_mask(rows, 0.5, MASK["mask"], MASK["counts"])
    wide = np.lib.stride_tricks.as_strided(ROWS, (1, 2**27), (0, 0), writeable=False)
    with pytest.raises(ValueError, match=r"response must have at most 2\^26 channels"):
        _core.mass_topk_mask(wide, 0.5, MASK["mask"], MASK["counts"])
