"""Randomness that is keyed, not carried.

Every random number of a run comes from a generator made afresh from (seed, stream, epoch, step). No
generator state has to survive from step to step, so a run that was killed anywhere and resumed
draws the very numbers that an uninterrupted one draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import numpy as np
import torch

__all__ = ["Stream", "generator", "seeded"]


class Stream(IntEnum):
    """Independent uses of randomness within one run."""

    INIT = 0
    ORDER = 1
    STEP = 2
    MODULES = 3
    PICTURES = 4
    PREPARE = 5


def _key(seed: int, stream: Stream, epoch: int, step: int) -> int:
    # SeedSequence mixes its words well, so that neighbouring keys give unrelated generators.
    mixed = np.random.SeedSequence([seed, int(stream), epoch, step]).generate_state(1, np.uint64)
    return int(mixed[0])


def generator(
    seed: int,
    stream: Stream,
    epoch: int = 0,
    step: int = 0,
    device: torch.device | str = "cpu",
) -> torch.Generator:
    """A new generator on `device` for one use at one moment of a run."""
    return torch.Generator(device).manual_seed(_key(seed, stream, epoch, step))


@contextmanager
def seeded(
    seed: int,
    stream: Stream,
    epoch: int = 0,
    step: int = 0,
    device: torch.device | str = "cpu",
) -> Iterator[None]:
    """Seeds torch's default generators inside, for modules that use them (initialisation, dropout),
    and puts them back as they were afterwards."""
    device = torch.device(device)
    others = [] if device.type == "cpu" else [device.index or 0]
    kind = device.type if others else "cuda"
    with torch.random.fork_rng(devices=others, device_type=kind):
        torch.manual_seed(_key(seed, stream, epoch, step))
        yield
