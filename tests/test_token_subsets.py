"""Random subsets of tokens, and tokens picked out and put back."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ipse import _core
from ipse.functional import gather_tokens, random_subsets, scatter_tokens
from tests.reference import token_subsets as reference

OPS = torch.ops.ipse
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


def randn(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


# Subsets


@given(
    st.integers(0, 200).flatmap(lambda tokens: st.tuples(st.just(tokens), st.integers(0, tokens))),
    st.integers(-(2**63), 2**64 - 1),
)
def test_subsets_equal_the_plain_algorithm(sizes: tuple[int, int], seed: int) -> None:
    got = random_subsets(3, *sizes, seed=seed)
    assert torch.equal(got, reference.random_subsets(seed, 3, *sizes))


def test_every_subset_is_equally_likely() -> None:
    """Chi-squared over all 10 subsets of 2 or of 3 of 5 tokens, within 5 sigma."""
    for keep in (2, 3):
        drawn = random_subsets(20000, 5, keep, seed=7)
        _, counts = drawn.unique(dim=0, return_counts=True)
        assert len(counts) == math.comb(5, keep)
        statistic = float(((counts - 2000.0) ** 2 / 2000).sum())
        assert abs(statistic - 9) < 5 * math.sqrt(18)


def test_rows_depend_on_seed_and_place_alone(restored_threads: None) -> None:
    wanted = random_subsets(5000, 196, 49, seed=3)
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        assert torch.equal(random_subsets(5000, 196, 49, seed=3), wanted)
    assert torch.equal(random_subsets(10, 196, 49, seed=3), wanted[:10])
    assert not torch.equal(random_subsets(10, 196, 49, seed=4), wanted[:10])
    assert torch.equal(random_subsets(10, 196, 49, seed=torch.tensor(3)), wanted[:10])


def test_generator_moves_on() -> None:
    generator = torch.Generator().manual_seed(1)
    first, second = (random_subsets(4, 50, 20, generator=generator) for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(random_subsets(4, 50, 20, generator=generator.manual_seed(1)), first)
    torch.manual_seed(1)
    assert torch.equal(random_subsets(4, 50, 20), first)
    assert random_subsets(4, 50, 20, device="meta").device.type == "meta"


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        ((3, 5, 6), {"seed": 0}, "num_rows must be .* keep from 0 to num_tokens = 5, got 3 and 6"),
        ((-1, 5, 2), {"seed": 0}, "num_rows must be at least 0 .* got -1 and 2"),
        ((3, 5, 2), {"seed": torch.ones(2)}, r"seed must be one int64, got shape \(2,\) of"),
        ((3, 5, 2), {"seed": 0, "generator": torch.Generator()}, "generator and seed must not"),
    ],
)
def test_subset_messages(
    arguments: tuple[int, ...], keywords: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^random_subsets: {message}"):
        random_subsets(*arguments, **keywords)


# Picking out and putting back


@given(st.tuples(*[st.integers(1, n) for n in (4, 9, 40)]), st.integers(0, 9))
def test_values(shape: tuple[int, int, int], keep: int) -> None:
    samples, tokens, width = shape
    indices = random_subsets(samples, tokens, min(keep, tokens), seed=keep)
    for dtype in DTYPES:
        x, fill = randn(*shape, dtype=dtype), randn(width, dtype=dtype)
        chosen = gather_tokens(x, indices)
        back = scatter_tokens(chosen, indices, tokens, fill)
        if indices.numel():
            assert torch.equal(chosen, reference.gather_tokens(x, indices))
            assert torch.equal(back, reference.scatter_tokens(chosen, indices, tokens, fill))
            added = OPS.add_tokens(chosen, indices, tokens)
            assert torch.equal(added, reference.add_tokens(chosen, indices, tokens))
            assert torch.equal(scatter_tokens(chosen, indices, tokens), added)
        else:
            assert torch.equal(back, fill.expand(shape))


def test_repeated_and_unordered_indices() -> None:
    x, indices = randn(2, 5, 3), torch.tensor([[4, 0, 4, 4], [1, 1, 0, 2]])
    assert torch.equal(gather_tokens(x, indices), reference.gather_tokens(x, indices))
    tokens = randn(2, 4, 3)
    torch.testing.assert_close(
        OPS.add_tokens(tokens, indices, 5), reference.add_tokens(tokens, indices, 5)
    )


def test_gradcheck() -> None:
    x, fill = randn(2, 5, 3).requires_grad_(), randn(3).requires_grad_()
    repeated = torch.tensor([[4, 0, 4], [1, 1, 0]])
    different = torch.tensor([[4, 0, 2], [1, 3, 0]])
    tokens = randn(2, 3, 3).requires_grad_()
    check, again = torch.autograd.gradcheck, torch.autograd.gradgradcheck
    for test in (check, again):
        assert test(lambda x: gather_tokens(x, repeated), x)
        assert test(lambda t: OPS.add_tokens(t, repeated, 5), tokens)
        assert test(lambda t, f: scatter_tokens(t, different, 5, f), (tokens, fill))


def test_layouts_threads_and_empty(restored_threads: None) -> None:
    x = randn(30, 50, 70)
    indices = random_subsets(30, 49, 20, seed=0)
    wanted = gather_tokens(x[:, 1:].contiguous(), indices)
    back = scatter_tokens(wanted, indices, 49, x[0, 0])
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        for same in (x[:, 1:], x.mT.contiguous().mT[:, 1:], x.flip(1).flip(1)[:, 1:]):
            assert torch.equal(gather_tokens(same, indices), wanted)
        assert torch.equal(scatter_tokens(wanted, indices.T.contiguous().T, 49, x[0, 0]), back)
    assert gather_tokens(x[:0], indices[:0]).shape == (0, 20, 70)
    assert gather_tokens(x, indices[:, :0]).shape == (30, 0, 70)
    assert scatter_tokens(x[:0], random_subsets(0, 60, 50, seed=0), 60).shape == (0, 60, 70)
    expanded = x[:1].expand(30, -1, -1)[:, 1:]
    assert torch.equal(gather_tokens(expanded, indices)[3], x[0, 1:][indices[3]])


INDICES = torch.tensor([[4, 0, 2], [1, 3, 0]])
CASES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "random_subsets": (OPS.random_subsets.default, (torch.tensor(5), 3, 20, 7)),
    "gather_tokens": (OPS.gather_tokens.default, (randn(2, 5, 3), INDICES)),
    "add_tokens": (OPS.add_tokens.default, (randn(2, 3, 3), INDICES, 6)),
    "scatter_tokens": (OPS.scatter_tokens.default, (randn(2, 3, 3), INDICES, 6, randn(3))),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_opcheck_and_devices_without_kernel(case: str, dtype: torch.dtype) -> None:
    op, values = CASES[case]
    cast = tuple(
        v.to(dtype) if isinstance(v, Tensor) and v.is_floating_point() else v for v in values
    )
    leaves = tuple(
        v.detach().clone().requires_grad_()
        if isinstance(v, Tensor) and v.is_floating_point()
        else v
        for v in cast
    )
    torch.library.opcheck(op, leaves)
    with torch._C._AutoDispatchBelowAutograd():
        keys = torch._C.DispatchKeySet(torch._C.DispatchKey.XLA)
        assert torch.equal(op.redispatch(keys, *cast), op(*cast))


def test_compile_and_autocast() -> None:
    def mask_and_restore(x: Tensor, seed: Tensor, fill: Tensor) -> Tensor:
        kept = random_subsets(x.shape[0], x.shape[1], 3, seed=seed)
        return scatter_tokens(gather_tokens(x.sin(), kept), kept, x.shape[1], fill)

    compiled = torch.compile(mask_and_restore, backend="aot_eager", fullgraph=True, dynamic=True)
    for samples in (3, 5):
        x, fill = randn(samples, 7, 4).requires_grad_(), randn(4).requires_grad_()
        value = mask_and_restore(x, torch.tensor(9), fill)
        again = compiled(x, torch.tensor(9), fill)
        assert torch.equal(value, again)
        first = torch.autograd.grad(value.square().sum(), (x, fill))
        second = torch.autograd.grad(again.square().sum(), (x, fill))
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert gather_tokens(randn(2, 5, 3).bfloat16(), INDICES).dtype == torch.bfloat16


X = randn(2, 5, 3)


@pytest.mark.parametrize(
    ("function", "arguments", "error", "message"),
    [
        (
            gather_tokens,
            (X[0], INDICES),
            ValueError,
            r"x must be \(N, T, D\) .* got shape \(5, 3\)",
        ),
        (gather_tokens, (X.int(), INDICES), TypeError, "x must be float32, .* got torch.int32"),
        (gather_tokens, (X, INDICES[:1]), ValueError, r"indices must be \(2, K\), got shape"),
        (gather_tokens, (X, INDICES.int()), TypeError, "indices must be int64, got torch.int32"),
        (gather_tokens, (X, INDICES + 1), ValueError, "indices must be from 0 to 4, .* sample 0"),
        (gather_tokens, (X, INDICES - 1), ValueError, "indices must be from 0 to 4, .* sample 0"),
        (gather_tokens, (X, INDICES.to("meta")), ValueError, "x and indices must be on the same"),
        (scatter_tokens, (X, INDICES, 5), ValueError, "there must be one index for each of 5 tok"),
        (scatter_tokens, (X[:, :3], INDICES, 4), ValueError, "indices must be from 0 to 3 and dif"),
        (
            scatter_tokens,
            (X[:, :3], INDICES % 2, 5),
            ValueError,
            "indices must be from 0 to 4 and different, got others in sample 0",
        ),
        (scatter_tokens, (X[:, :3], INDICES, -1), ValueError, "num_tokens must be at least 0"),
        (scatter_tokens, (X[:, :3], INDICES, 5, X[0]), ValueError, r"fill must have shape \(3,\)"),
        (
            scatter_tokens,
            (X[:, :3], INDICES, 5, X[0, 0].float()),
            TypeError,
            "tokens and fill must have the same dtype and device",
        ),
    ],
)
def test_messages(
    function: Any, arguments: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{function.__name__}: {message}"):
        function(*arguments)


# The core: called with anything, it must answer with an exception

TOKENS = np.ones((2, 3, 4), np.float32)
WHERE = np.array([[0, 1, 2], [4, 3, 2]])
BACK: dict[str, Any] = {
    "tokens": TOKENS,
    "indices": WHERE,
    "out": np.empty((2, 5, 4), np.float32),
}
GOOD: dict[str, dict[str, Any]] = {
    "random_subsets": {"seed": 1, "num_tokens": 9, "indices": np.empty((3, 4), np.int64)},
    "gather_tokens": {
        "x": np.ones((2, 5, 4), np.float32),
        "indices": WHERE,
        "out": np.empty((2, 3, 4), np.float32),
    },
    "add_tokens": BACK,
    "scatter_tokens": BACK | {"fill": np.ones((1, 4), np.float32)},
}
MOVES = ["gather_tokens", "add_tokens", "scatter_tokens"]
EVERYWHERE: list[tuple[dict[str, Any], str]] = [
    ({"indices": WHERE[:1]}, r"indices must have shape \(2, 3\), got \(1, 3\)"),
    ({"indices": WHERE.astype(np.int32)}, "indices must be int64, got int32"),
    ({"indices": WHERE + 4}, "indices must be from 0 to 4"),
    ({"out": np.empty((2, 5, 3), np.float32)}, ".* must have the same samples and width"),
    ({"out": np.empty((2, 5, 8), np.float32)[..., ::2]}, "out must have adjacent values"),
    ({"out": np.empty((4, 5, 4), np.float32)[::2]}, "out must be writable and C-contiguous"),
    ({"out": np.empty((2, 5, 4))}, "|".join([".* must have the same dtype", "indices must have"])),
    ({"out": np.empty((2, 4), np.float32)}, r"out must be \(N, T, D\)"),
    ({"num_threads": -1}, "num_threads must be at least 0"),
]
OWN: list[tuple[str, dict[str, Any], str]] = [
    ("random_subsets", {"num_tokens": 3}, "keep must be at most the number of tokens, 3, got 4"),
    ("random_subsets", {"indices": np.empty(4, np.int64)}, "indices must have 2 dimensions, got 1"),
    ("scatter_tokens", {"fill": np.ones((1, 3), np.float32)}, "fill must be a C-contiguous"),
    ("scatter_tokens", {"fill": np.ones((1, 4))}, "fill must be a C-contiguous"),
    ("scatter_tokens", {"indices": WHERE // 2}, "indices must be from 0 to 4 and different"),
    ("add_tokens", {"tokens": TOKENS[..., ::-1]}, "tokens must have adjacent values"),
    ("add_tokens", {"out": TOKENS}, "out must not overlap tokens"),
]


@pytest.mark.parametrize(
    ("function", "change", "message"),
    [*[(name, change, text) for name in MOVES for change, text in EVERYWHERE], *OWN],
)
def test_core_message(function: str, change: dict[str, Any], message: str) -> None:
    getattr(_core, function)(**GOOD[function])
    with pytest.raises((ValueError, TypeError), match=f"^{function}: ({message})"):
        getattr(_core, function)(**GOOD[function] | change)


def test_every_dtype_in_the_core() -> None:
    for dtype, threads in itertools.product(("f4", "f8", "f2", "u2"), (1, 3)):
        x = np.arange(40).reshape(2, 5, 4).astype(dtype)
        out = np.empty((2, 3, 4), dtype)
        _core.gather_tokens(x, WHERE, out, threads)
        assert np.array_equal(out, np.take_along_axis(x, WHERE[..., None], 1))
