"""Data sets, held in memory, and the random views that methods compare."""

from __future__ import annotations

from pathlib import Path

from ipse.data.cluster_sampler import OneClusterPerBatchSampler
from ipse.data.dataset import Batch, DataError, ImageData
from ipse.data.digits import load_digits
from ipse.data.domains import DomainData, styled_domains
from ipse.data.fashion_mnist import load_fashion_mnist
from ipse.data.idx import read_idx
from ipse.data.pretexts import jigsaw_permutations, jigsaw_tiles, quarter_turns
from ipse.data.rand_augment import (
    RAND_AUGMENT_OPERATIONS,
    RandAugment,
    rand_augment_operation,
)
from ipse.data.styled_views import StyledViews
from ipse.data.surgery import load_surgery
from ipse.data.textures import textures
from ipse.data.video import LeakageWarning, VideoData, draw_videos, spaced_order, split_frames
from ipse.data.view_recipes import GENERIC_VIEWS, VIEW_RECIPES, standard_views
from ipse.data.views import ViewDistribution, batch_jitter, random_view

__all__ = [
    "DATASETS",
    "GENERIC_VIEWS",
    "RAND_AUGMENT_OPERATIONS",
    "VIEW_RECIPES",
    "Batch",
    "DataError",
    "DomainData",
    "ImageData",
    "LeakageWarning",
    "OneClusterPerBatchSampler",
    "RandAugment",
    "StyledViews",
    "VideoData",
    "ViewDistribution",
    "batch_jitter",
    "draw_videos",
    "jigsaw_permutations",
    "jigsaw_tiles",
    "load",
    "load_digits",
    "load_fashion_mnist",
    "load_surgery",
    "quarter_turns",
    "rand_augment_operation",
    "random_view",
    "read_idx",
    "spaced_order",
    "split_frames",
    "standard_views",
    "styled_domains",
    "textures",
]

DATASETS = ("digits", "fashion-mnist", "styled-digits", "styled-fashion-mnist", "surgery")
"""Names that `load` knows."""


def load(
    name: str,
    root: str | Path | None = None,
    train_size: int | None = None,
    test_size: int | None = None,
) -> ImageData:
    """Loads a data set by name.

    Args:
        name: One of `DATASETS`.
        root: Folder with the files, for data sets that come as files; None is their usual place.
        train_size: Keep only so many training samples; None keeps all.
        test_size: Keep only so many test samples; None keeps all.

    Raises:
        DataError: Unknown name, missing or damaged files, or more samples than there are.
    """
    data: ImageData
    if name.startswith("styled-") and name in DATASETS:
        # What fits into a few minutes; all of the digits are fewer.
        per_domain = 2000 if name == "styled-fashion-mnist" else None
        data = styled_domains(load(name.removeprefix("styled-"), root), per_domain)
    elif name == "digits":
        if root is not None:
            raise DataError("root: digits come with scikit-learn and need no folder")
        data = load_digits()
    elif name == "surgery":
        if root is not None:
            raise DataError("root: surgery videos are made on the spot and need no folder")
        data = load_surgery()
    elif name == "fashion-mnist":
        data = load_fashion_mnist(None if root is None else Path(root))
    else:
        raise DataError(f"data: got {name!r}, must be one of {', '.join(DATASETS)}")
    return data.limited(train_size, test_size)
