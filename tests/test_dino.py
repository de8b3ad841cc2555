"""DINO: the loss and its centre against the reference and as a stand-in for lightly's."""

import inspect

import pytest
import torch
from lightly.loss import DINOLoss as LightlyDINOLoss
from torch import Tensor

from ipse.functional import dino_loss
from ipse.losses import DINOLoss
from tests.prototype_cases import make_views
from tests.reference import prototypes as reference

K = 13


def take_step(
    loss: DINOLoss | LightlyDINOLoss,
    teacher: list[Tensor],
    student: list[Tensor],
    **keywords: object,
) -> list[Tensor]:
    """Value, gradients and the centre after it."""
    leaves = [view.clone().requires_grad_() for view in student]
    value = loss(teacher, leaves, **keywords)
    gradients = torch.autograd.grad(value, leaves)
    return [value.detach(), *gradients, loss.center.clone()]


@pytest.mark.parametrize(("teachers", "students"), [(2, 2), (2, 8), (1, 2), (2, 1), (3, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_equals_lightly_over_steps(teachers: int, students: int, dtype: torch.dtype) -> None:
    """Three steps: the centre of each enters the next."""
    mine, theirs = DINOLoss(K).to(dtype), LightlyDINOLoss(K).to(dtype)
    # lightly rounds its temperatures to float32, whatever the dtype.
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-7}[dtype]
    for number in range(3):
        teacher = make_views(teachers, 9, K, dtype, seed=number)
        student = make_views(students, 9, K, dtype, seed=number + 10)
        got, wanted = take_step(mine, teacher, student), take_step(theirs, teacher, student)
        for one, other in zip(got, wanted, strict=True):
            assert one.shape == other.shape
            assert (one - other).abs().max() <= tolerance * other.abs().max()


@pytest.mark.parametrize("epoch", [None, 0, 1, 7, 29, 30, 1000])
def test_temperature_schedule(epoch: int | None) -> None:
    arguments = {"warmup_teacher_temp": 0.02, "teacher_temp": 0.08, "student_temp": 0.2}
    mine, theirs = DINOLoss(K, **arguments).double(), LightlyDINOLoss(K, **arguments).double()
    teacher, student = make_views(2, 9, K, seed=1), make_views(4, 9, K, seed=2)
    for keywords in ({"epoch": epoch}, {"epoch": epoch, "teacher_temp": 0.5}):
        got = take_step(mine, teacher, student, **keywords)
        wanted = take_step(theirs, teacher, student, **keywords)
        for one, other in zip(got, wanted, strict=True):
            assert (one - other).abs().max() <= 1e-6 * other.abs().max()
    assert torch.equal(mine.teacher_temp_schedule, theirs.teacher_temp_schedule)


def test_one_epoch_of_warmup() -> None:
    loss = DINOLoss(K, warmup_teacher_temp=0.02, warmup_teacher_temp_epochs=1)
    views = make_views(2, 9, K, torch.float32)
    value = loss(views, views, epoch=0)
    torch.testing.assert_close(value, dino_loss(views, views, teacher_temperature=0.02))


def test_function_equals_reference() -> None:
    teacher, student = make_views(2, 9, K, seed=1), make_views(5, 9, K, seed=2)
    center = 0.1 * make_views(1, 1, K, seed=3)[0]
    got = dino_loss(teacher, student, center, teacher_temperature=0.05, student_temperature=0.2)
    wanted = reference.dino(teacher, student, center, 0.05, 0.2)
    torch.testing.assert_close(got, wanted, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        dino_loss(teacher, student), reference.dino(teacher, student), rtol=1e-12, atol=0
    )


def test_signature_is_that_of_lightly() -> None:
    mine, theirs = (inspect.signature(c).parameters for c in (DINOLoss, LightlyDINOLoss))
    assert [(p.name, p.default) for p in mine.values()] == [
        (p.name, p.default) for p in theirs.values()
    ]
    mine, theirs = (inspect.signature(c.forward).parameters for c in (DINOLoss, LightlyDINOLoss))
    assert [(p.name, p.default) for p in mine.values()] == [
        (p.name, p.default) for p in theirs.values()
    ]


def test_state_is_that_of_lightly() -> None:
    """A checkpoint of theirs loads, and the other way round."""
    mine, theirs = DINOLoss(K), LightlyDINOLoss(K)
    views = make_views(2, 9, K, torch.float32)
    theirs(views, views)
    mine.load_state_dict(theirs.state_dict())
    assert torch.equal(mine.center, theirs.center)
    theirs.load_state_dict(mine.state_dict())
    assert mine.center.shape == (1, 1, K)
    assert not list(mine.parameters())


def test_center_is_updated_after_the_loss_and_in_place() -> None:
    """Backward uses the centre of its forward, however often that moved on meanwhile."""
    loss = DINOLoss(K).double()
    buffer = loss.center
    teacher = make_views(2, 9, K, seed=1)
    leaves = [view.requires_grad_() for view in make_views(2, 9, K, seed=2)]
    first = loss(teacher, leaves)
    with torch.no_grad():
        loss([10 * view for view in teacher], leaves)
    (gradient, _) = torch.autograd.grad(first, leaves)
    exact = dino_loss(teacher, leaves, torch.zeros(K).double())
    assert torch.equal(gradient, torch.autograd.grad(exact, leaves)[0])
    assert loss.center is buffer
    mean = torch.stack(teacher).mean((0, 1))
    torch.testing.assert_close(loss.center[0, 0], 0.9 * 0.1 * mean + 0.1 * 10 * mean)


def test_update_center_takes_one_tensor_too() -> None:
    mine, theirs = DINOLoss(K), LightlyDINOLoss(K)
    views = torch.stack(make_views(2, 9, K, torch.float32))
    mine.update_center(views)
    theirs.update_center(views)
    torch.testing.assert_close(mine.center, theirs.center)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision(dtype: torch.dtype) -> None:
    """The centre stays float32: a moving average in 16 bits would stand still."""
    loss = DINOLoss(K)
    teacher, student = make_views(2, 9, K, dtype, seed=1), make_views(3, 9, K, dtype, seed=2)
    value = loss(teacher, student)
    assert value.dtype == torch.float32
    wanted = reference.dino([t.double() for t in teacher], [s.double() for s in student])
    torch.testing.assert_close(value.double(), wanted, rtol=1e-5, atol=0)
    assert loss.center.dtype == torch.float32
    mean = torch.stack([t.double() for t in teacher]).mean((0, 1))
    torch.testing.assert_close(loss.center[0, 0].double(), 0.1 * mean, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("teachers", "students"), [(1, 1), (0, 2), (2, 0), (0, 0)])
def test_no_pair_of_different_views(teachers: int, students: int) -> None:
    message = (
        "^dino_loss: needs a teacher view and a student view of different index, got "
        rf"{teachers} teacher view\(s\) and {students} student view\(s\)$"
    )
    with pytest.raises(ValueError, match=message):
        DINOLoss(K)(make_views(teachers, 9, K), make_views(students, 9, K))


def test_unknown_center_mode() -> None:
    with pytest.raises(ValueError, match=r"^DINOLoss: center_mode must be 'mean', got 'median'$"):
        DINOLoss(K, center_mode="median")


def test_wrong_width() -> None:
    loss = DINOLoss(K + 1)
    with pytest.raises(ValueError, match=r"center must be \(1, 13\), got shape \(1, 14\)"):
        loss(make_views(2, 9, K), make_views(2, 9, K))
    assert (loss.center == 0).all()


def test_compiles_as_one_graph() -> None:
    teacher = make_views(2, 9, K, torch.float32, seed=1)
    student = make_views(3, 9, K, torch.float32, seed=2)
    eager, traced = DINOLoss(K), DINOLoss(K)
    compiled = torch.compile(traced, backend="aot_eager", fullgraph=True)
    for _ in range(2):
        assert torch.equal(compiled(teacher, student), eager(teacher, student))
    assert torch.equal(eager.center, traced.center)


def test_representation() -> None:
    assert repr(DINOLoss(K)) == (
        "DINOLoss(output_dim=13, teacher_temp=0.04, student_temp=0.1, center_momentum=0.9)"
    )
