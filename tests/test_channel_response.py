"""channel_response against its steps: values, gradients, layouts, dtypes, messages."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ipse import _core
from ipse.functional import channel_response
from tests.reference import channel_response as reference

OPS = torch.ops.ipse
ACTIVATIONS = ["identity", "relu", "relu6", "silu"]
POOLS = ["avg", "max"]
every_activation = pytest.mark.parametrize("activation", ACTIVATIONS)
every_pool = pytest.mark.parametrize("pool", POOLS)
TOLERANCE = {
    torch.float64: 1e-12,
    torch.float32: 1e-5,
    torch.bfloat16: 2**-8,
    torch.float16: 2**-11,
}


def channels_last(x: Tensor) -> Tensor:
    return x.movedim(1, -1).contiguous().movedim(-1, 1)


def make(
    *shape: int, dtype: torch.dtype = torch.float64, seed: int = 0, last: bool = False
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x, scale, shift and mask."""
    generator = torch.Generator().manual_seed(seed)
    wide = torch.float64 if dtype is torch.float64 else torch.float32
    x = (3 * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype)
    scale, shift = torch.randn(2, shape[1], generator=generator, dtype=torch.float64).to(wide)
    mask = torch.rand(shape[:2], generator=generator) < 0.6
    return channels_last(x) if last else x, scale, shift, mask


