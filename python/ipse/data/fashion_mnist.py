"""Fashion-MNIST from its four idx files: 70 000 images of clothes, 28 x 28 pixels, ten classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ipse.data.dataset import DataError, ImageData
from ipse.data.idx import read_idx

__all__ = ["FASHION_MNIST_ROOT", "load_fashion_mnist"]

FASHION_MNIST_ROOT = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the files."""

_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def load_fashion_mnist(root: Path | None = None) -> ImageData:
    """Loads Fashion-MNIST with its official split: 60 000 training and 10 000 test images.

    Args:
        root: Folder with `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the two
            `t10k-` files, each as it is or with `.gz`. Default: the Debian package's folder.

    Raises:
        DataError: A file is missing, damaged, or not what its name says.

    Source: H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST, arXiv 1708.07747.
    """
    folder = FASHION_MNIST_ROOT if root is None else root
    train_images, train_labels = _load_part(folder, "train")
    test_images, test_labels = _load_part(folder, "t10k")
    return ImageData(
        name="fashion-mnist",
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        classes=_CLASSES,
    )


def _load_part(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    image_file = _find(folder, f"{part}-images-idx3-ubyte")
    label_file = _find(folder, f"{part}-labels-idx1-ubyte")
    images, labels = read_idx(image_file), read_idx(label_file)
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28):
        raise DataError(
            f"{image_file}: expected uint8 images of shape [N, 28, 28], "
            f"got {images.dtype} {list(images.shape)}"
        )
    if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
        raise DataError(
            f"{label_file}: expected {len(images)} uint8 labels, one per image, "
            f"got {labels.dtype} {list(labels.shape)}"
        )
    if len(labels) == 0 or int(labels.max()) >= len(_CLASSES):
        found = f"label {labels.max()}" if len(labels) else "no labels"
        raise DataError(f"{label_file}: expected labels from 0 to 9, found {found}")
    pixels = torch.from_numpy(images).unsqueeze(1).float() / 255.0
    return pixels, torch.from_numpy(labels).long()


def _find(folder: Path, name: str) -> Path:
    for candidate in (folder / f"{name}.gz", folder / name):
        if candidate.is_file():
            return candidate
    raise DataError(
        f"fashion-mnist: no {name}[.gz] in {folder}; install Debian's dataset-fashion-mnist "
        f"(apt install dataset-fashion-mnist) or pass --root DIR with the four idx files"
    )
