"""scikit-learn's bundled digits: 1797 images of 8 x 8 pixels that work offline."""

from __future__ import annotations

import torch

from ipse.data.dataset import ImageData

__all__ = ["load_digits"]

_TEST_FRACTION = 0.2
_SPLIT_SEED = 0


def load_digits() -> ImageData:
    """Loads the digits, split 80 / 20 with every class equally represented in both parts.

    The data set has no official split, so this one is fixed: it does not depend on any run's
    seed, and numbers from different runs can be compared.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998.
    """
    from sklearn.datasets import load_digits as bundled_digits
    from sklearn.model_selection import train_test_split

    digits = bundled_digits()
    images = torch.from_numpy(digits.images).float().unsqueeze(1) / 16.0
    labels = torch.from_numpy(digits.target).long()
    train, test = train_test_split(
        torch.arange(len(labels)).numpy(),
        test_size=_TEST_FRACTION,
        stratify=labels.numpy(),
        random_state=_SPLIT_SEED,
    )
    return ImageData(
        name="digits",
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
        classes=tuple(str(name) for name in digits.target_names),
    )
