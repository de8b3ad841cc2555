"""``torch.ops.ipse.soft_cross_entropy`` and ``sinkhorn``: schema, kernels, autograd, autocast.

``soft_cross_entropy`` takes all views of a batch at once, so that a teacher's softmax is
made once and serves every student. It keeps nothing for its backward, which starts again
from the logits; that one is itself differentiable, through the plain formula. Targets and
centre get no gradient.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ipse import _core
from ipse.ops import prototype_formulas as formulas
from ipse.ops._checks import check_float
from ipse.ops._registry import COMPUTE_DTYPES, define, differentiate, to_numpy

# What each op calls in the core.
CORE_FUNCTIONS = {
    "soft_cross_entropy": ("soft_cross_entropy_forward", "soft_cross_entropy_backward"),
    "sinkhorn": ("sinkhorn",),
}


def check_matrix(function: str, argument: str, value: Tensor) -> None:
    """Raises TypeError or ValueError unless ``value`` is a dense float matrix, K >= 1."""
    check_float(function, argument, value)
    if value.dim() != 2:
        raise ValueError(f"{function}: {argument} must be (N, K), got shape {tuple(value.shape)}")
    if value.shape[1] < 1:
        raise ValueError(f"{function}: {argument} must have at least 1 prototype, got 0")


def check_positive(function: str, argument: str, value: float) -> None:
    """Raises ValueError unless ``value`` is positive and finite."""
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{function}: {argument} must be positive and finite, got {value}")


def _check_views(
    students: Sequence[Tensor],
    targets: Sequence[Tensor],
    center: Tensor | None,
    pair_weights: Sequence[float],
    student_temperature: float,
    teacher_temperature: float | None,
) -> None:
    name = "soft_cross_entropy"
    for argument, views in (("students", students), ("targets", targets)):
        if len(views) == 0:
            raise ValueError(f"{name}: {argument} must hold at least 1 view, got 0")
        for index, view in enumerate(views):
            check_matrix(name, f"{argument}[{index}]", view)
    first = students[0]
    for argument, views in (("students", students), ("targets", targets)):
        for index, view in enumerate(views):
            if view.shape != first.shape:
                shapes = f"{tuple(first.shape)} and {argument}[{index}] {tuple(view.shape)}"
                raise ValueError(f"{name}: all views must have the same shape, got {shapes}")
            if view.device != first.device:
                devices = f"{first.device} and {argument}[{index}] {view.device}"
                raise ValueError(f"{name}: all views must be on the same device, got {devices}")
    check_positive(name, "student_temperature", student_temperature)
    if teacher_temperature is not None:
        check_positive(name, "teacher_temperature", teacher_temperature)
    elif center is not None:
        raise ValueError(f"{name}: center needs a teacher_temperature: targets are probabilities")
    if center is not None:
        check_matrix(name, "center", center)
        if center.shape != (1, first.shape[1]):
            shape = (1, first.shape[1])
            raise ValueError(f"{name}: center must be {shape}, got shape {tuple(center.shape)}")
        if center.device != first.device:
            devices = f"{first.device} and center {center.device}"
            raise ValueError(f"{name}: all views must be on the same device, got {devices}")
    if len(pair_weights) != len(students) * len(targets):
        pairs = f"{len(students)} x {len(targets)}"
        raise ValueError(
            f"{name}: pair_weights must have one weight for each of {pairs} pairs, "
            f"got {len(pair_weights)}"
        )


def _rows_of(pair_weights: Sequence[float], targets: Sequence[Tensor]) -> list[list[float]]:
    """The flat weights of all pairs as one row for each student."""
    count = len(targets)
    return [list(pair_weights[i : i + count]) for i in range(0, len(pair_weights), count)]


def _core_arguments(
    students: Sequence[Tensor],
    targets: Sequence[Tensor],
    center: Tensor | None,
    pair_weights: Sequence[float],
    student_temperature: float,
    teacher_temperature: float | None,
) -> dict[str, Any]:
    return {
        "students": [to_numpy(view) for view in students],
        "targets": [to_numpy(view) for view in targets],
        "center": None if center is None else to_numpy(center),
        "pair_weights": pair_weights,
        "student_temperature": student_temperature,
        "teacher_temperature": teacher_temperature,
        "num_threads": torch.get_num_threads(),
    }


def _empty_losses(students: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    dtype = formulas.compute_dtype([*students, *targets])
    return students[0].new_empty((len(students), students[0].shape[0]), dtype=dtype)


def _forward_cpu(students: list[Tensor], targets: list[Tensor], *rest: Any) -> Tensor:
    _check_views(students, targets, *rest)
    losses = _empty_losses(students, targets)
    arguments = _core_arguments(students, targets, *rest)
    _core.soft_cross_entropy_forward(**arguments, losses=to_numpy(losses))
    return losses


def _forward_other(students: list[Tensor], targets: list[Tensor], *rest: Any) -> Tensor:
    _check_views(students, targets, *rest)
    center, pair_weights, *temperatures = rest
    rows = _rows_of(pair_weights, targets)
    return formulas.soft_cross_entropy(students, targets, center, rows, *temperatures)


def _forward_fake(students: list[Tensor], targets: list[Tensor], *rest: Any) -> Tensor:
    _check_views(students, targets, *rest)
    return _empty_losses(students, targets)


def _save(ctx: Any, students: list[Tensor], targets: list[Tensor], rest: Any) -> None:
    center, *ctx.rest = rest
    ctx.counts = len(students), len(targets)
    ctx.save_for_backward(*students, *targets, *([] if center is None else [center]))


def _saved(ctx: Any) -> tuple[list[Tensor], list[Tensor], Tensor | None]:
    students, targets = ctx.counts
    views = list(ctx.saved_tensors)
    center = views[students + targets] if len(views) > students + targets else None
    return views[:students], views[students : students + targets], center


def _setup_forward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    students, targets, *rest = inputs
    _save(ctx, students, targets, rest)


def _forward_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    students, targets, center = _saved(ctx)
    wanted = list(ctx.needs_input_grad[0])
    op = torch.ops.ipse.soft_cross_entropy_backward.default
    grads = op(grad, students, targets, center, *ctx.rest, wanted)
    chosen = [g if want else None for g, want in zip(grads, wanted, strict=True)]
    return chosen, [None] * len(targets), None, None, None, None


def _empty_grads(students: Sequence[Tensor], wanted: Sequence[bool]) -> list[Tensor]:
    return [
        view.new_empty(view.shape if want else (0, 0))
        for view, want in zip(students, wanted, strict=True)
    ]


def _backward_cpu(
    grad: Tensor, students: list[Tensor], targets: list[Tensor], *rest: Any
) -> list[Tensor]:
    *parameters, wanted = rest
    grads = _empty_grads(students, wanted)
    _core.soft_cross_entropy_backward(
        **_core_arguments(students, targets, *parameters),
        grad_losses=to_numpy(grad),
        grad_students=[
            to_numpy(g) if want else None for g, want in zip(grads, wanted, strict=True)
        ],
    )
    return grads


def _backward_other(
    grad: Tensor, students: list[Tensor], targets: list[Tensor], *rest: Any
) -> list[Tensor]:
    center, pair_weights, *temperatures, wanted = rest
    rows = _rows_of(pair_weights, targets)
    chosen = [index for index, want in enumerate(wanted) if want]
    grads = _empty_grads(students, [False] * len(students))
    made = formulas.soft_cross_entropy_gradient(
        grad[chosen],
        [students[index] for index in chosen],
        targets,
        center,
        [rows[index] for index in chosen],
        *temperatures,
    )
    for index, gradient in zip(chosen, made, strict=True):
        grads[index] = gradient
    return grads


def _backward_fake(
    grad: Tensor, students: list[Tensor], targets: list[Tensor], *rest: Any
) -> list[Tensor]:
    return _empty_grads(students, rest[-1])


def _setup_backward(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    grad, students, targets, *rest = inputs
    *rest, ctx.wanted = rest
    _save(ctx, [grad, *students], targets, rest)


def _backward_backward(ctx: Any, gradients: list[Tensor | None]) -> tuple[Any, ...]:
    (grad, *students), targets, center = _saved(ctx)
    pair_weights, *temperatures = ctx.rest
    constants = [target.detach() for target in targets]
    rows = _rows_of(pair_weights, targets)

    def gradient(grad: Tensor, *students: Tensor) -> tuple[Tensor, ...]:
        made = formulas.soft_cross_entropy_gradient(
            grad, students, constants, center, rows, *temperatures
        )
        return tuple(made)

    taken = [g if want else None for g, want in zip(gradients, ctx.wanted, strict=True)]
    by_grad, *by_students = differentiate(gradient, [grad, *students], taken)
    return by_grad, by_students, [None] * len(targets), *[None] * 5


_PARAMETERS = (
    "Tensor[] students, Tensor[] targets, Tensor? center, float[] pair_weights,"
    " float student_temperature, float? teacher_temperature"
)
define(
    f"soft_cross_entropy({_PARAMETERS}) -> Tensor",
    cpu=_forward_cpu,
    other=_forward_other,
    fake=_forward_fake,
    setup_context=_setup_forward,
    backward=_forward_backward,
)
define(
    f"soft_cross_entropy_backward(Tensor grad, {_PARAMETERS}, bool[] wanted) -> Tensor[]",
    cpu=_backward_cpu,
    other=_backward_other,
    fake=_backward_fake,
    setup_context=_setup_backward,
    backward=_backward_backward,
    autocast_float32=False,
)


def check_scores(scores: Tensor, epsilon: float, iterations: int) -> None:
    """Raises TypeError or ValueError unless these are arguments of ``sinkhorn``."""
    check_matrix("sinkhorn", "scores", scores)
    check_positive("sinkhorn", "epsilon", epsilon)
    if iterations < 1:
        raise ValueError(f"sinkhorn: iterations must be at least 1, got {iterations}")


def _sinkhorn_fake(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    check_scores(scores, epsilon, iterations)
    return scores.new_empty(scores.shape, dtype=COMPUTE_DTYPES[scores.dtype])


def _sinkhorn_cpu(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    codes = _sinkhorn_fake(scores, epsilon, iterations)
    _core.sinkhorn(to_numpy(scores), to_numpy(codes), epsilon, iterations, torch.get_num_threads())
    return codes


def _sinkhorn_other(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    check_scores(scores, epsilon, iterations)
    return formulas.sinkhorn(scores, epsilon, iterations)


def _setup_sinkhorn(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.mark_non_differentiable(output)


def _sinkhorn_backward(ctx: Any, grad: Tensor) -> tuple[None, None, None]:
    return None, None, None


define(
    "sinkhorn(Tensor scores, float epsilon, int iterations) -> Tensor",
    cpu=_sinkhorn_cpu,
    other=_sinkhorn_other,
    fake=_sinkhorn_fake,
    setup_context=_setup_sinkhorn,
    backward=_sinkhorn_backward,
)
