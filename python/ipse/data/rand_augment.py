"""RandAugment with a strength that a schedule can change: for photographs, image by image.

The policy that EfficientTrain ramps, `rand-m{m}-mstd0.5-inc1`: two operations for each image, each
done half of the time, at strengths around m. "Increasing" operations change an image more at a
higher m, all of them; in the original RandAugment some change it less.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["RAND_AUGMENT_OPERATIONS", "RandAugment", "rand_augment_operation"]

RAND_AUGMENT_OPERATIONS = (
    "autocontrast",
    "equalize",
    "invert",
    "rotate",
    "posterize",
    "solarize",
    "solarize_add",
    "color",
    "contrast",
    "brightness",
    "sharpness",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
)
"""What an operation may be."""

_STRONGEST = 10.0


class RandAugment:
    """A transform of one image, whose `magnitude` may be set between epochs.

    ::

        augment = RandAugment()
        for epoch in range(epochs):
            augment.magnitude = schedule["magnitude"]  # before the loader starts its workers
            for images, labels in loader: ...

    Magnitude 0 is not "nothing": strengths are drawn around it, and some operations have none.

    Attributes:
        magnitude: m, from 0 to 10.

    Args:
        magnitude: m at the start.
        spread: Standard deviation of an operation's strength, clipped to [0, 10].
        operations: Operations for each image, drawn with replacement.
        probability: That a drawn operation is done.
        generator: Source of randomness; default: torch's own, which loaders seed in each worker.

    Source: E. Cubuk et al., RandAugment, arXiv 1909.13719; the ranges are timm's, which
    EfficientTrain uses.
    """

    def __init__(
        self,
        magnitude: float = 9.0,
        *,
        spread: float = 0.5,
        operations: int = 2,
        probability: float = 0.5,
        generator: torch.Generator | None = None,
    ) -> None:
        self.magnitude = magnitude
        self.spread = spread
        self.operations = operations
        self.probability = probability
        self.generator = generator

    def __call__(self, image: Any) -> Any:
        """The image, augmented.

        Args:
            image: uint8 tensor [3, H, W], or a PIL image.

        Raises:
            ValueError: `magnitude` is not from 0 to 10.
        """
        if not 0 <= self.magnitude <= _STRONGEST:
            raise ValueError(f"RandAugment: magnitude must be from 0 to 10, got {self.magnitude}")
        for _ in range(self.operations):
            chosen, happens, sign = torch.rand(3, generator=self.generator).tolist()
            noise = float(torch.randn((), generator=self.generator))
            strength = min(max(self.magnitude + self.spread * noise, 0.0), _STRONGEST)
            name = RAND_AUGMENT_OPERATIONS[int(chosen * len(RAND_AUGMENT_OPERATIONS))]
            if happens < self.probability:
                image = rand_augment_operation(image, name, strength, negative=sign < 0.5)
        return image


def rand_augment_operation(image: Any, name: str, strength: float, *, negative: bool) -> Any:
    """One operation of RandAugment.

    Args:
        image: uint8 tensor [3, H, W], or a PIL image.
        name: One of `RAND_AUGMENT_OPERATIONS`.
        strength: 0 to 10.
        negative: Turn, shift or change the other way; for operations that have two ways.

    Returns:
        The new image, of the same kind; what moves in from outside is grey.

    Raises:
        ValueError: There is no such operation.
    """
    if name not in RAND_AUGMENT_OPERATIONS:
        known = ", ".join(RAND_AUGMENT_OPERATIONS)
        raise ValueError(f"rand_augment_operation: name must be one of {known}, got {name!r}")
    level = strength / _STRONGEST
    signed = -level if negative else level
    return _OPERATIONS[name](image, level, signed)


def _functional() -> Any:
    from torchvision.transforms.v2 import functional  # slow to import, and an extra

    return functional


def _affine(image: Any, **changes: Any) -> Any:
    given = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0], **changes}
    kind = _interpolation()
    return _functional().affine(image, **given, interpolation=kind, fill=[128, 128, 128])


def _interpolation() -> Any:
    from torchvision.transforms import InterpolationMode

    return InterpolationMode.BILINEAR


def _degrees(slope: float) -> float:
    return float(torch.rad2deg(torch.atan(torch.tensor(slope))))


def _translate(image: Any, across: float, down: float) -> Any:
    height, width = _functional().get_size(image)
    return _affine(image, translate=[round(across * width), round(down * height)])


def _solarize(image: Any, threshold: int) -> Any:
    # No pixel is as bright as 256, and torchvision does not take it.
    return _functional().solarize(image, threshold) if threshold < 256 else image


def _solarize_add(image: Any, addition: int) -> Any:
    functional = _functional()
    pixels = image if isinstance(image, torch.Tensor) else functional.pil_to_tensor(image)
    brighter = (pixels.int() + addition).clamp(max=255).to(torch.uint8)
    result = torch.where(pixels < 128, brighter, pixels)
    return result if isinstance(image, torch.Tensor) else functional.to_pil_image(result)


_Operation = Callable[[Any, float, float], Any]

_OPERATIONS: dict[str, _Operation] = {
    "autocontrast": lambda image, level, signed: _functional().autocontrast(image),
    "equalize": lambda image, level, signed: _functional().equalize(image),
    "invert": lambda image, level, signed: _functional().invert(image),
    "rotate": lambda image, level, signed: _affine(image, angle=30 * signed),
    # Of no bits at all only black is left, which Pillow refuses to make.
    "posterize": lambda image, level, signed: _functional().posterize(
        image, max(1, 4 - int(4 * level))
    ),
    "solarize": lambda image, level, signed: _solarize(image, 256 - int(256 * level)),
    "solarize_add": lambda image, level, signed: _solarize_add(image, int(110 * level)),
    "color": lambda image, level, signed: _functional().adjust_saturation(image, 1 + 0.9 * signed),
    "contrast": lambda image, level, signed: _functional().adjust_contrast(image, 1 + 0.9 * signed),
    "brightness": lambda image, level, signed: _functional().adjust_brightness(
        image, 1 + 0.9 * signed
    ),
    "sharpness": lambda image, level, signed: _functional().adjust_sharpness(
        image, 1 + 0.9 * signed
    ),
    "shear_x": lambda image, level, signed: _affine(image, shear=[_degrees(0.3 * signed), 0.0]),
    "shear_y": lambda image, level, signed: _affine(image, shear=[0.0, _degrees(0.3 * signed)]),
    "translate_x": lambda image, level, signed: _translate(image, 0.45 * signed, 0.0),
    "translate_y": lambda image, level, signed: _translate(image, 0.0, 0.45 * signed),
}
