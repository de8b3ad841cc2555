"""Plain PyTorch forms of the prototype losses, by the same algebra as the core.

They serve the devices that have no kernel yet, and the double backward. Gradients are
written out rather than left to autograd because an operator's kernel runs below autograd.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ipse.ops._registry import COMPUTE_DTYPES

Weights = Sequence[Sequence[float]]


def compute_dtype(views: Sequence[Tensor]) -> torch.dtype:
    """float64 where any view is float64, else float32."""
    wide = any(COMPUTE_DTYPES[view.dtype] is torch.float64 for view in views)
    return torch.float64 if wide else torch.float32


def scaled(logits: Tensor, temperature: float) -> Tensor:
    """``logits / temperature`` up to a constant of each row: the largest entry is 0."""
    # The difference first: it is exact near the maximum, where the softmax lives.
    return (logits - logits.detach().amax(-1, keepdim=True)) / temperature


def probabilities(
    target: Tensor, center: Tensor | None, teacher_temperature: float | None, dtype: torch.dtype
) -> Tensor:
    """The target distribution (N, K) of one view."""
    target = target.to(dtype)
    if teacher_temperature is None:
        return target
    if center is not None:
        target = target - center.to(dtype)
    return scaled(target, teacher_temperature).softmax(-1)


def _mixed_targets(
    students: Sequence[Tensor],
    targets: Sequence[Tensor],
    center: Tensor | None,
    weights: Weights,
    teacher_temperature: float | None,
) -> list[Tensor | None]:
    """For every student view the weighted sum of its targets (N, K); None where all weigh 0."""
    dtype = compute_dtype([*students, *targets])
    known = [probabilities(t, center, teacher_temperature, dtype) for t in targets]
    mixed: list[Tensor | None] = []
    for row in weights:
        terms = [weight * p for weight, p in zip(row, known, strict=True) if weight != 0]
        mixed.append(torch.stack(terms).sum(0) if terms else None)
    return mixed


def soft_cross_entropy(
    students: Sequence[Tensor],
    targets: Sequence[Tensor],
    center: Tensor | None,
    weights: Weights,
    student_temperature: float,
    teacher_temperature: float | None,
) -> Tensor:
    """(S, N): sum_i weight[v][i] CE(target_i, softmax(student_v / T)) of every sample."""
    dtype = compute_dtype([*students, *targets])
    mixed = _mixed_targets(students, targets, center, weights, teacher_temperature)
    losses = []
    for student, q in zip(students, mixed, strict=True):
        if q is None:
            losses.append(student.new_zeros(student.shape[0], dtype=dtype))
        else:
            a = scaled(student.to(dtype), student_temperature)
            losses.append(q.sum(-1) * a.logsumexp(-1) - (q * a).sum(-1))
    return torch.stack(losses)


def soft_cross_entropy_gradient(
    grad: Tensor,
    students: Sequence[Tensor],
    targets: Sequence[Tensor],
    center: Tensor | None,
    weights: Weights,
    student_temperature: float,
    teacher_temperature: float | None,
) -> list[Tensor]:
    """``grad`` (S, N) times the derivative of the losses, (N, K) for every student view."""
    dtype = compute_dtype([*students, *targets])
    mixed = _mixed_targets(students, targets, center, weights, teacher_temperature)
    gradients = []
    for student, q, g in zip(students, mixed, grad.unbind(0), strict=True):
        if q is None:
            gradients.append(torch.zeros_like(student))
        else:
            softmax = scaled(student.to(dtype), student_temperature).softmax(-1)
            step = g[:, None] / student_temperature
            gradients.append((step * (q.sum(-1, keepdim=True) * softmax - q)).to(student.dtype))
    return gradients


def sinkhorn(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Codes (B, K): columns and rows of exp(scores / epsilon) normalised in turn, in log space."""
    y = scores.to(COMPUTE_DTYPES[scores.dtype])
    if y.shape[0] == 0:
        return torch.empty_like(y)
    y = (y - y.amax(0)) / epsilon
    for _ in range(iterations):
        y = y - y.logsumexp(0)
        y = y - y.logsumexp(1, keepdim=True)
    return y.exp()
