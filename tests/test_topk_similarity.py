"""topk_similarity against whole sorted rows: values, order, ties, exclusions, layouts, threads."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ipse.functional import topk_similarity
from tests.neighbours_cases import (
    DTYPES,
    METRICS,
    core_topk,
    in_layout,
    layouts,
    randn,
    small_integers,
)
from tests.reference import neighbours as reference

every_metric = pytest.mark.parametrize("metric", METRICS)
TOLERANCE = {torch.float64: 1e-13, torch.float32: 2e-6, torch.bfloat16: 2e-6, torch.float16: 2e-6}


def sizes(x: Tensor, y: Tensor, metric: str) -> Tensor:
    """(N, K): the size of the terms a similarity is the sum of; rounding is relative to it."""
    x, y = x.double(), y.double()
    if metric == "cosine":
        return torch.ones(len(x), len(y), dtype=torch.float64)
    if metric == "l2":
        return 2 * (x.square().sum(1)[:, None] + y.square().sum(1))
    return x.abs() @ y.abs().T


def assert_right(
    x: Tensor, y: Tensor, k: int, metric: str, values: Tensor, indices: Tensor
) -> None:
    """Values are right, sorted, of different columns, and nothing better was left out."""
    exact = reference.similarities(x, y, metric)
    slack = TOLERANCE[x.dtype] * sizes(x, y, metric)
    assert values.shape == indices.shape == (len(x), k)
    assert bool((indices >= 0).all())
    assert all(len(set(row)) == k for row in indices.tolist())
    error = (values.double() - exact.gather(1, indices)).abs()
    assert bool((error <= slack.gather(1, indices)).all())
    sign = -1 if metric == "l2" else 1
    assert bool((sign * values.diff(dim=1) <= 0).all())
    left = torch.ones(exact.shape, dtype=torch.bool).scatter_(1, indices, False)
    worst = sign * values[:, -1:].double()
    assert bool((~left | (sign * exact <= worst + 2 * slack)).all())


@given(
    rows=st.integers(1, 70),
    columns=st.integers(1, 600),
    depth=st.integers(1, 40),
    share=st.floats(0.0, 1.0),
    metric=st.sampled_from(METRICS),
    dtype=st.sampled_from(DTYPES),
    layout=layouts,
    seed=st.integers(0, 1000),
)
def test_random_values(
    rows: int,
    columns: int,
    depth: int,
    share: float,
    metric: str,
    dtype: torch.dtype,
    layout: str,
    seed: int,
) -> None:
    k = max(1, round(share * columns))
    x = in_layout(randn(rows, depth, seed=seed, dtype=dtype), layout)
    y = in_layout(randn(columns, depth, seed=seed + 1, dtype=dtype), layout)
    values, indices = topk_similarity(x, y, k, metric)
    assert values.dtype == (torch.float64 if dtype is torch.float64 else torch.float32)
    assert_right(x, y, k, metric, values, indices)


@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 900),
    depth=st.integers(0, 6),
    k=st.integers(1, 900),
    metric=st.sampled_from(["dot", "l2"]),
    dtype=st.sampled_from(DTYPES),
    filters=st.sampled_from(["none", "ids", "labels", "both"]),
    seed=st.integers(0, 1000),
)
def test_ties_and_exclusions_are_exact(
    rows: int,
    columns: int,
    depth: int,
    k: int,
    metric: str,
    dtype: torch.dtype,
    filters: str,
    seed: int,
) -> None:
    """Small integers have exact products: every index must be that of the stable sort."""
    k = min(k, columns)
    x = small_integers(rows, depth, seed=seed, dtype=dtype)
    y = small_integers(columns, depth, seed=seed + 1, dtype=dtype)
    chosen = {}
    generator = torch.Generator().manual_seed(seed)
    for kind in ("ids", "labels"):
        if filters in (kind, "both"):
            chosen[f"row_{kind}"] = torch.randint(-1, 4, (rows,), generator=generator)
            chosen[f"column_{kind}"] = torch.randint(-1, 4, (columns,), generator=generator)
    values, indices = topk_similarity(x, y, k, metric, **chosen)
    exact = reference.topk_similarity(x, y, k, metric, **chosen)
    assert torch.equal(values.double(), exact[0])
    assert torch.equal(indices, exact[1])


@given(
    rows=st.integers(1, 150),
    columns=st.integers(1, 900),
    k=st.integers(1, 600),
    metric=st.sampled_from(METRICS),
    seed=st.integers(0, 1000),
)
def test_threads_change_no_bit(rows: int, columns: int, k: int, metric: str, seed: int) -> None:
    k = min(k, columns)
    x, y = randn(rows, 33, seed=seed), randn(columns, 33, seed=seed + 1)
    values, indices = core_topk(x, y, k, metric, 1)
    for threads in (2, 3, 7):
        again = core_topk(x, y, k, metric, threads)
        assert np.array_equal(again[0], values)
        assert np.array_equal(again[1], indices)


def test_many_rows_and_columns() -> None:
    """Several blocks of rows, many tiles, buffers that fill up and are cut back."""
    x, y = randn(300, 16, seed=0), randn(3000, 16, seed=1)
    for k in (1, 7, 200, 512):
        values, indices = topk_similarity(x, y, k, "dot")
        assert_right(x, y, k, "dot", values, indices)


@every_metric
def test_ascending_and_descending_columns(metric: str) -> None:
    """The best come last, so that every column passes the limit; and the other way round."""
    steps = torch.linspace(1, 2, 2000)[:, None]
    y = torch.cat([steps, 1 / steps], 1)
    x = torch.tensor([[1.0, 0.1], [0.1, 1.0]])
    for bank in (y, y.flip(0)):
        values, indices = topk_similarity(x, bank, 50, metric)
        assert_right(x, bank, 50, metric, values, indices)


SPECIAL = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -2.0]


@given(
    rows=st.lists(st.sampled_from(SPECIAL), min_size=1, max_size=5),
    columns=st.lists(st.sampled_from(SPECIAL), min_size=1, max_size=300),
    dtype=st.sampled_from(DTYPES),
    data=st.data(),
)
def test_special_values(
    rows: list[float], columns: list[float], dtype: torch.dtype, data: st.DataObject
) -> None:
    x, y = (torch.tensor(values, dtype=dtype)[:, None] for values in (rows, columns))
    k = data.draw(st.integers(1, len(columns)))
    values, indices = topk_similarity(x, y, k, "dot")
    exact = reference.topk_similarity(x, y, k, "dot")
    assert torch.equal(indices, exact[1])
    assert torch.equal(values.double().nan_to_num(99), exact[0].nan_to_num(99))


def test_nan_row_and_nan_column() -> None:
    x, y = randn(3, 5, seed=0), randn(40, 5, seed=1)
    x[1, 2] = math.nan
    y[4] = math.nan
    for metric in METRICS:
        values, indices = topk_similarity(x, y, 40, metric)
        assert indices[[0, 2], -1].tolist() == [4, 4]
        assert values[[0, 2], -1].isnan().all()
        assert not values[[0, 2], :-1].isnan().any()
        assert values[1].isnan().all()
        assert indices[1].tolist() == list(range(40))


def test_nothing_below_the_precision_of_l2() -> None:
    """A copy is at distance 0 or a rounding error of its norm, never below 0."""
    x = randn(50, 30, seed=0) + 10
    values, indices = topk_similarity(x, x, 1, "l2")
    assert bool((values >= 0).all())
    assert bool((values <= 1e-5 * x.square().sum(1, keepdim=True)).all())
    assert bool((indices[:, 0] == torch.arange(50)).float().mean() > 0.9)


@every_metric
def test_leave_one_out(metric: str) -> None:
    x = randn(30, 6, seed=0)
    ids = torch.arange(30) // 2  # two views of each sample
    values, indices = topk_similarity(x, x, 28, metric, row_ids=ids, column_ids=ids)
    assert not (ids[indices] == ids[:, None]).any()
    more, rest = topk_similarity(x, x, 30, metric, row_ids=ids, column_ids=ids)
    assert torch.equal(more[:, :28], values)
    assert bool((rest[:, 28:] == -1).all())
    assert bool((more[:, 28:] == (math.inf if metric == "l2" else -math.inf)).all())


def test_no_column_is_allowed() -> None:
    x, y = randn(3, 4, seed=0), randn(5, 4, seed=1)
    ids = torch.zeros(5, dtype=torch.long)
    values, indices = topk_similarity(x, y, 2, row_ids=ids[:3], column_ids=ids)
    assert indices.tolist() == [[-1, -1]] * 3
    assert values.tolist() == [[-math.inf, -math.inf]] * 3


@every_metric
def test_no_rows_and_no_features(metric: str) -> None:
    y = randn(5, 4, seed=1)
    values, indices = topk_similarity(y[:0], y, 2, metric)
    assert values.shape == indices.shape == (0, 2)
    values, indices = topk_similarity(y[:2, :0], y[:, :0], 3, metric)
    assert values.tolist() == [[0.0] * 3] * 2
    assert indices.tolist() == [[0, 1, 2]] * 2


def test_zero_rows_have_cosine_zero() -> None:
    x, y = torch.zeros(2, 3), randn(4, 3, seed=1)
    values, indices = topk_similarity(x, y, 4)
    assert values.abs().max() == 0
    assert indices.tolist() == [[0, 1, 2, 3]] * 2


def test_expanded_rows_and_columns() -> None:
    x = randn(1, 5, seed=0).expand(7, 5)
    y = randn(9, 1, seed=1).expand(9, 5)
    expected = topk_similarity(x.contiguous(), y.contiguous(), 3)
    for mine, wanted in zip(topk_similarity(x, y, 3), expected, strict=True):
        assert torch.equal(mine, wanted)


def test_ids_of_other_integer_types() -> None:
    x = randn(6, 3, seed=0)
    ids = torch.arange(6)
    wanted = topk_similarity(x, x, 2, row_ids=ids, column_ids=ids)
    got = topk_similarity(x, x, 2, row_ids=ids.int(), column_ids=ids.to(torch.uint8))
    assert torch.equal(got.indices, wanted.indices)
    spread = torch.stack([ids, ids], 1)[:, 0]
    got = topk_similarity(x, x, 2, row_ids=spread, column_ids=spread)
    assert torch.equal(got.indices, wanted.indices)