def check(inputs: tuple[Tensor, ...], activation: str, pool: str) -> None:
    x, scale, shift, mask = inputs
    dtype = x.dtype
    leaves = [t.detach().requires_grad_() for t in (x, scale, shift)]
    got = channel_response(*leaves, mask, activation=activation, pool=pool)
    exact = [t.detach().double().requires_grad_() for t in (x, scale, shift)]
    wanted = reference.channel_response(*exact, mask, activation, pool)
    tolerance = TOLERANCE[dtype]
    assert got.out.dtype == dtype
    assert got.out.stride() == torch.empty_like(x).stride() or x.numel() in (0, x.shape[1])
    fine = TOLERANCE[torch.float64 if dtype is torch.float64 else torch.float32]
    for mine, theirs, unit in zip(got, wanted, (tolerance, fine, fine), strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=2 * unit, atol=10 * unit)
    arriving = [torch.randn_like(t) for t in got]
    found = torch.autograd.grad(got, leaves, arriving)
    right = torch.autograd.grad(wanted, exact, [g.double() for g in arriving])
    size = max(1, x.numel() // x.shape[1])
    for mine, theirs, unit in zip(found, right, (tolerance, fine * size, fine * size), strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=4 * unit, atol=40 * unit)


# Below, at and above one vector and four, one position, one channel, several runs of positions.
SHAPES = [(1, 1, 1, 1), (2, 3, 5, 5), (1, 70, 3, 3), (2, 16, 4, 8), (3, 5, 700), (2, 33, 2, 3, 4)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@every_activation
@every_pool
def test_value_and_gradient(shape: tuple[int, ...], activation: str, pool: str) -> None:
    for dtype, last in itertools.product(TOLERANCE, (False, True)):
        check(make(*shape, dtype=dtype, last=last), activation, pool)


@given(
    st.tuples(*[st.integers(1, n) for n in (3, 40, 9, 9)]),
    st.sampled_from(ACTIVATIONS),
    st.sampled_from(POOLS),
    st.booleans(),
    st.integers(0, 100),
)
def test_ragged_shapes(
    shape: tuple[int, ...], activation: str, pool: str, last: bool, seed: int
) -> None:
    check(make(*shape, last=last, seed=seed), activation, pool)


@every_activation
@every_pool
def test_maxima_go_to_the_first_of_equal_values(activation: str, pool: str) -> None:
    x = torch.tensor([-1.0, 2.0, -2.0, 2.0]).repeat(1, 19, 9).double().requires_grad_()
    for last in (False, True):
        leaf = (channels_last(x) if last else x).detach().requires_grad_()
        result = channel_response(leaf, activation=activation, pool=pool)
        (grad,) = torch.autograd.grad(result.response.sum(), leaf)
        assert (grad != 0).nonzero()[:, 2].tolist() == [1] * 19
        if pool == "max":
            (grad,) = torch.autograd.grad(
                channel_response(leaf, activation=activation, pool="max").pooled.sum(), leaf
            )
            assert (grad != 0).nonzero()[:, 2].tolist() == [1] * 19


@every_activation
@every_pool
@pytest.mark.parametrize("last", [False, True])
def test_gradcheck(activation: str, pool: str, last: bool) -> None:
    x, scale, shift, mask = make(2, 3, 4, 3, last=last)
    leaves = [t.detach().requires_grad_() for t in (x, scale, shift)]

    def function(*inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(channel_response(*inputs, mask, activation=activation, pool=pool))

    assert torch.autograd.gradcheck(function, leaves)
    assert torch.autograd.gradgradcheck(function, leaves)


@pytest.mark.parametrize("result", [0, 1, 2])
def test_gradcheck_of_one_result(result: int) -> None:
    x, scale, shift, mask = make(2, 3, 4, 3)
    leaves = [t.detach().requires_grad_() for t in (x, scale, shift)]

    def function(*inputs: Tensor) -> Tensor:
        return channel_response(*inputs, mask, activation="silu", pool="max")[result]

    assert torch.autograd.gradcheck(function, leaves)
    assert torch.autograd.gradgradcheck(function, leaves)


def test_defaults_masked_channels_and_nan() -> None:
    x = make(2, 3, 4, 4)[0]
    plain = channel_response(x)
    assert torch.equal(plain.out, x.relu())
    assert torch.equal(plain.response, x.relu().amax((2, 3)))
    x[0, 1, 2, 3] = torch.nan
    x[1, 2, 0, 0] = -torch.inf
    for order in (x, channels_last(x)):
        mask = torch.ones(2, 3, dtype=torch.bool)
        seen = channel_response(order, activation="identity", pool="max")
        assert seen.response[0, 1].isnan()
        assert seen.pooled[0, 1].isnan()
        assert seen.response[1, 2] == torch.inf
        mask[0, 1] = mask[1, 2] = False
        gone = channel_response(order, mask=mask, activation="identity")
        assert torch.equal(gone.out[0, 1], torch.zeros(4, 4).double())
        assert gone.pooled[1, 2] == 0
        assert gone.response[0, 1].isnan()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("factor", [1.0, 0.3, 2.0**-6, 700.0])
def test_every_16_bit_number_is_read_and_rounded_right(dtype: torch.dtype, factor: float) -> None:
    x = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(dtype).view(1, 4, 128, 128)
    scale = torch.full((4,), factor)
    for order in (x, channels_last(x)):
        out = channel_response(order, scale, activation="identity").out
        wanted = (order.float() * factor).to(dtype)
        assert torch.equal(out.isnan(), wanted.isnan())
        assert torch.equal(out.nan_to_num(0.0), wanted.nan_to_num(0.0))


@pytest.mark.parametrize("last", [False, True])
def test_layouts_threads_and_empty(last: bool, restored_threads: None) -> None:
    x, scale, shift, mask = make(9, 40, 20, 20, dtype=torch.float32, last=last)
    wanted: list[Tensor] | None = None
    spread = torch.zeros(9, 80, 20, 40)[:, ::2, :, ::2].copy_(x)
    for threads, same in itertools.product((1, 2, 5), (x, spread, x.mT.contiguous().mT)):
        torch.set_num_threads(threads)
        leaves = [t.detach().requires_grad_() for t in (same, scale, shift)]
        result = channel_response(*leaves, mask)
        incoming = [torch.full_like(t, 0.5) for t in result]
        results = [*result, *torch.autograd.grad(result, leaves, incoming)]
        if wanted is None:
            wanted = results
        for mine, first in zip(results, wanted, strict=True):
            if same is x:
                assert torch.equal(mine, first)
            else:  # another order of additions
                torch.testing.assert_close(mine, first, rtol=1e-5, atol=1e-5)
    empty = channel_response(x[:0], scale, shift)
    assert [t.shape for t in empty] == [(0, 40, 20, 20), (0, 40), (0, 40)]
    leaf = scale.requires_grad_()
    channel_response(x[:0], leaf, shift).out.sum().backward()
    assert torch.equal(leaf.grad, torch.zeros(40))


# As a citizen of torch


def without_kernel(op: Any, *values: Any) -> Any:
    """Runs what the dispatcher would pick for a device that has no kernel of its own."""
    with torch._C._AutoDispatchBelowAutograd():
        return op.redispatch(torch._C.DispatchKeySet(torch._C.DispatchKey.XLA), *values)


@every_activation
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("last", [False, True])
def test_opcheck_and_devices_without_kernel(
    activation: str, dtype: torch.dtype, last: bool
) -> None:
    x, scale, shift, mask = make(2, 3, 4, 4, dtype=dtype, last=last)
    leaves = [t.detach().requires_grad_() for t in (x, scale, shift)]
    arguments = (*leaves, mask, activation, "max")
    op = OPS.channel_response.default
    torch.library.opcheck(op, arguments)
    results = op(*arguments)
    grads = [torch.randn_like(t) for t in results]
    back = OPS.channel_response_backward.default
    for chosen in (grads, [None, *grads[1:]], [grads[0], None, None]):
        torch.library.opcheck(back, (*chosen, *arguments))
    tolerance = 4 * TOLERANCE[dtype]
    detached = (x, scale, shift, mask, activation, "max")
    for mine, plain in zip(op(*detached), without_kernel(op, *detached), strict=True):
        torch.testing.assert_close(mine, plain, rtol=tolerance, atol=tolerance)
        assert mine.stride() == plain.stride()
    native = back(*grads, *detached)
    for mine, plain in zip(native, without_kernel(back, *grads, *detached), strict=True):
        torch.testing.assert_close(mine, plain, rtol=tolerance, atol=10 * tolerance)


def test_compile_whole_graph_for_any_batch_size() -> None:
    def objective(x: Tensor, scale: Tensor, shift: Tensor, mask: Tensor) -> Tensor:
        out, response, pooled = channel_response(x.sin(), scale, shift, mask)
        return out.square().mean() + response.mean() + pooled.square().sum()

    compiled = torch.compile(objective, backend="aot_eager", fullgraph=True, dynamic=True)
    for count in (3, 5):
        x, scale, shift, mask = make(count, 6, 4, 4)
        eager, traced = (x.clone().requires_grad_() for _ in range(2))
        value = objective(eager, scale, shift, mask)
        assert torch.equal(compiled(traced, scale, shift, mask), value)
        value.backward()
        compiled(traced, scale, shift, mask).backward()
        assert torch.equal(eager.grad, traced.grad)


def test_autocast_and_meta() -> None:
    x, scale, shift, mask = make(2, 3, 4, 4, dtype=torch.bfloat16)
    plain = channel_response(x, scale, shift, mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = channel_response(x, scale.bfloat16().float(), shift, mask)
    assert [t.dtype for t in cast] == [torch.bfloat16, torch.float32, torch.float32]
    assert [t.dtype for t in plain] == [t.dtype for t in cast]
    meta = channel_response(x.to("meta"), scale.to("meta"), None, mask.to("meta"))
    assert [t.shape for t in meta] == [(2, 3, 4, 4), (2, 3), (2, 3)]


X, SCALE, SHIFT, KEEP = make(2, 3, 4, 4, dtype=torch.float32)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": X[0, 0]}, ValueError, r"x must be \(N, C, \.\.\.\) .* got shape \(4, 4\)"),
        ({"x": X[..., :0]}, ValueError, r"x must be .* one position, got shape \(2, 3, 4, 0\)"),
        ({"x": X.int()}, TypeError, "x must be float32, float64, .* got torch.int32"),
        ({"scale": SCALE[:2]}, ValueError, r"scale must have one value for each of 3 channels"),
        ({"shift": SHIFT[None]}, ValueError, r"shift must have one .* got shape \(1, 3\)"),
        ({"mask": KEEP[:1]}, ValueError, r"mask must have shape \(2, 3\), got \(1, 3\)"),
        ({"mask": KEEP.float()}, TypeError, "mask must be bool, got torch.float32"),
        ({"mask": KEEP.to("meta")}, ValueError, "x and mask must be on the same device"),
        ({"activation": "gelu"}, ValueError, "activation must be one of identity, relu"),
        ({"pool": "sum"}, ValueError, "pool must be avg or max, got sum"),
    ],
)
def test_messages(change: dict[str, Any], error: type[Exception], message: str) -> None:
    good: dict[str, Any] = {"x": X, "scale": SCALE, "shift": SHIFT, "mask": KEEP}
    with pytest.raises(error, match=f"^channel_response: {message}"):
        channel_response(**good | change)


# The core: called with anything, it must answer with an exception

LINES = np.ones((2, 12), np.float32)
INPUT: dict[str, Any] = {
    "x": LINES,
    "channels_last": False,
    "scale": np.ones((1, 3), np.float32),
    "shift": np.ones((1, 3), np.float32),
    "mask": np.ones((2, 3), bool),
    "activation": "relu",
    "pool": "avg",
}
SMALL = np.empty((2, 3), np.float32)
FORWARD = INPUT | {"out": np.empty_like(LINES), "response": SMALL, "pooled": SMALL.copy()}
BACKWARD = INPUT | {
    "grad_out": np.ones_like(LINES),
    "grad_response": np.ones((2, 3), np.float32),
    "grad_pooled": None,
    "grad_x": np.empty_like(LINES),
    "grad_scale": np.empty((1, 3), np.float32),
    "grad_shift": np.empty((1, 3), np.float32),
}
GOOD = {"channel_response_forward": FORWARD, "channel_response_backward": BACKWARD}
EVERYWHERE: list[tuple[dict[str, Any], str]] = [
    ({"x": LINES[:, :11].copy()}, "x must have a positive multiple of the number of channels, 3"),
    ({"x": LINES[:, :0]}, "x must"),
    ({"x": LINES.T.copy().T}, "x must be C-contiguous"),
    ({"scale": np.ones((1, 3))}, "scale must be float32, got float64"),
    ({"shift": np.ones((1, 4), np.float32)}, r"shift must have shape \(1, 3\), got \(1, 4\)"),
    ({"mask": np.ones((2, 3), np.uint8)}, "mask must be a C-contiguous bool array"),
    ({"mask": np.ones((3, 2), bool)}, "mask must be a C-contiguous bool array"),
    ({"activation": "gelu"}, "activation must be 'identity', 'relu', 'relu6' or 'silu'"),
    ({"pool": "sum"}, "pool must be 'avg' or 'max', got 'sum'"),
    ({"num_threads": -1}, "num_threads must be at least 0"),
]
OWN: list[tuple[str, dict[str, Any], str]] = [
    ("channel_response_forward", {"out": LINES}, "out must not overlap an input"),
    ("channel_response_forward", {"pooled": SMALL}, "response must not overlap pooled"),
    ("channel_response_forward", {"out": LINES.astype(float)}, "out must be float32, got float64"),
    ("channel_response_backward", {"grad_x": LINES}, "grad_x must not overlap an input"),
    ("channel_response_backward", {"grad_pooled": LINES}, r"grad_pooled must have shape \(2, 3\)"),
    ("channel_response_backward", {"grad_scale": SMALL}, r"grad_scale must have shape \(1, 3\)"),
]


@pytest.mark.parametrize(
    ("function", "change", "message"),
    [*[(name, change, text) for name in GOOD for change, text in EVERYWHERE], *OWN],
)
def test_core_message(function: str, change: dict[str, Any], message: str) -> None:
    getattr(_core, function)(**GOOD[function])
    with pytest.raises((ValueError, TypeError), match=f"^{function}: {message}"):
        getattr(_core, function)(**GOOD[function] | change)
