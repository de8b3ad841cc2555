"""Styled domains: grey images under coloured light, one domain unseen in training.

A domain is a tint of the light, a ramp of brightness across the image and a contrast: low-frequency
style that says nothing about what an image shows. Networks that learn without labels like to tell
domains apart instead of things; what they learned is then worth little under another light.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ipse.data.dataset import DataError, ImageData

__all__ = ["DomainData", "styled_domains"]

_SEED = 2303
_BACKGROUND = 0.25  # brightness of black, so that the light shows there, too
_SPREAD = 0.12  # deviation of tint and ramp within a domain


class _Light(NamedTuple):
    """A domain's style: colour of the light, its ramp down and across the image, contrast."""

    tint: tuple[float, float, float]
    ramp: tuple[float, float]
    contrast: float


_SOURCES = (
    _Light((1.00, 0.55, 0.45), (0.5, 0.0), 1.0),
    _Light((0.45, 0.95, 0.55), (-0.3, 0.4), 0.75),
    _Light((0.50, 0.60, 1.00), (0.0, -0.5), 0.55),
)
# Yellow light from the other corner, and flatter than any of the sources.
_UNSEEN = _Light((0.95, 0.90, 0.30), (-0.5, -0.4), 0.45)


@dataclass(frozen=True)
class DomainData(ImageData):
    """Images of several domains to learn from; the test part is of a domain that is unseen.

    Attributes:
        train_domains: int64 tensor [N], the domain of each training image.
        seen_images: float32 tensor [M, C, H, W], other images of the training domains.
        seen_labels: int64 tensor [M], their classes.
        seen_domains: int64 tensor [M], their domains.
    """

    train_domains: Tensor
    seen_images: Tensor
    seen_labels: Tensor
    seen_domains: Tensor

    def limited(self, train_size: int | None, test_size: int | None) -> DomainData:
        """The same data with only the first so many images of each part; None keeps all.

        Raises:
            DataError: More images are asked for than there are.
        """
        cut = super().limited(train_size, test_size)
        assert isinstance(cut, DomainData)
        return replace(
            cut,
            train_domains=self.train_domains[:train_size],
            seen_images=self.seen_images[:test_size],
            seen_labels=self.seen_labels[:test_size],
            seen_domains=self.seen_domains[:test_size],
        )


def styled_domains(data: ImageData, per_domain: int | None = None) -> DomainData:
    """Lights grey images: three domains to learn from and a fourth that is only tested on.

    Every training image is in one domain; all classes are equally frequent in all domains. The
    test images come twice: lit by the unseen domain, and by the three others in turn. Sides below
    a multiple of four are padded to it (28 to 32). The same every time, whatever a run's seed.

    Args:
        data: Grey images, [N, 1, H, W].
        per_domain: Training images of each domain, rounded down to full classes; None for as many
            as there are.

    Raises:
        DataError: The images have colours, or there are too few.
    """
    if data.channels != 1:
        raise DataError(f"styled_domains: needs grey images, got {data.channels} channels")
    count, classes = len(_SOURCES), len(data.classes)
    available = int(data.train_labels.bincount(minlength=classes).min()) // count
    each = available if per_domain is None else per_domain // classes
    if not 1 <= each <= available:
        raise DataError(
            f"per_domain: got {per_domain}, but {data.name} has 1 to {available} images for each "
            f"of {classes} classes in {count} domains"
        )
    chosen = [
        torch.nonzero(data.train_labels == c).flatten()[: each * count] for c in range(classes)
    ]
    # Classes turn fastest after domains, so that any beginning is balanced.
    order = torch.stack(chosen, 1).view(each, count, classes).transpose(1, 2).flatten()
    domains = torch.arange(len(order)) % count
    seen = torch.arange(len(data.test_images)) % count
    source = torch.Generator().manual_seed(_SEED)
    return DomainData(
        name=f"styled-{data.name}",
        train_images=_light(data.train_images[order], [*_SOURCES], domains, source),
        train_labels=data.train_labels[order],
        test_images=_light(data.test_images, [_UNSEEN], torch.zeros_like(seen), source),
        test_labels=data.test_labels,
        classes=data.classes,
        train_domains=domains,
        seen_images=_light(data.test_images, [*_SOURCES], seen, source),
        seen_labels=data.test_labels,
        seen_domains=seen,
    )


def _light(images: Tensor, lights: list[_Light], which: Tensor, source: torch.Generator) -> Tensor:
    """Images [N, 1, H, W] in colour, each under its domain's light and a little of its own."""
    height, width = images.shape[-2:]
    down, across = (-side % 4 for side in (height, width))
    images = F.pad(images, (across // 2, across - across // 2, down // 2, down - down // 2))
    height, width = images.shape[-2:]

    def values(name: str) -> Tensor:
        return torch.tensor([getattr(light, name) for light in lights])[which]

    def vary(middle: Tensor) -> Tensor:
        return middle + _SPREAD * torch.randn(middle.shape, generator=source)

    tint = vary(values("tint"))[:, :, None, None]
    ramp = vary(values("ramp"))[:, :, None, None]
    contrast = values("contrast")[:, None, None, None]
    y = torch.linspace(-1, 1, height)[:, None]
    x = torch.linspace(-1, 1, width)[None]
    brightness = 1 + ramp[:, :1] * y + ramp[:, 1:] * x
    grey = _BACKGROUND + (1 - _BACKGROUND) * contrast * images
    return (tint * brightness * grey).clamp(0.0, 1.0)
