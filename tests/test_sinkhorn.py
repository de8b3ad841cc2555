"""Sinkhorn codes: against the reference, against lightly's, where exponentials overflow."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightly.loss.swav_loss import sinkhorn as lightly_sinkhorn
from torch import Tensor

from ipse.functional import sinkhorn
from tests.prototype_cases import HALF, codes_tolerance, make_views
from tests.reference import prototypes as reference

wide_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
SHAPES = [(1, 1), (1, 7), (7, 1), (3, 5), (17, 33), (70, 16), (130, 65), (40, 1030), (600, 3)]


def make_scores(samples: int, prototypes: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(samples, prototypes, generator=generator, dtype=torch.float64).to(dtype)


def oracle(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """The reference, after a shift that it does not see but that would cost it digits."""
    scores = scores.double()
    return reference.sinkhorn(scores - scores.amax(0), epsilon, iterations)


def assert_codes(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> None:
    """Codes are exact relative to the size of the exponents, and rows sum to one."""
    codes = sinkhorn(scores, epsilon, iterations)
    assert codes.shape == scores.shape
    assert codes.dtype == scores.dtype
    wanted = oracle(scores, epsilon, iterations)
    tolerance = codes_tolerance(scores, epsilon, iterations)
    assert (codes.double() - wanted).abs().max() <= tolerance
    assert (codes.double().sum(1) - 1).abs().max() <= 20 * torch.finfo(scores.dtype).eps


@wide_dtypes
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("iterations", [1, 2, 3, 4, 7, 30])
def test_equals_reference(dtype: torch.dtype, shape: tuple[int, int], iterations: int) -> None:
    assert_codes(0.3 * make_scores(*shape, dtype), iterations=iterations)


@wide_dtypes
@given(
    samples=st.integers(1, 70),
    prototypes=st.integers(1, 70),
    seed=st.integers(0, 2**16),
    scale=st.sampled_from([0.0, 1e-4, 1.0, 30.0]),
    rows=st.sampled_from([0.0, 1.0, 100.0]),
    columns=st.sampled_from([0.0, 1.0, 1e4]),
    epsilon=st.sampled_from([0.01, 0.05, 1.0]),
    iterations=st.integers(1, 8),
)
def test_anywhere(
    dtype: torch.dtype,
    samples: int,
    prototypes: int,
    seed: int,
    scale: float,
    rows: float,
    columns: float,
    epsilon: float,
    iterations: int,
) -> None:
    """Scores, rows and columns of very different size: exponents up to 1e4 and more."""
    scores = scale * make_scores(samples, prototypes, torch.float64, seed)
    scores += rows * make_scores(samples, 1, torch.float64, seed + 1)
    scores += columns * make_scores(1, prototypes, torch.float64, seed + 2)
    assert_codes(scores.to(dtype), epsilon, iterations)


@wide_dtypes
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("iterations", [1, 3, 10])
def test_equals_lightly(dtype: torch.dtype, shape: tuple[int, int], iterations: int) -> None:
    scores = 0.2 * make_scores(*shape, dtype)
    theirs = lightly_sinkhorn(scores, iterations=iterations)
    tolerance = {torch.float32: 2e-6, torch.float64: 1e-14}[dtype]
    assert (sinkhorn(scores, iterations=iterations) - theirs).abs().max() <= tolerance


@wide_dtypes
def test_where_lightly_overflows(dtype: torch.dtype) -> None:
    """Scores of a prototype layer that is not normalised: e^(1000 / 0.05)."""
    scores = 1000 * make_scores(20, 30, dtype)
    assert lightly_sinkhorn(scores).isnan().any()
    assert sinkhorn(scores).isfinite().all()
    assert_codes(scores)


@wide_dtypes
def test_rows_that_underflow_everywhere(dtype: torch.dtype) -> None:
    """Whole rows 10^4 exponents below all others: their codes are still those of the softmax."""
    scores = 0.1 * make_scores(40, 19, dtype)
    scores[::3] -= 500
    codes = sinkhorn(scores)
    assert codes.isfinite().all()
    assert_codes(scores)
    assert codes[::3].amax() > 1e-3


@wide_dtypes
def test_underflow_then_many_rounds(dtype: torch.dtype) -> None:
    """Entries below the smallest number come back within the rounds that they take to grow."""
    scores = torch.zeros(2, 2, dtype=dtype)
    scores[0, 1], scores[1, 1] = -150.0, -300.0  # exponents of -150 and -300
    for iterations in (1, 2, 3, 10, 100):
        codes, wanted = sinkhorn(scores, 1.0, iterations), oracle(scores, 1.0, iterations)
        assert (codes - wanted).abs().max() <= {torch.float32: 1e-5, torch.float64: 1e-13}[dtype]


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_half_precision_scores(dtype: torch.dtype) -> None:
    """Computed and returned in float32."""
    scores = make_views(1, 12, 40, dtype)[0]
    codes = sinkhorn(scores)
    assert codes.dtype == torch.float32
    assert torch.equal(codes, sinkhorn(scores.float()))


def test_prototypes_are_used_equally() -> None:
    """What the codes are for: after many rounds the column sums are all N / K."""
    codes = sinkhorn(make_scores(64, 16, torch.float64) + torch.arange(16) * 0.05, 0.5, 200)
    torch.testing.assert_close(codes.sum(0), torch.full((16,), 4.0).double(), rtol=1e-6, atol=0)


def test_equal_scores_give_equal_codes() -> None:
    assert torch.equal(sinkhorn(torch.full((4, 8), 7.0)), torch.full((4, 8), 0.125))
    assert torch.equal(sinkhorn(torch.randn(5, 1)), torch.ones(5, 1))


def test_no_sample() -> None:
    assert sinkhorn(torch.empty(0, 5)).shape == (0, 5)


@wide_dtypes
@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_non_finite_scores(dtype: torch.dtype, poison: float) -> None:
    """A column that is not a number makes every row so, as in the formula."""
    scores = make_scores(9, 20, dtype)
    scores[4, 11] = poison
    assert sinkhorn(scores).isnan().all()


@wide_dtypes
def test_minus_infinity_is_a_code_of_zero(dtype: torch.dtype) -> None:
    scores = 0.1 * make_scores(9, 20, dtype)
    scores[4, 3:11] = -math.inf
    codes = sinkhorn(scores)
    assert (codes[4, 3:11] == 0).all()
    wanted = reference.sinkhorn(scores.double())
    assert (codes - wanted).abs().max() < {torch.float32: 1e-5, torch.float64: 1e-13}[dtype]


def test_codes_are_constants() -> None:
    scores = make_scores(5, 7, torch.float32).requires_grad_()
    assert not sinkhorn(scores).requires_grad
    assert not torch.ops.ipse.sinkhorn(scores, 0.05, 3).requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_layout_does_not_change_a_bit(dtype: torch.dtype) -> None:
    scores = make_views(1, 30, 41, dtype)[0]
    wide = scores.new_full((60, 90), math.nan)
    wide[::2, 3:85:2] = scores
    for laid_out in (scores.T.contiguous().T, wide[::2, 3:85:2]):
        assert torch.equal(laid_out, scores)
        assert torch.equal(sinkhorn(laid_out), sinkhorn(scores))


@pytest.mark.parametrize("shape", [(500, 300), (9, 20000)], ids=str)
def test_repeatable_and_threads_agree(shape: tuple[int, int], restored_threads: None) -> None:
    scores = 0.2 * make_scores(*shape, torch.float32)
    torch.set_num_threads(1)
    alone = sinkhorn(scores)
    for threads in (2, 3, 8):
        torch.set_num_threads(threads)
        together = sinkhorn(scores)
        assert torch.equal(together, sinkhorn(scores))
        torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-7)


GOOD = torch.zeros(4, 3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((GOOD[0],), ValueError, r"scores must be \(N, K\), got shape \(3,\)"),
        ((GOOD[:, :0],), ValueError, "scores must have at least 1 prototype, got 0"),
        (
            (GOOD.int(),),
            TypeError,
            "scores must be float32, float64, bfloat16 or float16, got torch.int32",
        ),
        ((GOOD.to_sparse(),), TypeError, "scores must be a dense tensor, got torch.sparse_coo"),
        ((GOOD, 0.0), ValueError, "epsilon must be positive and finite, got 0.0"),
        ((GOOD, -1.0), ValueError, "epsilon must be positive and finite, got -1.0"),
        ((GOOD, math.nan), ValueError, "epsilon must be positive and finite, got nan"),
        ((GOOD, math.inf), ValueError, "epsilon must be positive and finite, got inf"),
        ((GOOD, 0.05, 0), ValueError, "iterations must be at least 1, got 0"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_message(arguments: tuple[object, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^sinkhorn: {message}$"):
        sinkhorn(*arguments)
