"""Bands of frequencies as masks over ``|k|`` and ``|l|``, on the smallest window that holds them.

All but a band is the image less that band: a high-pass filter needs no more frequencies than the
low-pass filter that it leaves out.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

SHAPES = ("disc", "square")


class Band(NamedTuple):
    """A filter: ``keep * x`` + what the mask (a + 1, b + 1) lets through."""

    mask: "np.ndarray[Any, Any]"
    keep: float


@lru_cache(maxsize=64)
def find_band(height: int, width: int, low: float, high: float, shape: str) -> Band:
    """The filter for frequencies of distance ``low <= d < high`` from the constant."""
    inside = _inside(height, width, low, high, shape)
    through, stopped = _cut(inside), _cut(~inside)
    if through.size <= stopped.size:
        return _read_only(through.astype(np.float64), 0.0)
    return _read_only(-stopped.astype(np.float64), 1.0)


@lru_cache(maxsize=64)
def find_window(height: int, width: int, low: float, high: float, shape: str) -> Band:
    """The same without the detour over what is left out."""
    return _read_only(_cut(_inside(height, width, low, high, shape)).astype(np.float64), 0.0)


def _inside(height: int, width: int, low: float, high: float, shape: str) -> "np.ndarray[Any, Any]":
    k = np.arange(height // 2 + 1, dtype=np.float64)[:, None]
    l = np.arange(width // 2 + 1, dtype=np.float64)[None]  # noqa: E741
    distance = np.hypot(k, l) if shape == "disc" else np.maximum(k, l)
    return (low <= distance) & (distance < high)


def _cut(inside: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """The smallest corner that holds all frequencies of the mask, one at least."""
    if not inside.any():
        return inside[:1, :1]
    rows = int(np.flatnonzero(inside.any(1))[-1]) + 1
    columns = int(np.flatnonzero(inside.any(0))[-1]) + 1
    return inside[:rows, :columns]


def _read_only(mask: "np.ndarray[Any, Any]", keep: float) -> Band:
    mask = np.ascontiguousarray(mask)
    mask.flags.writeable = False  # shared by all callers
    return Band(mask, keep)
