"""elastic_linear and elastic_layer_norm against sub-networks cut out of the weights."""

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ipse.functional import elastic_layer_norm, elastic_linear
from ipse.ops import elastic
from tests.reference import elastic as reference

OPS = torch.ops.ipse
TOLERANCE = {
    torch.float64: 1e-12,
    torch.float32: 1e-5,
    torch.bfloat16: 2**-6,
    torch.float16: 2**-9,
}


def randn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def make(
    rows: int, used: int, columns: int, width: int, groups: int, dtype: torch.dtype
) -> tuple[Tensor, ...]:
    x = randn(4, width, seed=1, dtype=dtype)
    weight = randn(groups * rows, columns, seed=2, dtype=dtype)
    return x, weight, randn(groups * rows, seed=3, dtype=dtype)


@given(
    st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))),
    st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))),
    st.integers(1, 3),
    st.sampled_from(list(TOLERANCE)),
)
def test_values_and_gradients(
    out: tuple[int, int], into: tuple[int, int], groups: int, dtype: torch.dtype
) -> None:
    tensors = make(*out, *into, groups, dtype)
    leaves = [t.requires_grad_() for t in tensors]
    got = elastic_linear(*leaves, out_features=out[1], groups=groups)
    exact = [t.detach().double().requires_grad_() for t in tensors]
    wanted = reference.elastic_linear(*exact, out[1], groups)
    incoming = torch.randn_like(got)
    mine = [got, *torch.autograd.grad(got, leaves, incoming)]
    theirs = [wanted, *torch.autograd.grad(wanted, exact, incoming.double())]
    scale = into[0] / into[1]
    for a, b in zip(mine, theirs, strict=True):
        tolerance = 20 * scale * TOLERANCE[dtype]
        torch.testing.assert_close(a.double(), b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_gradcheck(groups: int, bias: bool) -> None:
    x, weight, start = make(5, 2, 4, 3, groups, torch.float64)
    leaves = [t.requires_grad_() for t in ((x, weight, start) if bias else (x, weight))]

    def function(*inputs: Tensor) -> Tensor:
        return elastic_linear(*inputs, out_features=2, groups=groups).sin()

    assert torch.autograd.gradcheck(function, leaves)
    assert torch.autograd.gradgradcheck(function, leaves)


def test_full_width_is_the_plain_layer() -> None:
    x, weight, bias = make(6, 6, 5, 5, 1, torch.float32)
    x = x.view(2, 2, 5)
    plain = torch.nn.functional.linear(x, weight, bias)
    torch.testing.assert_close(elastic_linear(x, weight, bias), plain)
    norm = torch.nn.functional.layer_norm(x, (5,), weight[0], weight[1], 1e-6)
    assert torch.equal(elastic_layer_norm(x, weight[0], weight[1]), norm)


def test_layer_norm_over_the_active_features() -> None:
    x, weight, bias = randn(3, 4), randn(9, seed=4), randn(9, seed=5)
    leaves = [t.requires_grad_() for t in (x, weight, bias)]
    got = elastic_layer_norm(*leaves)
    torch.testing.assert_close(got, reference.elastic_layer_norm(x, weight, bias, 1e-6))
    assert torch.autograd.gradcheck(elastic_layer_norm, leaves)
    assert torch.autograd.gradgradcheck(elastic_layer_norm, leaves)
    (grad,) = torch.autograd.grad(got.sum(), weight)
    assert torch.equal(grad[4:], torch.zeros(5).double())
    assert elastic_layer_norm(x).shape == x.shape


class RecordNames(TorchDispatchMode):
    """Which operators run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(
        self, op: Any, types: Any, arguments: Any = (), keywords: Any = None
    ) -> Any:
        self.names.append(str(op))
        return op(*arguments, **(keywords or {}))


def test_no_part_of_the_weight_is_copied() -> None:
    x, weight, bias = make(64, 32, 64, 32, 3, torch.float32)
    with RecordNames() as record, torch._C._AutoDispatchBelowAutograd():
        elastic.linear(x, weight, bias, 32, 3)
        elastic.weight_gradient(randn(4, 96, dtype=torch.float32), x, *weight.shape, 3)
    assert any("addmm" in name for name in record.names)
    assert not [n for n in record.names if "copy" in n or "clone" in n or "contiguous" in n]


def test_opcheck_compile_autocast_and_empty() -> None:
    for dtype, groups in itertools.product((torch.float32, torch.bfloat16), (1, 3)):
        x, weight, bias = (t.requires_grad_() for t in make(5, 2, 4, 3, groups, dtype))
        torch.library.opcheck(OPS.elastic_linear.default, (x, weight, bias, 2, groups))
        torch.library.opcheck(OPS.elastic_linear.default, (x, weight, None, 2, groups))
        grad = randn(4, 2 * groups, dtype=dtype).requires_grad_()
        op = OPS.elastic_linear_weight_backward.default
        torch.library.opcheck(op, (grad, x, *weight.shape, groups))

    def block(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return elastic_linear(elastic_layer_norm(x, bias, bias), weight, bias, out_features=2)

    compiled = torch.compile(block, backend="aot_eager", fullgraph=True)
    x, weight, bias = (t.requires_grad_() for t in make(5, 2, 4, 3, 1, torch.float32))
    assert torch.equal(compiled(x, weight, bias), block(x, weight, bias))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert elastic_linear(x, weight, bias).dtype == torch.bfloat16
    assert elastic_linear(x[:0], weight, bias, out_features=2).shape == (0, 2)
    assert elastic_linear(x.view(2, 2, 3)[:, :0], weight).shape == (2, 0, 5)


X, WEIGHT, BIAS = make(5, 5, 4, 3, 1, torch.float32)


@pytest.mark.parametrize(
    ("arguments", "keywords", "error", "message"),
    [
        ((X[0], WEIGHT), {}, ValueError, r"x must be \(N, \.\.\., in\), got shape \(3,\)"),
        ((X, WEIGHT[:, :2]), {}, ValueError, "x must have from 1 to 2 features, .* got 3"),
        ((X, WEIGHT[0]), {}, ValueError, r"x must be \(N, in\) and weight \(out, in\)"),
        ((X, WEIGHT), {"out_features": 6}, ValueError, "out_features must be from 1 to 5"),
        ((X, WEIGHT), {"out_features": 0}, ValueError, "out_features must be from 1 to 5"),
        ((X, WEIGHT), {"groups": 2}, ValueError, "groups must divide the weight's 5 rows, got 2"),
        ((X, WEIGHT), {"groups": 0}, ValueError, "groups must divide the weight's 5 rows, got 0"),
        ((X, WEIGHT, BIAS[:4]), {}, ValueError, r"bias must have shape \(5,\), got \(4,\)"),
        ((X.double(), WEIGHT), {}, TypeError, "x and weight must have the same dtype"),
        ((X, WEIGHT, BIAS.double()), {}, TypeError, "x and bias must have the same dtype"),
        ((X, WEIGHT.to("meta")), {}, ValueError, "x and weight must be on the same device"),
    ],
)
def test_messages(
    arguments: tuple[Any, ...], keywords: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^elastic_linear: {message}"):
        elastic_linear(*arguments, **keywords)


def test_layer_norm_messages() -> None:
    with pytest.raises(ValueError, match=r"^elastic_layer_norm: bias must be \(D,\) with D at"):
        elastic_layer_norm(X, None, BIAS[:2])
    with pytest.raises(ValueError, match=r"^elastic_layer_norm: x must be \(N, \.\.\., w\)"):
        elastic_layer_norm(X[0])
