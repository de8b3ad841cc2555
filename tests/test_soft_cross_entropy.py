"""Soft cross-entropy against its float64 reference: values, gradients, dtypes, layouts."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ipse.functional import soft_cross_entropy
from tests.prototype_cases import (
    HALF,
    TOLERANCE,
    Case,
    assert_gradient,
    assert_rows,
    exact,
    make_views,
    row_weights,
)
from tests.reference import prototypes as reference

kinds = pytest.mark.parametrize("kind", ["logits", "probabilities"])
wide_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def rows_and_gradient(case: Case, student: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The rows and the gradient of their weighted sum through the native kernel."""
    leaf = (case.student if student is None else student).detach().requires_grad_()
    rows = soft_cross_entropy(leaf, case.target, **case.keywords, reduction="none")
    (gradient,) = torch.autograd.grad(rows, leaf, row_weights(case.samples).to(rows.dtype))
    return rows.detach(), gradient


def assert_matches_reference(case: Case) -> None:
    wanted = exact(case)
    rows, gradient = rows_and_gradient(case)
    assert rows.dtype == gradient.dtype == case.dtype
    assert rows.shape == (case.samples,)
    assert_rows(case, rows, TOLERANCE[case.dtype], wanted)
    assert_gradient(gradient, TOLERANCE[case.dtype], wanted)


# Around every register width (2 to 16 lanes), four of them, and the 1024-value sums.
SHAPES = [(1, 1), (3, 2), (5, 17), (2, 64), (7, 65), (3, 1023), (4, 1025), (2, 5000), (300, 3)]


@kinds
@wide_dtypes
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_value_and_gradient(kind: str, dtype: torch.dtype, shape: tuple[int, int]) -> None:
    assert_matches_reference(Case(*shape, dtype, kind))


@kinds
@wide_dtypes
@given(
    samples=st.integers(1, 9),
    prototypes=st.integers(1, 130),
    seed=st.integers(0, 2**16),
    scale=st.sampled_from([0.0, 1e-6, 1.0, 30.0, 1e4, 1e15]),
    offset=st.sampled_from([0.0, -3.0, 1e3]),
    student_temperature=st.sampled_from([0.01, 0.1, 1.0, 20.0]),
    teacher_temperature=st.sampled_from([0.01, 0.04, 1.0]),
    centered=st.booleans(),
)
def test_anywhere(
    kind: str,
    dtype: torch.dtype,
    samples: int,
    prototypes: int,
    seed: int,
    scale: float,
    offset: float,
    student_temperature: float,
    teacher_temperature: float,
    centered: bool,
) -> None:
    assert_matches_reference(
        Case(
            samples,
            prototypes,
            dtype,
            kind,
            student_temperature,
            teacher_temperature,
            centered,
            scale,
            offset,
            seed,
        )
    )


@kinds
def test_error_is_small_against_the_value_itself(kind: str) -> None:
    """At DINO's width and temperatures, where a naive float32 sum is off by 1e-3."""
    case = Case(4, 65536, torch.float32, kind, scale=0.15)
    rows, gradient = rows_and_gradient(case)
    wanted = exact(case)
    assert ((rows - wanted.rows).abs() / wanted.rows).max() < 1e-6
    largest = wanted.gradient.abs().max()
    assert (gradient - wanted.gradient).abs().max() / largest < 1e-5


@kinds
@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_half_precision_inputs(kind: str, dtype: torch.dtype) -> None:
    """Computed in float32 from the rounded inputs; only the gradient is rounded, once."""
    case = Case(6, 77, dtype, kind)
    wanted = exact(case)
    rows, gradient = rows_and_gradient(case)
    assert rows.dtype == torch.float32
    assert gradient.dtype == dtype
    assert_rows(case, rows, TOLERANCE[torch.float32], wanted)
    info = torch.finfo(dtype)
    bound = wanted.gradient.abs() * info.eps / 2 + info.smallest_normal * info.eps / 2
    bound = bound * 1.001 + TOLERANCE[torch.float32] * wanted.gradient_size
    assert bool(((gradient.double() - wanted.gradient).abs() <= bound).all())


@pytest.mark.parametrize(
    ("student", "target", "result"),
    [
        (torch.bfloat16, torch.float32, torch.float32),
        (torch.float32, torch.float16, torch.float32),
        (torch.float32, torch.float64, torch.float64),
        (torch.float64, torch.float32, torch.float64),
        (torch.float16, torch.float64, torch.float64),
    ],
    ids=str,
)
def test_two_dtypes(student: torch.dtype, target: torch.dtype, result: torch.dtype) -> None:
    """Codes are float32 where the scores are 16-bit: sides may differ."""
    s, t = make_views(2, 5, 40)
    s, t = s.to(student), t.softmax(1).to(target)
    leaf = s.clone().requires_grad_()
    rows = soft_cross_entropy(leaf, t, student_temperature=0.1, reduction="none")
    rows.sum().backward()
    assert rows.dtype == result
    assert leaf.grad is not None
    assert leaf.grad.dtype == student
    wanted = reference.soft_cross_entropy(s.double(), t.double(), 0.1)
    assert (rows - wanted).abs().max() < {torch.float32: 1e-5, torch.float64: 1e-13}[result]


