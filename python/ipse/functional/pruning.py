"""Which channels of a layer stay, sample by sample: by their share of the activation's mass."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

import ipse.ops  # noqa: F401  # registers torch.ops.ipse.*

__all__ = ["ChannelMask", "mass_curve", "mass_topk_mask", "uniform_topk_mask"]


class ChannelMask(NamedTuple):
    """The channels that stay, and how many they are."""

    mask: Tensor
    counts: Tensor


def mass_topk_mask(response: Tensor, mass: float, *, keep_at_least: int = 0) -> ChannelMask:
    """Per row, the largest responses as long as their sum stays within a share of the total.

    With the responses of a row in descending order, equal ones in the order of their channel,
    the channel of rank j is kept where ``a_1 + ... + a_j <= (mass + 1e-5) * sum(a)``. So the
    channel that crosses the mass is dropped, and one that dominates leaves none.

    The sums are exact, and so the result does not depend on the order of additions, the number
    of threads or the processor. For that, responses count as integers on a grid: with
    ``2^(e-1) <= max(a) < 2^e`` and b the bits of C - 1, the nearest whole number to
    ``a * 2^(50 - b - e)`` (the even one of two), so that no sum exceeds 2^50. A response
    within a factor of ``2^(26 - b)`` of the row's largest is represented without error in
    float32, the others to ``max * 2^(b - 50)``. The right side is one float64 product.

    Args:
        response: (N, C) float32, float64, bfloat16 or float16, at least 0 and finite. Any
            strides; N may be 0.
        mass: the share r, above 0 and at most 1. 1 keeps every channel with more than 1e-5 of
            the total. A negative mass keeps all channels.
        keep_at_least: of each row, so many of the largest responses are kept whatever their
            mass, from 0 to C. The released code has no such option.

    Returns:
        ``ChannelMask(mask, counts)``: mask (N, C) bool, counts (N,) int64, the channels kept.
        Of a row whose responses are all 0 none but ``keep_at_least`` channels are kept, the
        first ones (all for a negative mass). No gradient flows.

    Raises:
        ValueError: a wrong shape, a mass that is 0, above 1 or NaN, ``keep_at_least`` out of
            range, or a response that is negative, infinite or NaN. Compiled or on a device
            without a kernel the last check costs a synchronisation.
        TypeError: ``response`` is not dense or not floating point.

    Memory:
        On the CPU, beside the result, 20 bytes a channel for each thread.

    Source:
        Elkerdawy et al., Fire Together Wire Together, CVPR 2022 (arXiv 2110.08232),
        section 3.2 and the released code's criterion and tolerance.
    """
    return ChannelMask(*torch.ops.ipse.mass_topk_mask(response, mass, keep_at_least))


def mass_curve(
    response: Tensor, grid: Sequence[float] | Tensor, *, keep_at_least: int = 0
) -> Tensor:
    """How many channels each of many masses would keep: the budget before any training.

    Args:
        response: (N, C), as for :func:`mass_topk_mask`.
        grid: (G,) masses in any order, each as for :func:`mass_topk_mask`. G may be 0.
        keep_at_least: as for :func:`mass_topk_mask`.

    Returns:
        (N, G) int64: column g is ``mass_topk_mask(response, grid[g]).counts``, exactly, for
        the cost of about one mask instead of G.

    Raises:
        ValueError, TypeError: as :func:`mass_topk_mask`, and for a grid that is no vector.

    Memory:
        On the CPU, beside the result, 28 bytes a channel for each thread.

    Source:
        Elkerdawy et al., Fire Together Wire Together, CVPR 2022 (arXiv 2110.08232), the
        estimate of FLOPs before training in section 3.3.
    """
    if isinstance(grid, Tensor):
        if grid.dim() != 1:
            raise ValueError(f"mass_curve: grid must be (G,), got shape {tuple(grid.shape)}")
        grid = grid.tolist()
    counts: Tensor = torch.ops.ipse.mass_curve(response, list(grid), keep_at_least)
    return counts


def uniform_topk_mask(response: Tensor, drop: float, *, keep_at_least: int = 0) -> ChannelMask:
    """Per row, all channels but a fixed number of the smallest and those that are dead.

    Args:
        response: (N, C), as for :func:`mass_topk_mask`.
        drop: share of the channels to drop, between 0 and 1: ``int(drop * C)`` of them, of
            equal responses the last. A channel with a response of at most 1e-5 is dropped too.
        keep_at_least: as for :func:`mass_topk_mask`; it overrides both.

    Returns:
        ``ChannelMask(mask, counts)``: mask (N, C) bool, counts (N,) int64. No gradient flows.

    Raises:
        ValueError, TypeError: as :func:`mass_topk_mask`; ``drop`` is not between 0 and 1.

    Memory:
        As :func:`mass_topk_mask`.

    Source:
        Elkerdawy et al., Fire Together Wire Together, CVPR 2022 (arXiv 2110.08232), the
        uniform variant of the released code.
    """
    return ChannelMask(*torch.ops.ipse.uniform_topk_mask(response, drop, keep_at_least))
