"""Procedural "surgery" videos: small, made on the spot, with the troubles of the real ones.

Each video runs through phases in a fixed order. What tells the phase is which instruments are in
sight, and only by probability; what differs most between two frames is something else: tissue
colour and texture, light, focus and reflections, which belong to the video. Frames of one video
look alike, and few labelled videos tempt a network to learn the wrong thing.

The setting follows the Cholec80 videos in the study of S. Ramesh et al., Dissecting Self-Supervised
Learning Methods for Surgical Computer Vision, arXiv 2207.00449, Medical Image Analysis 2023.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ipse.data.video import VideoData

__all__ = ["load_surgery"]

_SIDE = 48
_PHASES = ("preparation", "dissection", "clipping", "packaging")
_SEED = 2207
_SHORTEST, _LONGEST = 80, 150

# How often each instrument is in sight during each phase. Most are seen in several phases.
#        grasper hook  scissors clipper bag
_TOOLS = (
    (0.90, 0.05, 0.05, 0.05, 0.03),
    (0.50, 0.90, 0.05, 0.05, 0.03),
    (0.50, 0.10, 0.60, 0.75, 0.05),
    (0.70, 0.05, 0.05, 0.05, 0.85),
)
# Half-angle between the jaws in degrees, their length, half-width of the shaft, all in units of
# the image's side, and what the tip's colour adds to grey.
_SHAPES = (
    (18.0, 0.20, 0.030, (0.00, 0.00, 0.00)),
    (80.0, 0.20, 0.035, (0.15, 0.00, -0.35)),
    (40.0, 0.26, 0.030, (0.00, 0.00, 0.15)),
    (4.0, 0.24, 0.055, (-0.35, -0.10, 0.20)),
    (0.0, 0.15, 0.030, (-0.15, 0.15, -0.10)),
)
_BAG = 4
_AT_ONCE = 3


def load_surgery(train_videos: int = 20, test_videos: int = 10) -> VideoData:
    """Makes the videos; they are the same every time and do not depend on any run's seed.

    Frames are 48 x 48 RGB; a video has 80 to 150 of them in four ordered phases, of which one
    other than the first may be missing. Labels are the phases.

    Args:
        train_videos: Videos of the training part.
        test_videos: Videos of the test part.
    """
    videos = [_make_video(number) for number in range(train_videos + test_videos)]
    images, labels = zip(*videos, strict=True)
    numbers = [torch.full((len(part),), number) for number, part in enumerate(labels)]
    return VideoData(
        name="surgery",
        train_images=torch.cat(images[:train_videos]),
        train_labels=torch.cat(labels[:train_videos]),
        test_images=torch.cat(images[train_videos:]),
        test_labels=torch.cat(labels[train_videos:]),
        classes=_PHASES,
        train_videos=torch.cat(numbers[:train_videos]),
        test_videos=torch.cat(numbers[train_videos:]),
    )


def _make_video(number: int) -> tuple[Tensor, Tensor]:
    draw = _Draw(number)
    labels = _phases(draw)
    frames = len(labels)
    seen = _presence(labels, draw)
    image = _background(frames, draw)
    for tool in range(len(_SHAPES)):
        image = _paint(image, tool, seen[:, tool], draw)
    return _camera(image, draw), labels


class _Draw:
    """Random numbers of one video."""

    def __init__(self, number: int) -> None:
        self.source = torch.Generator().manual_seed(_SEED * 1000 + number)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=self.source)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.source)

    def one(self, low: float, high: float) -> float:
        return float(self.uniform(1, low=low, high=high))

    def walk(self, frames: int, step: float) -> Tensor:
        """A smooth random course around 0, [frames]."""
        values, value, speed = [], 0.0, 0.0
        for push in self.normal(frames).tolist():
            speed = 0.8 * speed + step * push
            value = 0.97 * value + speed
            values.append(value)
        return torch.tensor(values)


def _phases(draw: _Draw) -> Tensor:
    frames = round(draw.one(_SHORTEST, _LONGEST))
    shares = draw.uniform(len(_PHASES), low=0.5, high=1.5)
    if draw.one(0.0, 1.0) < 0.2:
        shares[1 + int(draw.one(0.0, 2.999))] = 0.0
    ends = (shares.cumsum(0) / shares.sum() * frames).round()
    return torch.searchsorted(ends, torch.arange(frames) + 0.5)


def _presence(labels: Tensor, draw: _Draw) -> Tensor:
    """Which instruments are in sight, bool [frames, tools]: each stays or goes now and then."""
    chances = torch.tensor(_TOOLS)
    state = torch.zeros(len(_SHAPES), dtype=torch.bool)
    rows = []
    for frame, phase in enumerate(labels.tolist()):
        again = draw.uniform(len(_SHAPES)) < (1.0 if frame == 0 else 0.15)
        state = torch.where(again, draw.uniform(len(_SHAPES)) < chances[phase], state)
        # From one to three at once: the likeliest ones, in this phase, come and stay.
        count = int(state.sum().clamp(1, _AT_ONCE))
        ranked = (state.float() + 0.5 * chances[phase]).argsort(descending=True)
        shown = torch.zeros_like(state)
        shown[ranked[:count]] = True
        rows.append(shown)
    return torch.stack(rows)


def _background(frames: int, draw: _Draw) -> Tensor:
    """Tissue [frames, 3, side, side]: one texture, slowly moved under the camera."""
    base = torch.tensor([draw.one(0.40, 0.70), draw.one(0.15, 0.35), draw.one(0.12, 0.35)])
    texture = torch.zeros(1, 3, 2 * _SIDE, 2 * _SIDE)
    for cells in (4, 9, 22):
        coarse = draw.normal(1, 1, cells, cells) + 0.5 * draw.normal(1, 3, cells, cells)
        texture += F.interpolate(coarse, size=texture.shape[-2:], mode="bicubic") / cells**0.5
    tissue = base[:, None, None] * (1.0 + draw.one(0.1, 0.4) * texture[0])
    shift = [0.5 * draw.walk(frames, 0.015).clamp(-1, 1) for _ in range(2)]
    turn = 0.2 * draw.walk(frames, 0.02)
    rows = [
        torch.stack([0.5 * turn.cos(), -0.5 * turn.sin(), shift[0]], dim=1),
        torch.stack([0.5 * turn.sin(), 0.5 * turn.cos(), shift[1]], dim=1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1), [frames, 3, _SIDE, _SIDE], align_corners=False)
    return F.grid_sample(
        tissue.expand(frames, -1, -1, -1), grid, padding_mode="reflection", align_corners=False
    )


def _paint(image: Tensor, tool: int, seen: Tensor, draw: _Draw) -> Tensor:
    """Draws an instrument over the frames where it is in sight: shaft from the border, jaws."""
    angle, length, width, tint = _SHAPES[tool]
    pose = _pose(len(image), draw)
    open_by = math.radians(angle) * (1.0 + 0.25 * draw.walk(len(image), 0.15).clamp(-1, 1))
    shaft = _distance(pose.x, pose.y, pose.direction, 1.5)
    if tool == _BAG:
        grid_y, grid_x = _grid()
        tip_x = pose.x - 0.5 * length * pose.direction.cos()
        tip_y = pose.y - 0.5 * length * pose.direction.sin()
        jaws = torch.hypot(grid_x - tip_x[:, None, None], grid_y - tip_y[:, None, None])
        jaws = jaws - length
    else:
        jaws = torch.minimum(
            *(
                _distance(pose.x, pose.y, pose.direction + math.pi + turn, length)
                for turn in (open_by, -open_by if angle < 60 else torch.zeros_like(open_by))
            )
        )
        jaws = jaws - 0.8 * width
    metal = draw.one(0.65, 0.85)
    sharp = 1.2 * _SIDE
    body = torch.sigmoid(sharp * (width - shaft)) * seen[:, None, None]
    tip = torch.sigmoid(-sharp * jaws) * seen[:, None, None]
    shading = (0.55 + 0.45 * (1.0 - (shaft / width).clamp(0, 1)))[:, None]
    image = torch.lerp(image, metal * shading.expand(-1, 3, -1, -1), body[:, None])
    colour = (metal + torch.tensor(tint))[:, None, None].expand(image.shape)
    return torch.lerp(image, colour, tip[:, None])


class _Pose(NamedTuple):
    """Where an instrument's tip is, [frames] each; the shaft leaves it in `direction`."""

    x: Tensor
    y: Tensor
    direction: Tensor