# Several views at once


WEIGHTS = [[0.5, 0.0, -1.0], [0.0, 0.0, 0.0], [2.0, 0.25, 0.0], [0.0, 1.0, 0.0]]


@kinds
@pytest.mark.parametrize("wanted", [(0, 1, 2, 3), (0, 2), (3,), (1,)], ids=str)
def test_pairs_of_views(kind: str, wanted: tuple[int, ...]) -> None:
    """Each student row is the weighted sum over its targets; not every student needs a gradient."""
    students = make_views(4, 6, 33, seed=1)
    targets = make_views(3, 6, 33, seed=2)
    keywords: dict[str, Any] = {"student_temperature": 0.1}
    if kind == "probabilities":
        targets = [t.softmax(1) for t in targets]
    else:
        keywords |= {"teacher_temperature": 0.04, "center": make_views(1, 1, 33, seed=3)[0]}
    leaves = [s.clone().requires_grad_(v in wanted) for v, s in enumerate(students)]
    rows = soft_cross_entropy(leaves, targets, pair_weights=WEIGHTS, reduction="none", **keywords)
    mine = torch.autograd.grad(rows.square().sum(), [leaves[v] for v in wanted])
    exact_leaves = [s.clone().requires_grad_() for s in students]
    exact_rows = torch.stack(
        [
            sum(
                weight * reference.soft_cross_entropy(s, t, **keywords)
                for weight, t in zip(row, targets, strict=True)
            )
            for s, row in zip(exact_leaves, WEIGHTS, strict=True)
        ]
    )
    theirs = torch.autograd.grad(exact_rows.square().sum(), [exact_leaves[v] for v in wanted])
    torch.testing.assert_close(rows, exact_rows, rtol=1e-12, atol=1e-12)
    for got, exact_gradient in zip(mine, theirs, strict=True):
        torch.testing.assert_close(got, exact_gradient, rtol=1e-11, atol=1e-11)


def test_default_weights_and_reductions() -> None:
    students, targets = make_views(3, 5, 9, seed=1), make_views(2, 5, 9, seed=2)
    call = lambda *a, **k: soft_cross_entropy(*a, teacher_temperature=0.1, **k)  # noqa: E731
    single = torch.stack([torch.stack([call(s, t) for t in targets]) for s in students])
    torch.testing.assert_close(call(students, targets), single.mean())
    rows = call(students, targets, reduction="none")
    assert rows.shape == (3, 5)
    torch.testing.assert_close(rows.mean(1).sum(), single.mean())
    assert call(students[0], targets[0], reduction="none").shape == (5,)
    assert call(students[:1], targets[0], reduction="none").shape == (1, 5)


def test_targets_and_center_are_constants() -> None:
    s, t = (view.requires_grad_() for view in make_views(2, 5, 9))
    center = torch.zeros(9, dtype=torch.float64, requires_grad=True)
    soft_cross_entropy(s, t, teacher_temperature=0.1, center=center).backward()
    assert s.grad is not None
    assert t.grad is None
    assert center.grad is None
    assert not soft_cross_entropy(s.detach(), t, teacher_temperature=0.1).requires_grad


def test_known_values() -> None:
    """Uniform against anything is log K; a one-hot target picks its log-probability."""
    uniform = torch.full((2, 8), 3.0, dtype=torch.float64)
    assert soft_cross_entropy(uniform, make_views(1, 2, 8)[0].softmax(1)).item() == pytest.approx(
        torch.tensor(8.0).log().item()
    )
    s = make_views(1, 4, 8)[0]
    one_hot = torch.eye(8, dtype=torch.float64)[:4]
    rows = soft_cross_entropy(s, one_hot, reduction="none")
    torch.testing.assert_close(rows, -s.log_softmax(1).diagonal())
    assert torch.equal(soft_cross_entropy(s[:, :1], one_hot[:, :1]), torch.zeros((), dtype=s.dtype))


def test_targets_need_not_sum_to_one() -> None:
    s, t = make_views(2, 6, 21)
    target = t.softmax(1) * torch.tensor([0.0, 0.5, 1.0, 2.0, -1.0, 1e-3]).double()[:, None]
    rows = soft_cross_entropy(s, target, student_temperature=0.1, reduction="none")
    wanted = reference.soft_cross_entropy(s, target, 0.1)
    torch.testing.assert_close(rows, wanted, rtol=1e-12, atol=1e-12)
    assert rows[0] == 0


# Bad numbers


