"""The operators as citizens of torch: derivatives, opcheck, compile, export, autocast."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from tests.similarity_cases import (
    INFO_NCE,
    NTXENT,
    SUMS,
    Case,
    each_case,
    each_operator,
    inputs_for,
    value_and_gradients,
)


@each_case
@pytest.mark.parametrize("shape", [(5, 3), (4, 7)], ids=str)
def test_gradcheck(case: Case, shape: tuple[int, int]) -> None:
    leaves = [x.requires_grad_() for x in inputs_for(case, *shape, torch.float64)]
    assert torch.autograd.gradcheck(case, leaves)
    assert torch.autograd.gradgradcheck(case, leaves)


@each_case
def test_gradcheck_with_everything_learned(case: Case) -> None:
    names = [name for name in ("temperature", "logit_scale", "logit_bias") if name in case.keywords]
    learned = [torch.tensor(case.keywords[name]).double().requires_grad_() for name in names]

    def function(x: Tensor, y: Tensor, *values: Tensor) -> Tensor:
        return case(x, y, **dict(zip(names, values, strict=True)))

    leaves = [x.requires_grad_() for x in inputs_for(case, 4, 3, torch.float64)]
    assert torch.autograd.gradcheck(function, (*leaves, *learned))
    assert torch.autograd.gradgradcheck(function, (*leaves, *learned))


@pytest.mark.parametrize("case", [NTXENT, INFO_NCE, SUMS], ids=lambda case: case.name)
def test_gradcheck_with_one_temperature_for_each_row(case: Case) -> None:
    temperatures = torch.linspace(0.2, 0.9, 4, dtype=torch.float64, requires_grad=True)
    leaves = [x.requires_grad_() for x in inputs_for(case, 4, 3, torch.float64)]
    function = lambda x, y, t: case(x, y, temperature=t)  # noqa: E731
    assert torch.autograd.gradcheck(function, (*leaves, temperatures))
    assert torch.autograd.gradgradcheck(function, (*leaves, temperatures))


@each_case
@pytest.mark.parametrize("tracked", [(True, False), (False, True)], ids=str)
def test_gradgradcheck_with_a_constant_input(case: Case, tracked: tuple[bool, bool]) -> None:
    inputs = inputs_for(case, 5, 4, torch.float64)
    leaves = [x.requires_grad_(wanted) for x, wanted in zip(inputs, tracked, strict=True)]
    assert torch.autograd.gradgradcheck(case, leaves)


@each_case
def test_third_derivative_of_inputs_that_share_a_tensor(case: Case) -> None:
    """y is made from x: the derivative by the op's first input must not pass through both."""

    def third_derivative(function: Callable[..., Tensor]) -> Tensor:
        x = inputs_for(case, 4, 3, torch.float64)[0].requires_grad_()
        derivative = function(x, x.sin())
        for _ in range(3):
            (derivative,) = torch.autograd.grad(derivative.sum(), x, create_graph=True)
        return derivative.detach()

    wanted = third_derivative(case.exact)
    got = third_derivative(case)
    torch.testing.assert_close(got, wanted, rtol=1e-8, atol=1e-9 * wanted.abs().max().item())


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.T.contiguous().T,
    "sliced": lambda x: torch.cat([x, x], 1)[:, 1 : 1 + x.shape[1]],
    "expanded": lambda x: x[:, :1].expand(x.shape),
}


@each_operator
@pytest.mark.parametrize("layout", LAYOUTS)
def test_opcheck(case: Case, layout: str) -> None:
    """Schema, autograd registration, fake kernel and AOT dispatch agree with the kernel."""
    inputs = [LAYOUTS[layout](x) for x in inputs_for(case, 4, 6)]
    leaves = [x.detach().requires_grad_() for x in inputs]
    torch.library.opcheck(case.op, (*leaves, *case.op_arguments(4, inputs[0])))


@pytest.mark.parametrize("scale", [torch.tensor(3.0), torch.linspace(2, 4, 8)], ids=["one", "rows"])
def test_opcheck_with_learned_scale(scale: Tensor) -> None:
    leaves = [x.detach().requires_grad_() for x in inputs_for(NTXENT, 4, 6)]
    arguments = (*leaves, scale.clone().requires_grad_(), 0.0, 4, True)
    torch.library.opcheck(NTXENT.op, arguments)
    arguments = (leaves[0], None, scale[:4].clone().requires_grad_() if scale.dim() else scale)
    for exclude in ("self", "sample"):
        torch.library.opcheck(SUMS.op, (*arguments, 0.0, True, exclude, 2, False))


@pytest.mark.parametrize("normalize", [True, False])
def test_opcheck_with_constant_columns(normalize: bool) -> None:
    """The gradient by the rows is made on the way forward."""
    x, y = inputs_for(SUMS, 4, 6)
    scale = torch.tensor(3.0, requires_grad=True)
    arguments = (x.requires_grad_(), y, scale, 0.0, normalize, "none", 0, True)
    torch.library.opcheck(SUMS.op, arguments)