def _pose(frames: int, draw: _Draw) -> _Pose:
    # Instruments come in from a port outside the picture and point to the middle region.
    around = draw.one(0.0, 2 * math.pi) + 0.5 * draw.walk(frames, 0.05)
    depth = 0.25 + 0.2 * draw.walk(frames, 0.1).clamp(-1, 1)
    x = 0.5 + depth * around.cos() + 0.1 * draw.walk(frames, 0.08)
    y = 0.5 + depth * around.sin() + 0.1 * draw.walk(frames, 0.08)
    return _Pose(x, y, around + 0.4 * draw.walk(frames, 0.05))


def _grid() -> tuple[Tensor, Tensor]:
    """Row and column of every pixel's centre, from 0 to 1: [side, side] each."""
    line = (torch.arange(_SIDE) + 0.5) / _SIDE
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    return rows, columns


def _distance(x: Tensor, y: Tensor, direction: Tensor, length: float) -> Tensor:
    """Distance [frames, side, side] from the piece that leaves (x, y) in `direction`."""
    grid_y, grid_x = _grid()
    across, down = grid_x - x[:, None, None], grid_y - y[:, None, None]
    cos, sin = direction.cos()[:, None, None], direction.sin()[:, None, None]
    along = (across * cos + down * sin).clamp(0, length)
    return torch.hypot(across - along * cos, down - along * sin)


def _camera(image: Tensor, draw: _Draw) -> Tensor:
    """Light, reflections, focus, white balance and noise; all but noise belong to the video."""
    frames = len(image)
    grid_y, grid_x = _grid()
    light_x, light_y = draw.one(0.2, 0.8), draw.one(0.2, 0.8)
    fall = draw.one(0.5, 1.5)
    light = torch.exp(-fall * ((grid_x - light_x) ** 2 + (grid_y - light_y) ** 2))
    flicker = 1.0 + 0.1 * draw.walk(frames, 0.1)[:, None, None, None]
    image = image * (draw.one(0.9, 1.3) * light) * flicker
    for _ in range(round(draw.one(2, 6))):
        centre = [draw.one(0, 1) + 0.3 * draw.walk(frames, 0.05)[:, None, None] for _ in range(2)]
        spot = (grid_x - centre[0]) ** 2 + (grid_y - centre[1]) ** 2
        image = image + 0.7 * torch.exp(-spot / draw.one(0.0004, 0.002))[:, None]
    tint = draw.uniform(3, 1, 1, low=0.85, high=1.15)
    blurred = F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    focus = (draw.one(0.0, 0.5) + 0.3 * draw.walk(frames, 0.1)).clamp(0, 1)
    image = torch.lerp(image * tint, blurred * tint, focus[:, None, None, None])
    noise = draw.one(0.01, 0.03) * draw.normal(*image.shape)
    return (image + noise).clamp(0, 1)
