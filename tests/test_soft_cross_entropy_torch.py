"""Soft cross-entropy and Sinkhorn as citizens of torch: derivatives, opcheck, compile, autocast."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from ipse.functional import dino_loss, sinkhorn, soft_cross_entropy, swav_loss
from ipse.ops import prototype_formulas as formulas
from tests.prototype_cases import make_views
from tests.reference import prototypes as reference

SOFT_CROSS_ENTROPY = torch.ops.ipse.soft_cross_entropy.default
BACKWARD = torch.ops.ipse.soft_cross_entropy_backward.default
SINKHORN = torch.ops.ipse.sinkhorn.default

WEIGHTS = [0.5, 0.0, -1.0, 2.0, 0.0, 0.0]  # three students, two targets; the last has none


def arguments(kind: str, dtype: torch.dtype = torch.float64) -> tuple[Any, ...]:
    """Positional arguments of the operator."""
    students = make_views(3, 4, 6, dtype, seed=1)
    targets = make_views(2, 4, 6, dtype, seed=2)
    if kind == "probabilities":
        return students, [t.softmax(1) for t in targets], None, WEIGHTS, 0.2, None
    center = make_views(1, 1, 6, dtype, seed=3)[0] if kind == "centered" else None
    return students, targets, center, WEIGHTS, 0.2, 0.3


kinds = pytest.mark.parametrize("kind", ["logits", "centered", "probabilities"])


@kinds
def test_gradcheck(kind: str) -> None:
    students, *rest = arguments(kind)
    leaves = [s.requires_grad_() for s in students]
    function = lambda *views: SOFT_CROSS_ENTROPY(list(views), *rest)  # noqa: E731
    assert torch.autograd.gradcheck(function, leaves)
    assert torch.autograd.gradgradcheck(function, leaves)


@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_gradgradcheck_with_constant_students(wanted: int) -> None:
    students, *rest = arguments("centered")
    leaf = students[wanted].requires_grad_()
    function = lambda leaf: SOFT_CROSS_ENTROPY(  # noqa: E731
        [leaf if v == wanted else s for v, s in enumerate(students)], *rest
    )
    assert torch.autograd.gradgradcheck(function, leaf)


def test_third_derivative_of_views_that_share_a_tensor() -> None:
    """The students are made from one another: each derivative must stop at its own view."""

    def third_derivative(function: Callable[..., Tensor]) -> Tensor:
        z = make_views(1, 4, 6)[0].requires_grad_()
        targets = [t.softmax(1) for t in make_views(2, 4, 6, seed=2)]
        derivative = function([z, z.sin()], targets)
        for _ in range(3):
            (derivative,) = torch.autograd.grad(derivative.sum(), z, create_graph=True)
        return derivative.detach()

    def plain(students: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        pairs = [reference.soft_cross_entropy(s, t, 0.5) for s in students for t in targets]
        return torch.stack(pairs).mean(1).mean()

    wanted = third_derivative(plain)
    got = third_derivative(lambda s, t: soft_cross_entropy(s, t, student_temperature=0.5))
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda z: z,
    "transposed": lambda z: z.T.contiguous().T,
    "expanded": lambda z: z[:, :1].expand(z.shape),
}


@kinds
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_opcheck(kind: str, layout: str, dtype: torch.dtype) -> None:
    """Schema, autograd registration, fake kernel and AOT dispatch agree with the kernel."""
    students, targets, *rest = arguments(kind, dtype)
    students = [LAYOUTS[layout](s) for s in students]
    leaves = [s.detach().requires_grad_() for s in students]
    torch.library.opcheck(SOFT_CROSS_ENTROPY, (leaves, targets, *rest))
    grad = torch.ones_like(SOFT_CROSS_ENTROPY(students, targets, *rest))
    for wanted in ([True, True, True], [False, True, False]):
        torch.library.opcheck(BACKWARD, (grad, students, targets, *rest, wanted))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_opcheck_of_sinkhorn(layout: str, dtype: torch.dtype) -> None:
    scores = LAYOUTS[layout](make_views(1, 5, 7, dtype)[0])
    torch.library.opcheck(SINKHORN, (scores, 0.05, 3))


def views_of(size: tuple[int, int]) -> list[Tensor]:
    return [view.requires_grad_() for view in make_views(4, *size, torch.float32)]


OBJECTIVES: dict[str, Callable[[list[Tensor]], Tensor]] = {
    "swav": lambda v: swav_loss([2 * v[0], v[1].tanh()], v[2:]) + v[0].mean(),
    "dino": lambda v: dino_loss([v[0] + 1, v[1]], [2 * v[0], *v[1:]], v[0].mean(0)) + v[0].mean(),
}
each_objective = pytest.mark.parametrize("name", OBJECTIVES)


@each_objective
def test_compile_whole_graph_for_any_batch_size(name: str) -> None:
    """One graph, no break, no recompilation for a second N and K."""
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(OBJECTIVES[name], backend=counter, fullgraph=True, dynamic=True)
    frames = []
    for size in ((6, 9), (11, 14)):
        eager_views, compiled_views = views_of(size), views_of(size)
        eager, traced = OBJECTIVES[name](eager_views), compiled(compiled_views)
        assert torch.equal(eager, traced)
        eager.backward()
        traced.backward()
        for mine, wanted in zip(compiled_views, eager_views, strict=True):
            assert torch.equal(mine.grad, wanted.grad)
        frames.append(counter.frame_count)
    # The first call may be traced twice: once with its float weights taken for dynamic.
    assert frames[0] == frames[1] > 0


@each_objective
def test_export(name: str) -> None:
    class Objective(torch.nn.Module):
        def forward(self, views: list[Tensor]) -> Tensor:
            return OBJECTIVES[name](views)

    views = make_views(4, 6, 9, torch.float32)
    exported = torch.export.export(Objective(), (views,)).module()
    assert torch.equal(exported(views), OBJECTIVES[name](views))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_autocast_computes_in_float32(dtype: torch.dtype) -> None:
    def run() -> list[Tensor]:
        leaves = [view.requires_grad_() for view in make_views(3, 20, 30, dtype)]
        value = swav_loss(leaves[:2], leaves[2:]) + dino_loss(leaves[:2], leaves)
        return [value.detach(), *torch.autograd.grad(value, leaves)]

    plain = run()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = run()
    # float64 is left alone, as by torch's own float32 list; 16-bit inputs are widened exactly.
    for mine, wanted in zip(cast, plain, strict=True):
        assert mine.dtype == wanted.dtype
        # Widening under autocast rounds each view's gradients where they enter, not their sum.
        tolerance = 1e-2 if dtype == torch.bfloat16 and mine.dim() else 0
        torch.testing.assert_close(mine, wanted, rtol=tolerance, atol=tolerance * 1e-2)


def test_autocast_joins_views_of_two_dtypes() -> None:
    s, t = make_views(2, 5, 9, torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = soft_cross_entropy([s, s.float()], [t, t.float()], teacher_temperature=0.1)
    assert torch.equal(mixed, soft_cross_entropy(s.float(), t.float(), teacher_temperature=0.1))


def test_meta_tensors() -> None:
    s, t = (z.to("meta") for z in make_views(2, 4, 6, torch.float16))
    leaf = s.requires_grad_()
    value = soft_cross_entropy(leaf, t, teacher_temperature=0.1)
    value.backward()
    assert (value.device.type, value.shape, value.dtype) == ("meta", (), torch.float32)
    assert leaf.grad is not None
    assert (leaf.grad.shape, leaf.grad.dtype) == ((4, 6), torch.float16)
    codes = sinkhorn(t)
    assert (codes.device.type, codes.shape, codes.dtype) == ("meta", (4, 6), torch.float32)


def _on_a_device_without_kernel(op: Any, *values: Any) -> Any:
    """Runs what the dispatcher would pick for a device that has no kernel of its own."""
    # As inside a dispatched call: autograd has had its turn and records nothing.
    with torch._C._AutoDispatchBelowAutograd():
        return op.redispatch(torch._C.DispatchKeySet(torch._C.DispatchKey.XLA), *values)


@kinds
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("wanted", [[True] * 3, [False, True, False], [False] * 3], ids=str)
def test_devices_without_kernel(kind: str, dtype: torch.dtype, wanted: list[bool]) -> None:
    values = arguments(kind, dtype)
    rows = SOFT_CROSS_ENTROPY(*values)
    got = _on_a_device_without_kernel(SOFT_CROSS_ENTROPY, *values)
    tolerance = {torch.float64: 1e-12}.get(dtype, 1e-5)
    torch.testing.assert_close(got, rows, rtol=tolerance, atol=tolerance)
    grad = torch.linspace(-1, 2, rows.numel(), dtype=rows.dtype).view_as(rows)
    native = BACKWARD(grad, *values, wanted)
    plain = _on_a_device_without_kernel(BACKWARD, grad, *values, wanted)
    if dtype == torch.bfloat16:
        tolerance = 2**-8
    for mine, other, want in zip(plain, native, wanted, strict=True):
        assert mine.shape == other.shape == ((4, 6) if want else (0, 0))
        torch.testing.assert_close(mine, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("samples", [0, 1, 9])
def test_sinkhorn_on_devices_without_kernel(dtype: torch.dtype, samples: int) -> None:
    scores = make_views(1, samples, 7, dtype)[0]
    got = _on_a_device_without_kernel(SINKHORN, scores, 0.05, 3)
    tolerance = {torch.float64: 1e-12}.get(dtype, 1e-5)
    torch.testing.assert_close(got, sinkhorn(scores), rtol=tolerance, atol=tolerance)


@kinds
def test_plain_formula(kind: str) -> None:
    """``prototype_formulas`` is exact: it serves other devices and the second derivative."""
    students, targets, center, weights, *temperatures = arguments(kind)
    rows = [weights[i : i + 2] for i in (0, 2, 4)]
    leaves = [s.requires_grad_() for s in students]
    got = formulas.soft_cross_entropy(leaves, targets, center, rows, *temperatures)
    wanted = torch.stack(
        [
            sum(
                (w * reference.soft_cross_entropy(s, t, *temperatures, center))
                for w, t in zip(row, targets, strict=True)
            )
            for s, row in zip(leaves, rows, strict=True)
        ]
    )
    torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)
    grad = torch.linspace(-1, 2, got.numel(), dtype=got.dtype).view_as(got)
    written = formulas.soft_cross_entropy_gradient(
        grad, students, targets, center, rows, *temperatures
    )
    for mine, exact in zip(written, torch.autograd.grad(wanted, leaves, grad), strict=True):
        torch.testing.assert_close(mine, exact, rtol=1e-11, atol=1e-12)
