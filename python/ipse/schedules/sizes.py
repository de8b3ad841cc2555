"""Image sizes of a curriculum: which are allowed, those of EfficientTrain, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from ipse.schedules.clocks import Cost, quadratic_cost
from ipse.schedules.pieces import Progress, exact

__all__ = ["SIZE_RATIOS", "check_sizes", "cost_factor", "scaled_sizes"]

SIZE_RATIOS = tuple(Fraction(size, 224) for size in (96, 128, 160, 192, 224))
"""EfficientTrain's candidates, as parts of the full size."""


def scaled_sizes(
    base_size: int, ratios: Sequence[Progress] = SIZE_RATIOS, multiple_of: int = 2
) -> list[int]:
    """The sizes nearest to some parts of a full size.

    Args:
        base_size: The full size, in pixels; what a ratio of 1 gives.
        ratios: Parts of it, above 0 and at most 1.
        multiple_of: What all sizes must be multiples of: 2 for the low-frequency crop, a patch
            model's patch size.

    Returns:
        One size for each ratio: the nearest multiple, the larger of two that are equally near.

    Raises:
        ValueError: A ratio out of range, or sizes that `check_sizes` refuses.
    """
    sizes = []
    for ratio in map(exact, ratios):
        if not 0 < ratio <= 1:
            raise ValueError(
                f"scaled_sizes: ratios must be above 0 and at most 1, got {float(ratio)}"
            )
        nearest = int(ratio * base_size / multiple_of + Fraction(1, 2)) * multiple_of
        sizes.append(base_size if ratio == 1 else max(multiple_of, min(nearest, base_size)))
    check_sizes(sizes, base_size, multiple_of, "scaled_sizes")
    return sizes


def check_sizes(
    sizes: Sequence[int],
    base_size: int,
    multiple_of: int = 2,
    caller: str = "check_sizes",
    *,
    ends_full: bool = False,
) -> None:
    """Refuses sizes that cannot be cropped to, or that a model cannot take.

    Args:
        sizes: The sizes of a curriculum, in order.
        base_size: The full size of the images.
        multiple_of: What all sizes below the full one must be multiples of.
        caller: Name for the message.
        ends_full: Whether the last size must be the full one: the running statistics of BatchNorm
            must come from what the model will see.

    Raises:
        ValueError: With the size that is wrong and why.
    """
    if not sizes:
        raise ValueError(f"{caller}: sizes must be at least one, got none")
    if multiple_of > 2 and base_size % multiple_of:
        raise ValueError(
            f"{caller}: base_size must be a multiple of {multiple_of}, got {base_size}"
        )
    for size in sizes:
        if not 2 <= size <= base_size:
            raise ValueError(
                f"{caller}: sizes must be from 2 to the full size {base_size}, got {size}"
            )
        if size != base_size and size % multiple_of:
            raise ValueError(f"{caller}: sizes must be multiples of {multiple_of}, got {size}")
    if ends_full and sizes[-1] != base_size:
        raise ValueError(
            f"{caller}: sizes must end with the full size {base_size}, got {sizes[-1]}"
        )


def cost_factor(
    sizes: Sequence[int],
    base_size: int,
    *,
    shares: Sequence[Progress] | None = None,
    cost: Cost = quadratic_cost,
) -> float:
    """Cost of a curriculum, as a part of what as many steps at the full size cost.

    0.653 for EfficientTrain's own (160, 160, 160, 192, 224), which makes it 1.53 times as fast.

    Args:
        sizes: Size of each stage.
        base_size: The full size.
        shares: Part of the steps in each stage; default: equal parts.
        cost: Cost of a step.

    Raises:
        ValueError: `shares` do not fit the sizes or do not sum up to 1.
    """
    parts = [Fraction(1, len(sizes))] * len(sizes) if shares is None else list(map(exact, shares))
    excess = sum(parts, Fraction(0)) - 1
    if len(parts) != len(sizes) or abs(excess) > Fraction(1, 10**6):
        raise ValueError(
            f"cost_factor: shares must be {len(sizes)} numbers with the sum 1, got {shares}"
        )
    costs = (
        part * Fraction(cost(size, base_size)) for size, part in zip(sizes, parts, strict=True)
    )
    return float(sum(costs, Fraction(0)))
