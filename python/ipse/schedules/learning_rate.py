"""The learning rate of a curriculum: one cosine over all of it, never restarted."""

from __future__ import annotations

import math
from collections.abc import Callable

from ipse.schedules.pieces import Progress

__all__ = ["cosine"]


def cosine(warmup: float = 0.0, final: float = 0.0) -> Callable[[Progress], float]:
    """Factor on the base learning rate as a function of progress: a line up, then a cosine down.

    It knows nothing of stages: starting it again at each would undo what a curriculum gains.

    Args:
        warmup: Part of the run during which it rises from 0 to 1.
        final: Factor at the end.

    Raises:
        ValueError: `warmup` is not in [0, 1).
    """
    if not 0 <= warmup < 1:
        raise ValueError(f"cosine: warmup must be at least 0 and below 1, got {warmup}")

    def factor(progress: Progress) -> float:
        at = min(max(float(progress), 0.0), 1.0)
        if at < warmup:
            return at / warmup
        part = (at - warmup) / (1 - warmup)
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * part))

    return factor
