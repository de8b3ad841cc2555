"""Soft cross-entropy, Sinkhorn codes, SwAV and DINO as the papers write them.

Any floating dtype and device, differentiable as often as wanted. In float64 these are the
oracle of the tests; they are not meant to be fast.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def soft_cross_entropy(
    student: Tensor,
    target: Tensor,
    student_temperature: float = 1.0,
    teacher_temperature: float | None = None,
    center: Tensor | None = None,
) -> Tensor:
    """-sum_k p_k log softmax(s / T_s)_k of every row, (N,). Caron et al. 2021, equation 1."""
    if teacher_temperature is not None:
        if center is not None:
            target = target - center.reshape(-1)
        target = torch.softmax(target / teacher_temperature, dim=1)
    log_probabilities = torch.log_softmax(student / student_temperature, dim=1)
    return -(target.detach() * log_probabilities).sum(dim=1)


def sinkhorn(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """Caron et al. 2020, listing 1, with the logarithm of every quantity."""
    log_codes = scores.detach() / epsilon
    for _ in range(iterations):
        log_codes = torch.log_softmax(log_codes, dim=0)  # every prototype equally used
        log_codes = torch.log_softmax(log_codes, dim=1)  # every sample a distribution
    return log_codes.exp()


def swav(
    high: Sequence[Tensor],
    low: Sequence[Tensor] = (),
    temperature: float = 0.1,
    epsilon: float = 0.05,
    iterations: int = 3,
) -> Tensor:
    """Caron et al. 2020, equations 1 and 2, over all pairs of crops of one image."""
    crops = [*high, *low]
    losses = []
    for i, scores in enumerate(high):
        codes = sinkhorn(scores, epsilon, iterations)
        losses += [
            soft_cross_entropy(crop, codes, temperature).mean()
            for v, crop in enumerate(crops)
            if v != i
        ]
    return torch.stack(losses).mean()


def dino(
    teacher: Sequence[Tensor],
    student: Sequence[Tensor],
    center: Tensor | None = None,
    teacher_temperature: float = 0.04,
    student_temperature: float = 0.1,
) -> Tensor:
    """Caron et al. 2021, equation 3: the mean over pairs of different views."""
    losses = [
        soft_cross_entropy(s, t, student_temperature, teacher_temperature, center).mean()
        for i, t in enumerate(teacher)
        for v, s in enumerate(student)
        if v != i
    ]
    return torch.stack(losses).mean()
