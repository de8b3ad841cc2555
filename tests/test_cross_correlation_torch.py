"""The operators as citizens of torch: derivatives, opcheck, compile, autocast."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from tests.cross_correlation_cases import (
    VICREG,
    Loss,
    assert_near,
    both_losses,
    both_sides,
    make_views,
    oracle,
    value_and_gradients,
)


@both_losses
@both_sides
@pytest.mark.parametrize("shape", [(5, 3), (4, 7)], ids=str)
def test_gradcheck(loss: Loss, side: str, shape: tuple[int, int]) -> None:
    leaves = [z.requires_grad_() for z in make_views(*shape, torch.float64)]
    function = lambda z1, z2: loss.function(z1, z2, side=side)  # noqa: E731
    assert torch.autograd.gradcheck(function, leaves)
    assert torch.autograd.gradgradcheck(function, leaves)


@both_losses
@both_sides
@pytest.mark.parametrize("tracked", [(True, False), (False, True)], ids=str)
def test_gradgradcheck_with_a_constant_view(
    loss: Loss, side: str, tracked: tuple[bool, bool]
) -> None:
    views = make_views(5, 4, torch.float64)
    leaves = [z.requires_grad_(wanted) for z, wanted in zip(views, tracked, strict=True)]
    function = lambda z1, z2: loss.function(z1, z2, side=side)  # noqa: E731
    assert torch.autograd.gradgradcheck(function, leaves)


@both_losses
@both_sides
def test_third_derivative_of_views_that_share_a_tensor(loss: Loss, side: str) -> None:
    """z2 is made from z1: the derivative by the op's first input must not pass through both."""

    def third_derivative(function: Callable[..., Tensor]) -> Tensor:
        z = make_views(5, 4, torch.float64)[0].requires_grad_()
        derivative = function(z, z.sin())
        for _ in range(3):
            (derivative,) = torch.autograd.grad(derivative.sum(), z, create_graph=True)
        return derivative.detach()

    wanted = third_derivative(loss.reference)
    got = third_derivative(lambda z1, z2: loss.function(z1, z2, side=side))
    assert_near(got, wanted, wanted.abs().max().item(), 1e-9)


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda z: z,
    "transposed": lambda z: z.T.contiguous().T,
    "sliced": lambda z: torch.cat([z, z], 1)[:, 1 : 1 + z.shape[1]],
    "expanded": lambda z: z[:, :1].expand(z.shape),
}


@both_losses
@both_sides
@pytest.mark.parametrize("layout", LAYOUTS)
def test_opcheck(loss: Loss, side: str, layout: str) -> None:
    """Schema, autograd registration, fake kernel and AOT dispatch agree with the kernel."""
    views = [LAYOUTS[layout](z) for z in make_views(4, 6)]
    leaves = [z.detach().requires_grad_() for z in views]
    torch.library.opcheck(loss.op, (*leaves, *loss.values, side, True))

    _, moments = loss.op(*views, *loss.values, side, True)
    grad = torch.tensor(1.5)
    # Not requires_grad: the second derivative is proven by gradgradcheck; opcheck's own
    # autograd test would differentiate by `moments`, which has no derivative.
    torch.library.opcheck(
        loss.backward_op, (grad, *views, moments, *loss.values, side, [True, True])
    )


@both_losses
@both_sides
def test_opcheck_without_moments_and_with_one_gradient(loss: Loss, side: str) -> None:
    views = make_views(4, 6)
    torch.library.opcheck(loss.op, (*views, *loss.values, side, False))
    _, nothing = loss.op(*views, *loss.values, side, False)
    _, moments = loss.op(*views, *loss.values, side, True)
    assert nothing.shape == (0, 0)
    grad = torch.tensor(1.5)
    arguments = (grad, *views, nothing, *loss.values, side, [True, False])
    torch.library.opcheck(loss.backward_op, arguments)
    g1, absent = loss.backward_op(*arguments)
    both = loss.backward_op(grad, *views, moments, *loss.values, side, [True, True])
    assert torch.equal(g1, both[0])
    assert absent.shape == (0, 0)


@both_losses
def test_compile_whole_graph_for_any_batch_size(loss: Loss) -> None:
    """One graph, no break, no recompilation for a second N and D."""

    def objective(z1: Tensor, z2: Tensor) -> Tensor:
        return loss.function(2 * z1, z2.tanh(), side="samples") + z1.mean()

    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(objective, backend=counter, fullgraph=True, dynamic=True)
    frames = []
    for shape in ((6, 9), (11, 14)):
        views = make_views(*shape)
        eager = value_and_gradients(objective, *views)
        for mine, wanted in zip(value_and_gradients(compiled, *views), eager, strict=True):
            assert torch.equal(mine, wanted)
        frames.append(counter.frame_count)
    # The first call may be traced twice: once with its float weights taken for dynamic.
    assert frames[0] == frames[1] > 0


