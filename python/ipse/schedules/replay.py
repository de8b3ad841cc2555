"""EfficientTrain++'s replay buffer: loaded images are trained on more than once.

With small images the network is so quick that loading becomes the bottleneck. Batches of the recent
past are kept, and every step adds parts of them to the newly loaded batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["ReplayBuffer"]


class ReplayBuffer:
    """The last loaded batches, and random parts of them.

    Args:
        capacity: R, batches that are kept; the oldest goes first.
        replay: How often an image is trained on, on average: a step gets one new batch and
            replay - 1 times as many kept images. Load batches of 1 / replay of the step's size.
        chunks: Parts that a batch is kept in and drawn by.
        dtype: In which images are kept.

    Memory: `capacity` batches, at 2 bytes for each value, on the CPU.

    Raises:
        ValueError: A number below 1.

    Source: Y. Wang et al., EfficientTrain++, arXiv 2405.08768, and its released code.
    """

    def __init__(
        self,
        capacity: int,
        replay: int = 2,
        chunks: int = 32,
        *,
        dtype: torch.dtype = torch.float16,
    ) -> None:
        for name, number in (("capacity", capacity), ("replay", replay), ("chunks", chunks)):
            if number < 1:
                raise ValueError(f"ReplayBuffer: {name} must be at least 1, got {number}")
        self.capacity = capacity
        self.replay = replay
        self.chunks = chunks
        self.dtype = dtype
        self._kept: deque[tuple[Tensor, Tensor]] = deque(maxlen=capacity)

    def __len__(self) -> int:
        """Batches that are kept now."""
        return len(self._kept)

    def step(
        self, images: Tensor, targets: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Keeps a new batch and returns what to train on; mix images (Mixup, CutMix) afterwards.

        Args:
            images: float tensor [N, ...], N a multiple of `chunks`.
            targets: Tensor [N, ...].
            generator: Source of the draws, on the CPU; default: torch's own.

        Returns:
            Images and targets [replay * N, ...] on the device and in the type of the new ones: the
            new batch, then (replay - 1) * `chunks` chunks drawn uniformly and with replacement from
            all that are kept, the new batch's included.

        Raises:
            ValueError: N is not a multiple of `chunks`, or not the number of targets.
        """
        if len(images) == 0 or len(images) % self.chunks or len(images) != len(targets):
            raise ValueError(
                f"ReplayBuffer.step: images must be a multiple of {self.chunks} and as many as "
                f"targets, got {len(images)} and {len(targets)}"
            )
        # Copies: the caller may write into its batch again.
        kept = (
            images.detach().to("cpu", self.dtype, copy=True),
            targets.detach().to("cpu", copy=True),
        )
        self._kept.append(kept)
        count = (self.replay - 1) * self.chunks
        drawn = torch.randint(len(self._kept) * self.chunks, (count,), generator=generator)
        picked = [self._chunk(int(number)) for number in drawn]
        old_images, old_targets = zip(*picked, strict=True) if picked else ((), ())
        return (
            torch.cat([images, *(part.to(images.device, images.dtype) for part in old_images)]),
            torch.cat([targets, *(part.to(targets.device) for part in old_targets)]),
        )

    def _chunk(self, number: int) -> tuple[Tensor, Tensor]:
        batch, part = divmod(number, self.chunks)
        images, targets = self._kept[batch]
        length = len(images) // self.chunks
        chosen = slice(part * length, (part + 1) * length)
        return images[chosen], targets[chosen]

    def clear(self) -> None:
        """Forgets everything: needed at a change of size."""
        self._kept.clear()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs: all kept batches, oldest first."""
        return {"kept": list(self._kept)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes back to where `state_dict` was called."""
        self._kept = deque(map(tuple, state["kept"]), maxlen=self.capacity)
