"""Learning-rate schedules as pure functions of the step."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

__all__ = ["warmup_cosine", "warmup_cosine_factor"]


def warmup_cosine_factor(
    step: int, total_steps: int, warmup_steps: int, final: float = 0.0
) -> float:
    """Factor on the base learning rate: linear warm-up from near 0 to 1, then a cosine to `final`.

    Args:
        step: Steps done so far, 0 for the first.
        total_steps: Steps of the whole run; later steps stay at `final`.
        warmup_steps: Steps of the warm-up; 0 starts at 1.
        final: Factor at the end.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
    return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * progress))


def warmup_cosine(
    optimizer: Optimizer, total_steps: int, warmup_steps: int, final: float = 0.0
) -> LambdaLR:
    """Sets `optimizer`'s learning rates by `warmup_cosine_factor`; call `.step()` once per step."""
    return LambdaLR(
        optimizer, lambda step: warmup_cosine_factor(step, total_steps, warmup_steps, final)
    )