def test_compile_with_inductor() -> None:
    views = make_views(6, 9)

    def objective(z1: Tensor, z2: Tensor) -> Tensor:
        return VICREG.function(2 * z1, z2)

    compiled = torch.compile(objective, fullgraph=True)
    eager = value_and_gradients(objective, *views)
    for mine, wanted in zip(value_and_gradients(compiled, *views), eager, strict=True):
        assert_near(mine, wanted, wanted.abs().max().item(), 1e-6)


@both_losses
def test_export(loss: Loss) -> None:
    class Objective(torch.nn.Module):
        def forward(self, z1: Tensor, z2: Tensor) -> Tensor:
            return loss.function(z1, z2)

    views = make_views(6, 9)
    exported = torch.export.export(Objective(), views).module()
    assert torch.equal(exported(*views), loss.function(*views))


@both_losses
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_autocast_computes_in_float32(loss: Loss, dtype: torch.dtype) -> None:
    views = make_views(20, 30, dtype)
    plain = value_and_gradients(loss.function, *views)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = value_and_gradients(loss.function, *views)
    # float64 is left alone, as by torch's own float32 list; 16-bit inputs are widened exactly.
    assert cast[0].dtype == plain[0].dtype
    for mine, wanted in zip(cast, plain, strict=True):
        assert mine.dtype == wanted.dtype
        assert torch.equal(mine, wanted)


@both_losses
def test_autocast_joins_views_of_two_dtypes(loss: Loss) -> None:
    z1, z2 = make_views(20, 30, torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = loss.function(z1, z2.float())
    assert torch.equal(mixed, loss.function(z1.float(), z2.float()))


@both_losses
def test_meta_tensors(loss: Loss) -> None:
    z1, z2 = (z.to("meta") for z in make_views(4, 6, torch.float16))
    value, g1, _ = value_and_gradients(loss.function, z1, z2)
    assert (value.device.type, value.shape, value.dtype) == ("meta", (), torch.float32)
    assert (g1.device.type, g1.shape, g1.dtype) == ("meta", (4, 6), torch.float16)


def _on_a_device_without_kernel(op: Any, *arguments: Any) -> Any:
    """Runs what the dispatcher would pick for a device that has no kernel of its own."""
    # As inside a dispatched call: autograd has had its turn and records nothing.
    with torch._C._AutoDispatchBelowAutograd():
        return op.redispatch(torch._C.DispatchKeySet(torch._C.DispatchKey.XLA), *arguments)


@both_losses
@both_sides
@pytest.mark.parametrize("wanted", [(True, True), (True, False), (False, True)], ids=str)
def test_devices_without_kernel(loss: Loss, side: str, wanted: tuple[bool, bool]) -> None:
    views = make_views(12, 20, torch.float64)
    value, *gradients = value_and_gradients(loss.function, *views, side=side)
    got, moments = _on_a_device_without_kernel(loss.op, *views, *loss.values, side, True)
    assert_near(got, value, value.abs().item(), 1e-10)
    grad = torch.tensor(2.0, dtype=torch.float64)
    got = _on_a_device_without_kernel(
        loss.backward_op, grad, *views, moments, *loss.values, side, list(wanted)
    )
    for mine, gradient, want in zip(got, gradients, wanted, strict=True):
        if want:
            assert_near(mine, 2 * gradient, gradient.abs().max().item(), 1e-10)
        else:
            assert mine.shape == (0, 0)


@both_losses
@both_sides
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_devices_without_kernel_in_other_dtypes(loss: Loss, side: str, dtype: torch.dtype) -> None:
    """Computed in float32, gradients rounded to the views' dtype; constant columns too."""
    views = make_views(12, 20, dtype)
    views[0][:, 4] = 1
    value, *gradients, sizes = oracle(loss, *views)
    got, moments = _on_a_device_without_kernel(loss.op, *views, *loss.values, side, True)
    assert got.dtype == torch.float32
    assert_near(got, value, sizes.value, 1e-5)
    both = _on_a_device_without_kernel(
        loss.backward_op, torch.tensor(1.0), *views, moments, *loss.values, side, [True, True]
    )
    for mine, exact in zip(both, gradients, strict=True):
        assert mine.dtype == dtype
        # Half a unit in the last place of the largest entry bounds that of every other.
        rounding = torch.finfo(dtype).eps / 2 * exact.abs().max().item()
        assert_near(mine, exact, rounding * 1.001 + 1e-5 * sizes.gradient, 1.0)


@both_losses
@both_sides
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("shape", [(2, 3), (9, 30), (30, 9)], ids=str)
def test_plain_formula(loss: Loss, side: str, dtype: torch.dtype, shape: tuple[int, int]) -> None:
    """``ipse.ops.formulas`` is exact too: it serves other devices and the second derivative."""
    views = make_views(*shape, dtype)
    wide = [z.double() for z in views]
    exact = value_and_gradients(loss.reference, *wide)
    got = value_and_gradients(loss.formula, *views, *loss.values, side)
    sizes = loss.sizes(*wide)
    tolerance = {torch.float64: 1e-10, torch.float32: 1e-5}[dtype]
    assert_near(got[0], exact[0], sizes.value, tolerance)
    for mine, gradient in zip(got[1:], exact[1:], strict=True):
        assert_near(mine, gradient, sizes.gradient, tolerance)
