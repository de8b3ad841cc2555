"""The pruning masks in plain PyTorch: what devices without a kernel run."""

from collections.abc import Sequence

import torch
from torch import Tensor

# What the released code adds to the mass, and compares shares and responses with.
TOLERANCE = 1e-5
# Sums of masses stay below 2^50: exact in int64 and in float64, in any order.
SUM_BITS = 50


def _power_of_two(exponent: Tensor) -> Tensor:
    """``2 ** exponent`` in float64, exactly, for normal results."""
    return ((exponent + 1023) << 52).view(torch.float64)


def masses(response: Tensor) -> Tensor:
    """(N, C) int64: the responses on a grid fine enough for any sum of a row to be exact.

    With ``2^(e-1) <= max < 2^e`` and ``2^(b-1) < C <= 2^b`` the grid has ``2^(50 - b - e)``
    points for one unit; values between two go to the nearest, to the even one on a tie.
    """
    wide = response.double()
    exponent = torch.frexp(wide.amax(1, keepdim=True)).exponent.to(torch.int64)
    shift = SUM_BITS - (response.shape[1] - 1).bit_length() - exponent
    first = shift >> 1  # in two steps: 2^shift alone can leave float64
    scaled = wide * _power_of_two(first) * _power_of_two(shift - first)
    return scaled.round().to(torch.int64)


def check_responses(function: str, response: Tensor) -> None:
    """ValueError unless every response is at least 0 and finite."""
    wrong = ~((response >= 0) & response.isfinite())
    if bool(wrong.any()):
        row, column = wrong.nonzero()[0].tolist()
        raise ValueError(
            f"{function}: response must be finite and at least 0, "
            f"got {float(response[row, column])} in row {row}"
        )


def _descending(response: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Masses from the largest response on, the channels in that order, the rows' totals."""
    order = torch.sort(response.double(), dim=1, descending=True, stable=True).indices
    mass = masses(response).gather(1, order)
    return mass, order, mass.sum(1, keepdim=True)


def _kept(mass: Tensor, total: Tensor, sums: Tensor, share: float) -> Tensor:
    """Which ranks the criterion keeps."""
    if share < 0:
        return torch.ones_like(mass, dtype=torch.bool)
    if share == 1:
        return mass.double() > TOLERANCE * total.double()
    return (sums.double() <= (share + TOLERANCE) * total.double()) & (total > 0)


def _mask(kept: Tensor, order: Tensor, keep_at_least: int) -> tuple[Tensor, Tensor]:
    kept[:, :keep_at_least] = True
    return torch.zeros_like(kept).scatter_(1, order, kept), kept.sum(1)


def mass_topk_mask(response: Tensor, mass: float, keep_at_least: int) -> tuple[Tensor, Tensor]:
    """Per row, the largest responses while their sum stays within ``mass`` of the total."""
    check_responses("mass_topk_mask", response)
    values, order, total = _descending(response)
    return _mask(_kept(values, total, values.cumsum(1), mass), order, keep_at_least)


def mass_curve(response: Tensor, grid: Sequence[float], keep_at_least: int) -> Tensor:
    """(N, G): the number of channels that each mass of the grid keeps."""
    check_responses("mass_curve", response)
    if len(grid) == 0:
        return response.new_zeros((response.shape[0], 0), dtype=torch.int64)
    values, _, total = _descending(response)
    sums = values.cumsum(1)
    counts = [_kept(values, total, sums, share).sum(1) for share in grid]
    return torch.stack(counts, 1).clamp_min(keep_at_least)


def most_kept(response: Tensor, drop: float) -> int:
    """How many channels remain when ``int(drop * C)`` are dropped."""
    channels = response.shape[1]
    return channels - int(drop * channels)


def uniform_topk_mask(response: Tensor, drop: float, keep_at_least: int) -> tuple[Tensor, Tensor]:
    """Per row all but the ``int(drop * C)`` smallest responses and those up to 1e-5."""
    check_responses("uniform_topk_mask", response)
    values, order = torch.sort(response.double(), dim=1, descending=True, stable=True)
    kept = values > TOLERANCE
    kept[:, most_kept(response, drop) :] = False
    return _mask(kept, order, keep_at_least)
