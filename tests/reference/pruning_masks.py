"""The pruning masks in exact arithmetic, row by row, as the docstrings define them."""

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

TOLERANCE = 1e-5


def masses(row: Sequence[float]) -> list[int]:
    """The responses as whole numbers on the row's grid."""
    _, exponent = math.frexp(max(row))
    unit = Fraction(2) ** (50 - (len(row) - 1).bit_length() - exponent)
    return [round(Fraction(value) * unit) for value in row]  # to the even one of two


def descending(row: Sequence[float]) -> list[int]:
    """The channels from the largest response on, equal ones in their order."""
    return sorted(range(len(row)), key=lambda channel: (-row[channel], channel))


def kept_by_mass(row: Sequence[float], mass: float) -> int:
    """How many of the largest responses the criterion keeps."""
    if mass < 0:
        return len(row)
    values = masses(row)
    total = sum(values)
    if mass == 1:
        return sum(value > TOLERANCE * float(total) for value in values)
    count = done = 0
    for channel in descending(row):
        done += values[channel]
        if total == 0 or done > (mass + TOLERANCE) * float(total):
            break
        count += 1
    return count


def _of_counts(response: Tensor, counts: Sequence[int], keep_at_least: int) -> tuple[Tensor, ...]:
    mask = torch.zeros(response.shape, dtype=torch.bool)
    kept = [max(count, keep_at_least) for count in counts]
    for index, row in enumerate(response.tolist()):
        mask[index, descending(row)[: kept[index]]] = True
    return mask, torch.tensor(kept, dtype=torch.int64)


def mass_topk_mask(response: Tensor, mass: float, keep_at_least: int = 0) -> tuple[Tensor, ...]:
    counts = [kept_by_mass(row, mass) for row in response.tolist()]
    return _of_counts(response, counts, keep_at_least)


def mass_curve(response: Tensor, grid: Sequence[float], keep_at_least: int = 0) -> Tensor:
    counts = [
        [max(kept_by_mass(row, mass), keep_at_least) for mass in grid] for row in response.tolist()
    ]
    return torch.tensor(counts, dtype=torch.int64).reshape(len(response), len(grid))


def uniform_topk_mask(response: Tensor, drop: float, keep_at_least: int = 0) -> tuple[Tensor, ...]:
    channels = response.shape[1]
    alive = [sum(value > TOLERANCE for value in row) for row in response.tolist()]
    counts = [min(channels - int(drop * channels), count) for count in alive]
    return _of_counts(response, counts, keep_at_least)


def published_mask(response: Tensor, mass: float) -> tuple[Tensor, Tensor]:
    """The released code's steps in float64 for 0 < mass < 1, and how near a call each row is."""
    share = response.double()
    share = share / share.sum(1, keepdim=True)
    ordered, channels = share.sort(dim=1, descending=True, stable=True)
    over = ordered.cumsum(1) - mass - TOLERANCE
    mask = torch.zeros_like(share, dtype=torch.bool).scatter(1, channels, over <= 0)
    return mask, over.abs().amin(1)
