"""Views whose style belongs to the batch: one image's Fourier amplitudes for all of them.

Geometry is drawn for each image, style for each view of the whole batch: a network that compares
the views of a batch cannot tell images apart by the light they were taken in.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from ipse.data.views import ViewDistribution, batch_jitter, random_view
from ipse.functional import style_amplitude, style_standardize

__all__ = ["StyledViews"]

EXCHANGES = ("batch", "image", "none")
JITTERS = ("batch", "image")


@dataclass(frozen=True, kw_only=True)
class StyledViews:
    """How a view is drawn: geometry, then style, then colours.

    Attributes:
        geometry: What happens to each image by itself.
        colours: Changes of intensity and colour after the exchange of styles.
        exchange: `batch` gives all images the style of one (BSS), `image` gives each image the
            style of another drawn for it (Fourier augmentation), `none` leaves styles alone.
        jitter: Whether `colours` are drawn once for a `batch` or for each `image`, which brings
            back different styles.
        least_ratio, largest_ratio: Of the window's area, uniform in between.

    Raises:
        ValueError: An unknown exchange or jitter, or ratios that are not 0 <= least <= largest
            <= 1.
    """

    geometry: ViewDistribution
    colours: ViewDistribution
    exchange: str = "batch"
    jitter: str = "batch"
    least_ratio: float = 0.02
    largest_ratio: float = 1.0

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("exchange", self.exchange, EXCHANGES),
            ("jitter", self.jitter, JITTERS),
        ):
            if value not in allowed:
                names = ", ".join(map(repr, allowed))
                raise ValueError(f"StyledViews: {name} must be one of {names}, got {value!r}")
        if not 0 <= self.least_ratio <= self.largest_ratio <= 1:
            raise ValueError(
                f"StyledViews: needs 0 <= least_ratio <= largest_ratio <= 1, "
                f"got {self.least_ratio} and {self.largest_ratio}"
            )

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """One view of every image.

        Args:
            images: float tensor [N, C, H, W] with intensities in [0, 1]; all ranks' batches have
                images of one size.
            generator: Source of all randomness, on the images' device.

        Returns:
            A new float tensor [N, C, H, W].
        """
        view = random_view(images, self.geometry, generator).clamp(0.0, 1.0)
        if self.exchange == "batch":
            view = self._one_style(view, generator)
        elif self.exchange == "image":
            view = self._own_styles(view, generator)
        if self.jitter == "batch":
            return batch_jitter(view, self.colours, generator)
        return random_view(view, self.colours, generator)

    def _draw(self, count: int, styles: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Ratios and indices of the images that give their style, on the CPU."""
        unit = torch.rand(count, 2, generator=generator, device=generator.device).cpu().double()
        ratios = self.least_ratio + (self.largest_ratio - self.least_ratio) * unit[:, 0]
        return ratios, (unit[:, 1] * styles).long().clamp_max(styles - 1)

    def _one_style(self, view: Tensor, generator: torch.Generator) -> Tensor:
        ratios, indices = self._draw(1, len(view), generator)
        # Negatives may come from other ranks: with another style there, it would be the style
        # that tells them apart. The first rank's holds for all.
        ratio = float(_from_first_rank(ratios.to(view.device)))
        index = int(indices)
        amplitude = _from_first_rank(style_amplitude(view[index : index + 1], ratio))
        return style_standardize(view, ratio, amplitude=amplitude, clamp=(0.0, 1.0))

    def _own_styles(self, view: Tensor, generator: torch.Generator) -> Tensor:
        # Every image has a window of its own, so each is an operation of its own.
        ratios, indices = self._draw(len(view), len(view), generator)
        styled = torch.empty_like(view)
        for i, (ratio, index) in enumerate(zip(ratios.tolist(), indices.tolist(), strict=True)):
            amplitude = style_amplitude(view[index : index + 1], ratio)
            styled[i : i + 1] = style_standardize(view[i : i + 1], ratio, amplitude=amplitude)
        return styled.clamp_(0.0, 1.0)


def _from_first_rank(values: Tensor) -> Tensor:
    """What rank 0 has, on every rank."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    if distributed.get_world_size() > 1:
        values = values.contiguous()
        distributed.broadcast(values, 0)
    return values
