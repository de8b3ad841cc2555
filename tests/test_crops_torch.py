"""The crops as citizens of torch: derivatives, opcheck, compile, export, other devices."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from tests.crop_cases import KINDS, LAYOUTS, Kind, make_images

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
MEAN, STD = [0.4, 0.5], [0.2, 0.3]
PAIRS = [((9, 8), (4, 6)), ((8, 12), (4, 8)), ((7, 10), (5, 3)), ((6, 8), (6, 4)), ((5, 6), (4, 6))]


@each_kind
@pytest.mark.parametrize(("size", "small"), PAIRS, ids=str)
def test_gradcheck(kind: Kind, size: tuple[int, int], small: tuple[int, int]) -> None:
    x = make_images((1, 2, *size)).requires_grad_()
    function = lambda x: kind.function(x, small, mean=MEAN, std=STD)  # noqa: E731
    assert torch.autograd.gradcheck(function, x)
    assert torch.autograd.gradgradcheck(function, x)


@each_kind
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_gradient_equals_that_of_the_reference(kind: Kind, layout: str, dtype: torch.dtype) -> None:
    leaf = LAYOUTS[layout](make_images((2, 3, 30, 41), dtype)).detach().requires_grad_()
    exact = leaf.detach().double().requires_grad_()
    weights = make_images((2, 3, 20, 22), dtype, seed=1)
    kind.function(leaf, (20, 22)).backward(weights)
    kind.oracle(exact, 20, 22).backward(weights.double())
    unit = {torch.float64: 1e-12, torch.float32: 1e-5}.get(dtype, 2**-7)
    assert leaf.grad is not None
    assert exact.grad is not None
    assert leaf.grad.dtype == dtype
    torch.testing.assert_close(leaf.grad.double(), exact.grad, rtol=unit, atol=unit)


@each_kind
def test_expanded_gradient(kind: Kind) -> None:
    """The gradient of a sum is one value everywhere, of stride 0."""
    x = make_images((2, 3, 12, 14)).requires_grad_()
    kind.function(x, (5, 6)).sum().backward()
    grad = kind.backward_op(torch.ones(2, 3, 5, 6).double(), 12, 14, None, torch.float64)
    assert torch.equal(x.grad, grad)


@each_kind
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.uint8])
def test_opcheck(kind: Kind, layout: str, dtype: torch.dtype) -> None:
    """Schema, autograd registration, fake kernel and AOT dispatch agree with the kernel."""
    x = LAYOUTS[layout](make_images((2, 3, 12, 15), dtype))
    out = torch.float32 if dtype is torch.uint8 else dtype
    leaf = x if dtype is torch.uint8 else x.detach().requires_grad_()
    three = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    for values in ((5, 8, None, None, out), (6, 15, three, three, torch.float64)):
        torch.library.opcheck(kind.op, (leaf, *values))
    if dtype is not torch.uint8:
        torch.library.opcheck(kind.backward_op, (leaf, 20, 16, three, dtype))


@each_kind
def test_compile_whole_graph(kind: Kind) -> None:
    """One graph, no break, the same bits; another batch size needs no new one."""

    def function(x: Tensor) -> Tensor:
        return 2 * kind.function(x.sin(), 10, mean=MEAN, std=STD) + kind.function(x, (7, 20)).sum()

    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(function, backend=counter, fullgraph=True, dynamic=True)
    frames = []
    for images in (3, 5):
        x, y = (make_images((images, 2, 20, 20), torch.float32).requires_grad_() for _ in range(2))
        eager, traced = function(x), compiled(y)
        assert torch.equal(eager, traced)
        eager.sum().backward()
        traced.sum().backward()
        assert torch.equal(x.grad, y.grad)
        frames.append(counter.frame_count)
    # The first call may be traced twice: once with what it saw taken for constants.
    assert frames[0] == frames[1] > 0


@each_kind
def test_export(kind: Kind) -> None:
    class Module(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return kind.function(x, 12, mean=MEAN, std=STD)

    x = make_images((3, 2, 20, 30), torch.uint8)
    exported = torch.export.export(Module(), (x,)).module()
    assert torch.equal(exported(x), kind.function(x, 12, mean=MEAN, std=STD))


@each_kind
def test_autocast_changes_nothing(kind: Kind) -> None:
    """The released recipe crops outside autocast: float32 images stay float32."""
    x = make_images((2, 3, 20, 20), torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(kind.function(x, 12), kind.function(x.clone(), 12))
        assert kind.function(x, 12).dtype == torch.float32


@each_kind
def test_meta_tensors(kind: Kind) -> None:
    x = torch.empty(2, 3, 16, 16, device="meta", dtype=torch.float16, requires_grad=True)
    y = kind.function(x, (8, 9))
    y.sum().backward()
    assert (y.device.type, y.shape, y.dtype) == ("meta", (2, 3, 8, 9), torch.float16)
    assert x.grad is not None
    assert x.grad.shape == x.shape


def _on_a_device_without_kernel(op: Any, *values: Any) -> Any:
    """Runs what the dispatcher would pick for a device that has no kernel of its own."""
    # As inside a dispatched call: autograd has had its turn and records nothing.
    with torch._C._AutoDispatchBelowAutograd():
        return op.redispatch(torch._C.DispatchKeySet(torch._C.DispatchKey.XLA), *values)


@each_kind
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("size", "small"), PAIRS, ids=str)
def test_devices_without_kernel(
    kind: Kind, dtype: torch.dtype, size: tuple[int, int], small: tuple[int, int]
) -> None:
    x = make_images((2, 2, *size), dtype)
    scale, shift = torch.tensor([1.0, 2.0]), torch.tensor([0.5, -0.5])
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5}.get(dtype, 2**-7)
    forward = (x, *small, scale.double(), shift.double(), dtype)
    backward = (make_images((2, 2, *small), dtype), *size, scale.double(), dtype)
    for op, values in ((kind.op, forward), (kind.backward_op, backward)):
        plain = _on_a_device_without_kernel(op, *values)
        torch.testing.assert_close(plain, op(*values), rtol=tolerance, atol=tolerance)