def test_opcheck_of_the_backward_operators() -> None:
    x, y = inputs_for(NTXENT, 4, 6)
    _, rows, columns = NTXENT.op(x, y, None, 3.0, 4, True)
    grad = torch.tensor(1.5)
    for wanted in ([True, True, False], [True, False, False], [False, True, False]):
        torch.library.opcheck(
            torch.ops.ipse.ntxent_backward.default,
            (grad, x, y, None, rows, columns, 3.0, 4, wanted),
        )
    scale, bias = torch.tensor(1.5), torch.tensor(-0.5)
    for paired in (True, False):
        torch.library.opcheck(
            torch.ops.ipse.siglip_backward.default,
            (grad, x, y, scale, bias, paired, [True, False, True, True]),
        )


@each_case
def test_compile_whole_graph_for_any_batch_size(case: Case) -> None:
    """One graph, no break, no recompilation for a second N and D."""

    def objective(x: Tensor, y: Tensor) -> Tensor:
        return case(2 * x, y.tanh()) + x.mean()

    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(objective, backend=counter, fullgraph=True, dynamic=True)
    frames = []
    for shape in ((6, 9), (11, 14)):
        inputs = inputs_for(case, *shape)
        eager, wanted = value_and_gradients(objective, inputs)
        value, gradients = value_and_gradients(compiled, inputs)
        torch.testing.assert_close(value, eager, rtol=1e-6, atol=1e-7)
        for got, exact in zip(gradients, wanted, strict=True):
            torch.testing.assert_close(got, exact, rtol=1e-5, atol=1e-7)
        frames.append(counter.frame_count)
    # The first call may be traced twice: once with its float weights taken for dynamic.
    assert frames[0] == frames[1] > 0


@each_case
def test_export(case: Case) -> None:
    class Objective(torch.nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return case(x, y)

    inputs = inputs_for(case, 6, 9)
    exported = torch.export.export(Objective(), inputs).module()
    torch.testing.assert_close(exported(*inputs), case(*inputs), rtol=1e-6, atol=0)


@each_operator
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_autocast_computes_in_float32(case: Case, dtype: torch.dtype) -> None:
    inputs = inputs_for(case, 20, 30, dtype)
    plain, gradients = value_and_gradients(case, inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast, found = value_and_gradients(case, inputs)
    # float64 is left alone, as by torch's own float32 list; 16-bit inputs are widened exactly.
    assert cast.dtype == plain.dtype
    assert torch.equal(cast, plain)
    for got, wanted in zip(found, gradients, strict=True):
        assert got.dtype == wanted.dtype
        assert torch.equal(got, wanted)


@each_operator
def test_autocast_joins_inputs_of_two_dtypes(case: Case) -> None:
    x, y = inputs_for(case, 20, 30, torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = case(x, y.float())
    assert torch.equal(mixed, case(x.float(), y.float()))


@each_operator
def test_meta_tensors(case: Case) -> None:
    inputs = tuple(x.to("meta") for x in inputs_for(case, 4, 6, torch.float16))
    value, gradients = value_and_gradients(case, inputs)
    assert (value.device.type, value.shape, value.dtype) == ("meta", (), torch.float32)
    assert (gradients[0].device.type, gradients[0].shape) == ("meta", (4, 6))
    assert gradients[0].dtype is torch.float16


@each_operator
def test_devices_without_kernel(case: Case) -> None:
    """What the dispatcher would pick for a device that has no kernel of its own."""
    inputs = inputs_for(case, 12, 20, torch.float64)
    arguments = (*inputs, *case.op_arguments(12, inputs[0]))
    # As inside a dispatched call: autograd has had its turn and records nothing.
    with torch._C._AutoDispatchBelowAutograd():
        keys = torch._C.DispatchKeySet(torch._C.DispatchKey.XLA)
        got = case.op.redispatch(keys, *arguments)
        wanted = case.op(*arguments)
    for mine, exact in zip(first_results(got, case), first_results(wanted, case), strict=True):
        torch.testing.assert_close(mine, exact, rtol=1e-11, atol=1e-13)


def first_results(outputs: Any, case: Case) -> tuple[Tensor, ...]:
    """The public results, without what is kept for backward."""
    if isinstance(outputs, Tensor):
        return (outputs,)
    return tuple(outputs[:2] if case is SUMS else outputs[:1])


@each_case
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_same_bits_for_the_same_work(case: Case, threads: int, restored_threads: None) -> None:
    torch.set_num_threads(threads)
    inputs = inputs_for(case, 150, 70)
    first, gradients = value_and_gradients(case, inputs)
    for _ in range(3):
        again, found = value_and_gradients(case, inputs)
        assert torch.equal(again, first)
        assert all(torch.equal(a, b) for a, b in zip(found, gradients, strict=True))


@each_case
def test_inputs_without_gradient_get_none(case: Case) -> None:
    x, y = inputs_for(case, 6, 5)
    both = value_and_gradients(case, (x, y))[1]
    for which in (0, 1):
        leaves = [x.clone().requires_grad_(which == 0), y.clone().requires_grad_(which == 1)]
        case(*leaves).backward()
        torch.testing.assert_close(leaves[which].grad, both[which], rtol=1e-6, atol=1e-8)
        assert leaves[1 - which].grad is None


@each_case
def test_one_tensor_for_both_inputs(case: Case) -> None:
    x, _ = inputs_for(case, 6, 5, torch.float64)
    leaf = x.clone().requires_grad_()
    case(leaf, leaf).backward()
    exact = x.clone().requires_grad_()
    case.exact(exact, exact).backward()
    torch.testing.assert_close(leaf.grad, exact.grad, rtol=1e-10, atol=1e-13)
