"""What a data set is to the rest of the library: images and labels in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["Batch", "DataError", "ImageData"]


class DataError(ValueError):
    """Data that is missing, damaged or not what was asked for; the message is one clear line."""


@dataclass(frozen=True)
class Batch:
    """What a method's step receives.

    Attributes:
        images: float32 tensor [N, C, H, W] with intensities in [0, 1].
        labels: int64 tensor [N]; for methods that use labels.
        indices: int64 tensor [N], each sample's position in the training set; for methods that
            keep something per sample.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor


@dataclass(frozen=True)
class ImageData:
    """A labelled image data set with a training and a test part.

    Attributes:
        name: The name it is asked for by, such as `digits`.
        train_images: float32 tensor [N, C, H, W] with intensities in [0, 1].
        train_labels: int64 tensor [N] with values in [0, len(classes)).
        test_images: As `train_images`, for evaluation only.
        test_labels: As `train_labels`, for evaluation only.
        classes: Name of each class.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]

    @property
    def channels(self) -> int:
        """Number of colour channels."""
        return int(self.train_images.shape[1])

    def batch(self, indices: Tensor, device: torch.device) -> Batch:
        """The training samples at `indices` (int64 tensor [N]), on `device`."""
        return Batch(
            images=self.train_images[indices].to(device),
            labels=self.train_labels[indices].to(device),
            indices=indices.to(device),
        )

    def limited(self, train_size: int | None, test_size: int | None) -> ImageData:
        """The same data with only the first so many samples of each part; None keeps all.

        Raises:
            DataError: More samples are asked for than there are.
        """
        for name, size, images in (
            ("train_size", train_size, self.train_images),
            ("test_size", test_size, self.test_images),
        ):
            if size is not None and not 1 <= size <= len(images):
                raise DataError(
                    f"{name}: got {size}, but {self.name} has {len(images)} samples in that part"
                )
        return replace(
            self,
            train_images=self.train_images[:train_size],
            train_labels=self.train_labels[:train_size],
            test_images=self.test_images[:test_size],
            test_labels=self.test_labels[:test_size],
        )
