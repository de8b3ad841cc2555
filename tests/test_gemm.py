"""The tile GEMM under every loss: ``out (M, N) = left (M, K) @ right (N, K).T``."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipse import _core

# Empty, one, primes, and just around the blocks: registers, panels (8 to 48), 128-row and
# 256-column tiles, the 256-deep pass.
SIZES = st.sampled_from([0, 1, 2, 3, 5, 7, 8, 9, 13, 31, 32, 33, 47, 48, 49, 97, 127, 128, 129])
LONG_SIZES = st.sampled_from([0, 1, 7, 31, 64, 127, 128, 129, 255, 256, 257, 300, 511, 512, 513])
# Small products are cheap: look at more of them than the profile asks for.
more_examples = settings(max_examples=5 * settings().max_examples)
DTYPES = ["float32", "float64", "float16", "bfloat16"]


def widened(array: np.ndarray) -> np.ndarray:
    """The numbers in an operand, in float64; uint16 means bfloat16."""
    if array.dtype == np.uint16:
        return (array.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return array.astype(np.float64)


def operand(rng: np.random.Generator, shape: tuple[int, int], dtype: str) -> np.ndarray:
    values = rng.standard_normal(shape, np.float32)
    if dtype == "bfloat16":
        return (values.view(np.uint32) >> 16).astype(np.uint16)
    return values.astype(dtype)


def laid_out(array: np.ndarray, layout: str) -> np.ndarray:
    """The same matrix with other strides; ``expanded`` repeats its first column."""
    rows, cols = array.shape
    if layout == "transposed":
        return array.T.copy().T
    if layout == "negative":
        return array[::-1, ::-1].copy()[::-1, ::-1]
    if layout == "spaced":
        room = np.full((2 * rows, 3 * cols), 9, array.dtype)
        room[::2, 1::3] = array
        return room[::2, 1::3]
    if layout == "expanded" and cols:
        return np.broadcast_to(array[:, :1], array.shape)
    return array


LAYOUTS = st.sampled_from(["contiguous", "transposed", "negative", "spaced", "expanded"])
OUT_LAYOUTS = st.sampled_from(["contiguous", "transposed", "negative", "spaced"])


def check(
    left: np.ndarray, right: np.ndarray, out_layout: str = "contiguous", **options: object
) -> None:
    """Compares a product with NumPy's in float64, entry by entry."""
    wide = left.dtype == np.float64
    dtype = np.float64 if wide else np.float32
    shape = (left.shape[0], right.shape[0])
    before = np.arange(shape[0] * shape[1]).reshape(shape) % 7 - 3
    out = laid_out(before.astype(dtype), out_layout)
    surroundings = None if out.base is None else out.base.copy()

    _core.gemm(left, right, out, **options)

    a, b = widened(left), widened(right)
    wanted = a @ b.T
    sizes = np.abs(a) @ np.abs(b).T
    if options.get("accumulate"):
        wanted = wanted + before
        sizes = sizes + np.abs(before)
    # The a-priori bound of a sum of K rounded products in passes of 256, each term once
    # rounded per addition it takes part in: half a unit of the absolute sum for each.
    # Equal terms, as in an expanded operand, come close to it; random ones stay far below.
    depth = left.shape[1]
    roundings = min(depth, 256) + depth // 256 + 8
    error = np.abs(out - wanted)
    assert (error <= roundings * np.finfo(dtype).eps / 2 * sizes).all(), error.max(initial=0)
    if surroundings is not None and out_layout == "spaced":
        out[...] = before
        assert np.array_equal(out.base, surroundings), "wrote outside of out"


