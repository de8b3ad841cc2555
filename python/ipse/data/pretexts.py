"""Puzzles whose solution is known without labels: how an image was turned, how it was cut up."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["jigsaw_permutations", "jigsaw_tiles", "quarter_turns"]


def quarter_turns(images: Tensor) -> tuple[Tensor, Tensor]:
    """Every image turned by 0, 90, 180 and 270 degrees clockwise.

    Args:
        images: float tensor [N, C, S, S], square.

    Returns:
        Images [4 N, C, S, S], all of one turn together, and int64 labels [4 N]: the number of
        quarters.

    Raises:
        ValueError: The images are not square.

    Source: S. Gidaris, P. Singh, N. Komodakis, Unsupervised Representation Learning by Predicting
    Image Rotations, arXiv 1803.07728.
    """
    if images.ndim != 4 or images.shape[2] != images.shape[3]:
        raise ValueError(
            f"quarter_turns: images must be square, [N, C, S, S], got {list(images.shape)}"
        )
    turned = torch.cat([torch.rot90(images, -quarters, (2, 3)) for quarters in range(4)])
    labels = torch.arange(4, device=images.device).repeat_interleave(len(images))
    return turned, labels


def jigsaw_permutations(count: int, tiles: int = 9, seed: int = 0) -> Tensor:
    """Permutations that are far apart, so that each tells something about every place.

    The first is drawn; then again and again the one whose nearest of those before differs from it
    in the most places, the first such in a random order of all.

    Args:
        count: How many, from 1 to the factorial of `tiles`.
        tiles: Length of a permutation, from 1 to 9.
        seed: Of the random order.

    Returns:
        int64 tensor [count, tiles].

    Raises:
        ValueError: `tiles` or `count` is out of range.

    Source: M. Noroozi, P. Favaro, Unsupervised Learning of Visual Representations by Solving
    Jigsaw Puzzles, arXiv 1603.09246, algorithm 1.
    """
    if not 1 <= tiles <= 9:
        raise ValueError(f"jigsaw_permutations: tiles must be from 1 to 9, got {tiles}")
    total = math.factorial(tiles)
    if not 1 <= count <= total:
        raise ValueError(f"jigsaw_permutations: count must be from 1 to {total}, got {count}")
    each = itertools.chain.from_iterable(itertools.permutations(range(tiles)))
    everything = np.fromiter(each, np.int8, total * tiles).reshape(total, tiles)
    # A place of all permutations in one row: distances are sums over rows, ten times as fast.
    places = np.random.default_rng(seed).permutation(everything).T.copy()
    chosen = [0]
    nearest = np.full(total, tiles, np.int8)
    while len(chosen) < count:
        differs = places != places[:, chosen[-1], None]
        nearest = np.minimum(nearest, differs.sum(0, dtype=np.int8))
        chosen.append(int(nearest.argmax()))
    return torch.from_numpy(places[:, chosen].T.astype(np.int64))


def jigsaw_tiles(images: Tensor, permutations: Tensor) -> Tensor:
    """Every image cut into a square of tiles, each as large as the image was, in a new order.

    Args:
        images: float tensor [N, C, H, W]; what is left over of the sides falls off their ends.
        permutations: int64 tensor [N, tiles], which tile comes to each place; tiles are a square
            number and counted row by row.

    Returns:
        float tensor [N, tiles, C, H, W].

    Raises:
        ValueError: There are more tiles along a side than pixels, or not a permutation an image.
    """
    count, height, width = len(images), *images.shape[2:]
    tiles = permutations.shape[-1]
    across = round(tiles**0.5)
    if permutations.shape != (count, across**2) or across > min(height, width):
        raise ValueError(
            f"jigsaw_tiles: permutations must be [N, tiles], a square number no finer than the "
            f"pixels, got {list(permutations.shape)} for images {list(images.shape)}"
        )
    tall, wide = height // across, width // across
    cut = images[:, :, : tall * across, : wide * across]
    cut = cut.unflatten(3, (across, wide)).unflatten(2, (across, tall))
    cut = cut.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    ordered = cut[torch.arange(count, device=images.device)[:, None], permutations]
    resized = F.interpolate(
        ordered.flatten(0, 1), (height, width), mode="bilinear", align_corners=False
    )
    return resized.unflatten(0, (count, tiles))