@wide_dtypes
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("where", [0, 16, 36])
def test_non_finite_student(dtype: torch.dtype, poison: float, where: int) -> None:
    """What the formula says: the row is NaN or infinite, the other rows are untouched."""
    for kind in ("logits", "probabilities"):
        case = Case(3, 37, dtype, kind)
        clean, clean_gradient = rows_and_gradient(case)
        case.student[1, where] = poison
        rows, gradient = rows_and_gradient(case)
        wanted = reference.soft_cross_entropy(
            case.student.double(), case.target.double(), **case.keywords
        )
        assert torch.equal(rows.isnan(), wanted.isnan())
        assert torch.equal(rows == torch.inf, wanted == torch.inf)
        for row in (0, 2):
            assert rows[row] == clean[row]
            assert torch.equal(gradient[row], clean_gradient[row])
        if poison != float("-inf"):
            assert gradient[1].isnan().all()


@wide_dtypes
def test_teacher_logits_of_minus_infinity_are_masked(dtype: torch.dtype) -> None:
    case = Case(3, 37, dtype, centered=False)
    case.target[:, 5:20] = -torch.inf
    rows, gradient = rows_and_gradient(case)
    kept = [*range(5), *range(20, 37)]
    target = case.target[:, kept].double().div(case.teacher_temperature).softmax(1)
    log_probabilities = case.student.double().div(case.student_temperature).log_softmax(1)
    wanted = -(target * log_probabilities[:, kept]).sum(1)
    assert (rows - wanted).abs().max() < 1e-4
    assert gradient.isfinite().all()


@wide_dtypes
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_non_finite_target(dtype: torch.dtype, poison: float) -> None:
    """NaN in its row, in value and gradient; a pair of weight 0 does not look at it."""
    case = Case(3, 37, dtype)
    clean, _ = rows_and_gradient(case)
    sound = case.target.clone()
    case.target[1, 4] = poison
    rows, gradient = rows_and_gradient(case)
    assert rows[1].isnan()
    assert gradient[1].isnan().all()
    assert torch.equal(rows[[0, 2]], clean[[0, 2]])
    both = soft_cross_entropy(
        [case.student],
        [sound, case.target],
        pair_weights=[[1.0, 0.0]],
        reduction="none",
        **case.keywords,
    )
    assert torch.equal(both[0], clean)


# Layouts, determinism


def _sliced_columns(z: Tensor) -> Tensor:
    wide = z.new_full((z.shape[0], z.shape[1] + 9), float("nan"))
    wide[:, 4:-5] = z
    return wide[:, 4:-5]


def _every_second(z: Tensor) -> Tensor:
    spaced = z.new_full((2 * z.shape[0], 2 * z.shape[1]), float("nan"))
    spaced[::2, ::2] = z
    return spaced[::2, ::2]


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "transposed": lambda z: z.T.contiguous().T,
    "sliced_columns": _sliced_columns,
    "every_second": _every_second,
    "storage_offset": lambda z: torch.cat([z.new_zeros(1), z.flatten()])[1:].view(z.shape),
}


@kinds
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_does_not_change_a_bit(kind: str, dtype: torch.dtype, layout: str) -> None:
    case = Case(7, 75, dtype, kind)
    plain = rows_and_gradient(case)
    laid_out = LAYOUTS[layout](case.student)
    assert torch.equal(laid_out, case.student)
    case.target = LAYOUTS[layout](case.target)
    got = rows_and_gradient(case, laid_out)
    for mine, wanted in zip(got, plain, strict=True):
        assert torch.equal(mine, wanted)


def test_negated_view_of_a_complex_tensor() -> None:
    """The imaginary part of a conjugate carries torch's negative bit: memory holds -s."""
    s, t = make_views(2, 6, 21)
    negative = torch.complex(torch.zeros_like(s), -s).conj().imag
    assert negative.is_neg()
    got = soft_cross_entropy(negative, t, teacher_temperature=0.1)
    assert torch.equal(got, soft_cross_entropy(s, t, teacher_temperature=0.1))


def test_expanded_views() -> None:
    """Stride 0: one row for the whole batch, one column for all prototypes."""
    s, t = make_views(2, 6, 21)
    for student in (s[:1].expand(6, 21), s[:, :1].expand(6, 21)):
        rows = soft_cross_entropy(student, t, teacher_temperature=0.1, reduction="none")
        wanted = reference.soft_cross_entropy(student, t, teacher_temperature=0.1)
        torch.testing.assert_close(rows, wanted, rtol=1e-13, atol=0)


@kinds
@pytest.mark.parametrize("shape", [(64, 4000), (4000, 64)], ids=str)
def test_threads_do_not_change_a_bit(
    kind: str, shape: tuple[int, int], restored_threads: None
) -> None:
    """Every row is the work of one thread: not only repeatable but the same on any number."""
    case = Case(*shape, kind=kind)
    torch.set_num_threads(1)
    alone = rows_and_gradient(case)
    for threads in (2, 3, 3, 8):
        torch.set_num_threads(threads)
        for mine, wanted in zip(rows_and_gradient(case), alone, strict=True):
            assert torch.equal(mine, wanted)
