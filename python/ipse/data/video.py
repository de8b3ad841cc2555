"""Frames of videos: neighbours look alike, so whole videos are split, drawn and kept apart."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ipse.data.dataset import DataError, ImageData

__all__ = ["LeakageWarning", "VideoData", "draw_videos", "spaced_order", "split_frames"]


class LeakageWarning(UserWarning):
    """A split that puts near-duplicates on both sides."""


@dataclass(frozen=True)
class VideoData(ImageData):
    """Labelled video frames; the frames of a video follow one another in time.

    Attributes:
        train_videos: int64 tensor [N], which video each training frame is of.
        test_videos: int64 tensor [M], the same for test frames; no video is in both parts.
    """

    train_videos: Tensor
    test_videos: Tensor

    def limited(self, train_size: int | None, test_size: int | None) -> VideoData:
        """The same data with only the first so many frames of each part; None keeps all.

        Raises:
            DataError: More frames are asked for than there are.
        """
        cut = super().limited(train_size, test_size)
        assert isinstance(cut, VideoData)
        return replace(
            cut,
            train_videos=self.train_videos[:train_size],
            test_videos=self.test_videos[:test_size],
        )


def split_frames(
    videos: Tensor, test_fraction: float = 1 / 3, *, by: str = "video", seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Splits frames into a training and a test part.

    Args:
        videos: int64 tensor [N], which video each frame is of.
        test_fraction: Part of the videos, or frames, that goes to the test part.
        by: `video` keeps every video whole. `frame` draws single frames, so that a test frame's
            neighbours, which look the same, are trained on: what is measured then is memory.
        seed: Seed of the draw.

    Returns:
        Indices of the training and of the test frames, int64, in order of time.

    Raises:
        ValueError: Another `by`, or a part would be empty.

    Warns:
        LeakageWarning: `by` is `frame`.
    """
    if by not in ("video", "frame"):
        raise ValueError(f"split_frames: by must be 'video' or 'frame', got {by!r}")
    if by == "frame":
        warnings.warn(
            "split_frames: frames of one video are near-duplicates; split by frame, accuracy on "
            "the test part measures memory. Use by='video'",
            LeakageWarning,
            stacklevel=2,
        )
    units = videos if by == "video" else torch.arange(len(videos))
    names = units.unique()
    count = round(test_fraction * len(names))
    if not 0 < count < len(names):
        raise ValueError(
            f"split_frames: test_fraction must leave both parts at least one {by} of "
            f"{len(names)}, got {test_fraction}"
        )
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed))
    in_test = torch.isin(units, names[order[:count]])
    return (~in_test).nonzero().flatten(), in_test.nonzero().flatten()


def draw_videos(videos: Tensor, count: int, seed: int = 0) -> Tensor:
    """Indices of all frames of `count` whole videos drawn at random: a labelled fraction.

    Args:
        videos: int64 tensor [N], which video each frame is of.
        count: How many videos.
        seed: Seed of the draw.

    Raises:
        DataError: There are fewer videos, or `count` is below 1.
    """
    names = videos.unique()
    if not 1 <= count <= len(names):
        raise DataError(f"draw_videos: count must be from 1 to {len(names)}, got {count}")
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed))
    return torch.isin(videos, names[order[:count]]).nonzero().flatten()


def spaced_order(
    videos: Tensor, batch_size: int, min_gap: int, generator: torch.Generator
) -> Tensor:
    """A random order of frames whose batches never hold two near frames of one video.

    Near frames look the same; in a contrastive batch they would be pushed apart all the same.

    Args:
        videos: int64 tensor [N], which video each frame is of, the frames in order of time.
        batch_size: Frames in each batch.
        min_gap: Least distance in time, in frames, of two frames of one video in a batch.
        generator: Source of the randomness, on the CPU.

    Returns:
        int64 indices of N // batch_size batches, one after the other. Each frame comes about
        once; a few come twice or not at all where batches could not be filled otherwise.

    Raises:
        ValueError: `min_gap` is more than the number of batches: so many frames in a row cannot
            all go to different ones.
    """
    batches = len(videos) // batch_size
    if not 1 <= min_gap <= batches:
        raise ValueError(
            f"spaced_order: min_gap must be from 1 to the {batches} batches of {batch_size} that "
            f"{len(videos)} frames make, got {min_gap}"
        )
    chosen: list[list[int]] = [[] for _ in range(batches)]
    # The random part decides among batches that are equally full.
    fill = torch.rand(batches, generator=generator, dtype=torch.float64)
    names = videos.unique()
    for name in names[torch.randperm(len(names), generator=generator)]:
        recent: list[int] = []
        noise = torch.rand(len(videos), batches, generator=generator, dtype=torch.float64)
        for place, frame in enumerate((videos == name).nonzero().flatten().tolist()):
            cost = fill + 2 * noise[place]
            cost[recent] = torch.inf
            batch = int(cost.argmin())
            chosen[batch].append(frame)
            fill[batch] += 1
            recent = [*recent, batch][-(min_gap - 1) :] if min_gap > 1 else []
    for batch_frames in chosen:
        _fill_up(batch_frames, videos, batch_size, min_gap, generator)
    return torch.tensor([frame for frames in chosen for frame in frames[:batch_size]])


def _fill_up(
    frames: list[int], videos: Tensor, batch_size: int, min_gap: int, generator: torch.Generator
) -> None:
    """Random order; and where frames are missing, any that keep the distance."""
    order = torch.randperm(len(frames), generator=generator).tolist()
    frames[:] = [frames[place] for place in order]
    while len(frames) < batch_size:
        there = torch.tensor(frames)
        apart = (torch.arange(len(videos))[:, None] - there).abs() >= min_gap
        free = (apart | (videos[:, None] != videos[there])).all(1).nonzero().flatten()
        if len(free) == 0:
            raise ValueError(
                f"spaced_order: min_gap must be small enough to fill batches of {batch_size}, "
                f"got {min_gap}"
            )
        frames.append(int(free[torch.randint(len(free), (1,), generator=generator)]))
