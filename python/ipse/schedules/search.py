"""Greedy search for a schedule: which sizes a network can start with.

EfficientTrain looks for the cheapest schedule that keeps the accuracy of training at the full size.
EfficientTrain++ holds the compute and looks for the most accurate one. Neither knows how a schedule
is tried: that is a function the caller gives, which trains and returns a validation accuracy.

Source: Y. Wang et al., arXiv 2211.09703, algorithm 1, and arXiv 2405.08768; the order of the loops
follows the published solutions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ipse.schedules.search_memory import Evaluate, Memory

__all__ = ["SearchResult", "fixed_compute_search", "greedy_search"]


class SearchResult(NamedTuple):
    """What a search found.

    Attributes:
        sizes: Size of each stage.
        accuracy: Its accuracy, as `evaluate` gave it.
        baseline: The accuracy of the full size throughout.
        evaluations: Schedules that were looked at, tried before or not.
    """

    sizes: tuple[int, ...]
    accuracy: float
    baseline: float
    evaluations: int


def greedy_search(
    evaluate: Evaluate,
    candidates: Sequence[int],
    stages: int = 5,
    *,
    tolerance: float = 0.0,
    memory: str | Path | None = None,
    label: str = "",
    report: Callable[[str], None] | None = None,
) -> SearchResult:
    """EfficientTrain's search: the smallest sizes that keep the full size's accuracy.

    The last stage stays at the full size. From the last but one to the first, all stages up to this
    one take the smallest size at which the accuracy is not below the baseline's; so sizes never
    fall.

    Args:
        evaluate: Trains with one size for each stage, in equal stages and with everything else
            unchanged, and returns the validation accuracy. It should be deterministic.
        candidates: The sizes; the largest is the full one.
        stages: Number of stages.
        tolerance: How far below the baseline still counts as kept.
        memory: A file that keeps every accuracy as soon as it is known, so that a search that was
            interrupted goes on. Default: nothing is kept.
        label: What the accuracies depend on beside the sizes (model, data, epochs); a file with
            another label is refused.
        report: Called with a line for each schedule looked at.

    Raises:
        ValueError: No candidates or stages, or a memory file of another search.
    """
    sizes = _check("greedy_search", candidates, stages)
    recall = Memory(evaluate, memory, label, report)
    full = sizes[-1]
    best = [full] * stages
    baseline = accuracy = recall(best)
    for last in range(stages - 2, -1, -1):
        for size in (size for size in sizes if size <= best[last + 1]):
            tried = [size] * (last + 1) + best[last + 1 :]
            reached = recall(tried)
            if reached >= baseline - tolerance:
                best, accuracy = tried, reached
                break
    return SearchResult(tuple(best), accuracy, baseline, recall.calls)


def fixed_compute_search(
    evaluate: Evaluate,
    candidates: Sequence[int],
    stages: int = 10,
    *,
    memory: str | Path | None = None,
    label: str = "",
    report: Callable[[str], None] | None = None,
) -> SearchResult:
    """EfficientTrain++'s search: the sizes that make the most of a given compute.

    From the first stage to the last but one, each takes the size that gives the best accuracy while
    all later ones are at the full size; of equals the larger. Sizes never fall.

    Args:
        evaluate: Trains with one size for each stage, in stages of equal compute, and returns the
            validation accuracy.
        candidates, stages, memory, label, report: As for `greedy_search`.

    Raises:
        ValueError: As `greedy_search`.
    """
    sizes = _check("fixed_compute_search", candidates, stages)
    recall = Memory(evaluate, memory, label, report)
    full = sizes[-1]
    best = [full] * stages
    baseline = accuracy = recall(best)
    for stage in range(stages - 1):
        least = best[stage - 1] if stage else sizes[0]
        for size in (size for size in reversed(sizes) if size >= least):
            tried = [*best[:stage], size, *[full] * (stages - stage - 1)]
            reached = recall(tried)
            if reached > accuracy:
                best, accuracy = tried, reached
        if best[stage] == full:  # nor may any later stage be smaller
            break
    return SearchResult(tuple(best), accuracy, baseline, recall.calls)


def _check(caller: str, candidates: Sequence[int], stages: int) -> list[int]:
    if not candidates or min(candidates) < 1:
        raise ValueError(f"{caller}: candidates must be sizes from 1 up, got {list(candidates)}")
    if stages < 1:
        raise ValueError(f"{caller}: stages must be at least 1, got {stages}")
    return sorted(set(candidates))