@more_examples
@given(
    m=SIZES,
    n=SIZES,
    k=st.one_of(SIZES, LONG_SIZES),
    dtypes=st.tuples(st.sampled_from(DTYPES), st.sampled_from(DTYPES)),
    layouts=st.tuples(LAYOUTS, LAYOUTS),
    out_layout=OUT_LAYOUTS,
    accumulate=st.booleans(),
    threads=st.integers(1, 4),
    seed=st.integers(0, 2**16),
)
def test_product(
    m: int,
    n: int,
    k: int,
    dtypes: tuple[str, str],
    layouts: tuple[str, str],
    out_layout: str,
    accumulate: bool,
    threads: int,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    if "float64" in dtypes:
        dtypes = ("float64", "float64")
    left = laid_out(operand(rng, (m, k), dtypes[0]), layouts[0])
    right = laid_out(operand(rng, (n, k), dtypes[1]), layouts[1])
    check(left, right, out_layout, accumulate=accumulate, num_threads=threads)


@more_examples
@given(
    n=st.one_of(SIZES, st.sampled_from([255, 256, 257, 300])),
    k=LONG_SIZES,
    dtype=st.sampled_from(DTYPES),
    layout=LAYOUTS,
    out_layout=OUT_LAYOUTS,
    accumulate=st.booleans(),
    threads=st.integers(1, 4),
)
def test_symmetric_product(
    n: int, k: int, dtype: str, layout: str, out_layout: str, accumulate: bool, threads: int
) -> None:
    left = laid_out(operand(np.random.default_rng(n + k), (n, k), dtype), layout)
    options = {"symmetric": True, "accumulate": accumulate, "num_threads": threads}
    check(left, left, out_layout, **options)


@more_examples
@given(
    m=st.sampled_from([0, 1, 8, 33, 130]),
    n=st.sampled_from([1, 7, 48, 257]),
    k=st.sampled_from([2047, 2048, 2049, 2560, 5000]),
    dtype=st.sampled_from(DTYPES),
    layouts=st.tuples(LAYOUTS, LAYOUTS),
    symmetric=st.booleans(),
    accumulate=st.booleans(),
    threads=st.integers(1, 4),
)
def test_long_sums_are_split(
    m: int,
    n: int,
    k: int,
    dtype: str,
    layouts: tuple[str, str],
    symmetric: bool,
    accumulate: bool,
    threads: int,
) -> None:
    rng = np.random.default_rng(m + n)
    left = laid_out(operand(rng, (m, k), dtype), layouts[0])
    right = left if symmetric else laid_out(operand(rng, (n, k), dtype), layouts[1])
    check(left, right, symmetric=symmetric, accumulate=accumulate, num_threads=threads)


@pytest.mark.parametrize("shape", [(300, 280, 70), (129, 520, 600), (40, 50, 4000)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threads", [1, 3])
def test_small_integers_are_exact(shape: tuple[int, int, int], dtype: str, threads: int) -> None:
    """Every partial sum is an integer below 2^24: no order of summation may change a bit."""
    m, n, k = shape
    rng = np.random.default_rng(0)
    left, right = (rng.integers(-8, 9, (rows, k)).astype(np.float32) for rows in (m, n))
    exact = left.astype(np.int64) @ right.astype(np.int64).T
    if dtype == "bfloat16":
        left, right = ((x.view(np.uint32) >> 16).astype(np.uint16) for x in (left, right))
    else:
        left, right = left.astype(dtype), right.astype(dtype)
    out = np.full((m, n), np.nan, np.float64 if dtype == "float64" else np.float32)
    _core.gemm(left, right, out, num_threads=threads)
    assert np.array_equal(out, exact)
    _core.gemm(left, right, out, accumulate=True, num_threads=threads)
    assert np.array_equal(out, 2 * exact)


@pytest.mark.parametrize("k", [5, 300, 3000])
@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_non_finite_values_stay_in_their_row_and_column(k: int, poison: float) -> None:
    left, right = np.ones((37, k), np.float32), np.zeros((51, k), np.float32)
    left[20, k - 2] = poison
    out = np.empty((37, 51), np.float32)
    _core.gemm(left, right, out)
    assert np.isnan(out[20]).all()  # inf * 0 too
    assert not np.isnan(np.delete(out, 20, 0)).any()


def test_without_accumulate_the_old_content_does_not_matter() -> None:
    left = np.ones((3, 0), np.float32)
    out = np.full((3, 3), np.nan, np.float32)
    _core.gemm(left, left, out)
    assert np.array_equal(out, np.zeros((3, 3)))
    _core.gemm(left, left, out, symmetric=True)
    assert np.array_equal(out, np.zeros((3, 3)))


@pytest.mark.parametrize("shape", [(300, 280, 70), (40, 50, 4000)], ids=str)
def test_the_same_threads_give_the_same_bits(shape: tuple[int, int, int]) -> None:
    m, n, k = shape
    rng = np.random.default_rng(1)
    left, right = operand(rng, (m, k), "float32"), operand(rng, (n, k), "float32")
    for threads in (1, 2, 4):
        first, again = np.empty((2, m, n), np.float32)
        _core.gemm(left, right, first, num_threads=threads)
        for _ in range(3):
            _core.gemm(left, right, again, num_threads=threads)
            assert np.array_equal(first, again)
