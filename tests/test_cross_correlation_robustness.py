"""NaN, infinity, columns without variance, and the same bits for the same work."""

import pytest
import torch

from tests.cross_correlation_cases import (
    SIDES,
    TOLERANCE,
    Loss,
    assert_near,
    both_losses,
    both_sides,
    make_views,
    oracle,
    value_and_gradients,
    wide_dtypes,
)


@both_losses
@both_sides
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("where", [(0, 0), (36, 52), (36, 0)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16], ids=str)
def test_non_finite_input_shows_in_the_result(
    loss: Loss, side: str, poison: float, where: tuple[int, int], dtype: torch.dtype
) -> None:
    views = make_views(37, 53, dtype)
    for which in (0, 1):
        poisoned = [z.clone() for z in views]
        poisoned[which][where] = poison
        value, *gradients = value_and_gradients(loss.function, *poisoned, side=side)
        assert value.isnan()
        # At least what the formula says: all of the poisoned column.
        assert gradients[which][:, where[1]].isnan().all()


@both_losses
@both_sides
@wide_dtypes
@pytest.mark.parametrize("constant", [0.0, 0.1, -1e6])
def test_columns_without_variance(
    loss: Loss, side: str, dtype: torch.dtype, constant: float
) -> None:
    """In one view, in both, and everywhere."""
    z1, z2 = make_views(30, 20, dtype)
    z1[:, 3] = constant
    z1[:, 5] = z2[:, 5] = constant
    for views in ((z1, z2), (torch.full_like(z1, constant), torch.full_like(z2, constant))):
        value, *gradients, sizes = oracle(loss, *views)
        got = value_and_gradients(loss.function, *views, side=side)
        assert_near(got[0], value, sizes.value, TOLERANCE[dtype])
        for mine, exact in zip(got[1:], gradients, strict=True):
            assert mine.isfinite().all()
            assert_near(mine, exact, sizes.gradient, TOLERANCE[dtype])


@both_losses
@both_sides
@wide_dtypes
def test_identical_views(loss: Loss, side: str, dtype: torch.dtype) -> None:
    z, _ = make_views(40, 30, dtype)
    value, *gradients, sizes = oracle(loss, z, z)
    got = value_and_gradients(loss.function, z, z.clone(), side=side)
    assert_near(got[0], value, sizes.value, TOLERANCE[dtype])
    for mine, exact in zip(got[1:], gradients, strict=True):
        assert_near(mine, exact, sizes.gradient, TOLERANCE[dtype])


# Enough work that several threads are really used, on either side.
LARGE = [(96, 700), (700, 96)]


@both_losses
@both_sides
@pytest.mark.parametrize("shape", LARGE, ids=str)
def test_repeated_calls_give_the_same_bits(
    loss: Loss, side: str, shape: tuple[int, int], restored_threads: None
) -> None:
    torch.set_num_threads(3)
    views = make_views(*shape)
    first = value_and_gradients(loss.function, *views, side=side)
    for _ in range(5):
        again = value_and_gradients(loss.function, *views, side=side)
        for mine, wanted in zip(again, first, strict=True):
            assert torch.equal(mine, wanted)


@both_losses
@wide_dtypes
@pytest.mark.parametrize(
    ("side", "shape"),
    [
        *[(side, shape) for side in SIDES for shape in LARGE],
        ("samples", (2, 400000)),  # more threads than the samples have rows
    ],
    ids=str,
)
def test_thread_counts_agree(
    loss: Loss, side: str, dtype: torch.dtype, shape: tuple[int, int], restored_threads: None
) -> None:
    views = make_views(*shape, dtype)
    torch.set_num_threads(1)
    alone = value_and_gradients(loss.function, *views, side=side)
    if max(shape) <= 1000:
        sizes = loss.sizes(*(z.double() for z in views))
        bounds = [sizes.value, sizes.gradient, sizes.gradient]
    else:  # the sizes take a D x D matrix; here the results themselves must do
        bounds = [result.abs().max().item() for result in alone]
    for threads in (2, 3, 8):
        torch.set_num_threads(threads)
        together = value_and_gradients(loss.function, *views, side=side)
        for mine, wanted, size in zip(together, alone, bounds, strict=True):
            assert_near(mine, wanted, size, TOLERANCE[dtype])
