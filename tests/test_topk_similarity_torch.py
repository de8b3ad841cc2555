"""topk_similarity as a citizen of torch: derivatives, opcheck, compile, autocast, messages."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ipse.functional import topk_similarity
from tests.neighbours_cases import METRICS, in_layout, randn, small_integers
from tests.reference import neighbours as reference

every_metric = pytest.mark.parametrize("metric", METRICS)
OP = torch.ops.ipse.topk_similarity.default
IDS = (torch.tensor([0, 1, 2, 3, 4]), torch.tensor([0, 1, 2, 0, 0, 5, 6]))


def leaves(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    x, y = randn(5, 4, seed=0, dtype=dtype), randn(7, 4, seed=1, dtype=dtype)
    return x.requires_grad_(), y.requires_grad_()


def function(metric: str, k: int = 3) -> Callable[[Tensor, Tensor], Tensor]:
    def values(x: Tensor, y: Tensor) -> Tensor:
        found = topk_similarity(x, y, k, metric, row_ids=IDS[0], column_ids=IDS[1]).values
        return torch.where(found.isfinite(), found, 0)  # gradcheck takes no infinity

    return values


@every_metric
@pytest.mark.parametrize("k", [1, 3, 7])
def test_gradcheck(metric: str, k: int) -> None:
    assert torch.autograd.gradcheck(function(metric, k), leaves())
    assert torch.autograd.gradgradcheck(function(metric, k), leaves())


@every_metric
@pytest.mark.parametrize("constant", [0, 1])
def test_gradcheck_with_a_constant(metric: str, constant: int) -> None:
    pair = leaves()
    pair[constant].requires_grad_(False)
    assert torch.autograd.gradcheck(function(metric), pair)
    assert torch.autograd.gradgradcheck(function(metric), pair)


@every_metric
def test_third_derivative_of_a_matrix_with_itself(metric: str) -> None:
    x = leaves()[0]
    indices = topk_similarity(x, x, 3, metric).indices

    def third(values: Callable[[Tensor], Tensor]) -> Tensor:
        derivative = values(x).sin().sum()
        for _ in range(3):
            (derivative,) = torch.autograd.grad(derivative.sum(), x, create_graph=True)
        return derivative.detach()

    got = third(lambda z: topk_similarity(z, z, 3, metric).values[:, 1:])
    wanted = third(lambda z: reference.similarities(z, z, metric).gather(1, indices)[:, 1:])
    assert torch.allclose(got, wanted, rtol=1e-8, atol=1e-8)


@every_metric
def test_gradient_of_rows_at_zero_is_finite(metric: str) -> None:
    x = torch.zeros(2, 3, requires_grad=True)
    topk_similarity(x, randn(4, 3, seed=1), 2, metric).values.sum().backward()
    assert bool(x.grad.isfinite().all())


@every_metric
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_gradients_of_16_bit_inputs(metric: str, dtype: torch.dtype) -> None:
    x, y = (t.detach().requires_grad_() for t in leaves(dtype))
    wide = [t.detach().double().requires_grad_() for t in (x, y)]
    found = topk_similarity(x, y, 3, metric)
    found.values.cos().sum().backward()
    reference.similarities(*wide, metric).gather(1, found.indices).cos().sum().backward()
    for mine, exact in zip((x, y), wide, strict=True):
        assert mine.grad.dtype == dtype
        error = (mine.grad.double() - exact.grad).abs()
        assert bool((error <= torch.finfo(dtype).eps * (exact.grad.abs() + 1e-2)).all())


@every_metric
@pytest.mark.parametrize("layout", ["contiguous", "transposed", "gaps"])
def test_opcheck(metric: str, layout: str) -> None:
    x, y = (in_layout(t.detach(), layout).requires_grad_() for t in leaves(torch.float32))
    torch.library.opcheck(OP, (x, y, 3, metric, None, None, None, None))
    torch.library.opcheck(OP, (x, y, 3, metric, *IDS, None, None))
    torch.library.opcheck(OP, (x, y, 7, metric, None, None, *IDS))


def test_compile_whole_graph() -> None:
    def objective(x: Tensor, y: Tensor) -> Tensor:
        return topk_similarity(2 * x, y.tanh(), 3).values.exp().sum()

    compiled = torch.compile(objective, backend="aot_eager", fullgraph=True)
    results = []
    for run in (objective, compiled):
        pair = leaves(torch.float32)
        run(*pair).backward()
        results.append([t.grad for t in pair])
    for mine, wanted in zip(*results, strict=True):
        assert torch.allclose(mine, wanted, rtol=1e-6, atol=1e-7)


def test_autocast_computes_in_float32() -> None:
    x, y = randn(5, 4, seed=0, dtype=torch.bfloat16), randn(7, 4, seed=1)
    wanted = topk_similarity(x.float(), y, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = topk_similarity(x, y, 3)
    assert torch.equal(got.values, wanted.values)
    assert torch.equal(got.indices, wanted.indices)


def test_meta_tensors() -> None:
    x, y = (t.detach().to("meta") for t in leaves(torch.float16))
    values, indices = topk_similarity(x, y, 3)
    assert (values.shape, values.dtype) == ((5, 3), torch.float32)
    assert (indices.shape, indices.dtype) == ((5, 3), torch.int64)


@every_metric
@pytest.mark.parametrize("filters", [(None,) * 4, (*IDS, None, None), (None, None, *IDS)])
def test_devices_without_kernel(metric: str, filters: tuple[Any, ...]) -> None:
    """The plain form gives the same choice, ties, NaN and all."""
    x, y = small_integers(5, 3, seed=0), small_integers(7, 3, seed=1)
    y[2] = torch.nan
    with torch._C._AutoDispatchBelowAutograd():
        keys = torch._C.DispatchKeySet(torch._C.DispatchKey.XLA)
        values, indices = OP.redispatch(keys, x, y, 7, metric, *filters)
    native = OP(x, y, 7, metric, *filters)
    assert torch.equal(indices, native[1])
    assert torch.allclose(values, native[0], rtol=1e-6, atol=1e-6, equal_nan=True)


X, Y = torch.zeros(4, 3), torch.zeros(6, 3)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"k": 0}, ValueError, "k must be from 1 to the 6 rows of y, got 0"),
        ({"k": 7}, ValueError, "k must be from 1 to the 6 rows of y, got 7"),
        ({"y": Y[:0]}, ValueError, "k must be from 1 to the 0 rows of y, got 2"),
        ({"metric": "l1"}, ValueError, "metric must be one of cosine, dot, l2, got 'l1'"),
        ({"x": X[0]}, ValueError, r"x must be \(N, D\), got shape \(3,\)"),
        ({"y": Y[:, :2]}, ValueError, r"same number of features, got \(4, 3\) and \(6, 2\)"),
        ({"y": Y.double()}, TypeError, "same dtype, got torch.float32 and torch.float64"),
        ({"x": X.int()}, TypeError, "x must be float32, float64, bfloat16 or float16"),
        ({"y": Y.to("meta")}, ValueError, "same device, got cpu and meta"),
        ({"x": X.to_sparse()}, TypeError, "x must be a dense tensor"),
        ({"row_ids": IDS[0][:4]}, ValueError, "row_ids and column_ids must be given together"),
        ({"column_labels": IDS[1]}, ValueError, "row_labels and column_labels must be given"),
        (
            {"row_ids": IDS[0], "column_ids": IDS[1][:6]},
            ValueError,
            r"row_ids must have shape \(4,\), got \(5,\)",
        ),
        (
            {"row_ids": torch.zeros(4), "column_ids": IDS[1][:6]},
            TypeError,
            "row_ids must be int64, got torch.float32",
        ),
    ],
)
def test_messages(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments = {"x": X, "y": Y, "k": 2} | change
    with pytest.raises(error, match=f"^topk_similarity: .*{message}"):
        topk_similarity(**arguments)
