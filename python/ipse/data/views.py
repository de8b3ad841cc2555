"""Random views of an image batch: the augmentation that self-supervised methods compare.

All parameters are drawn per sample, but for the whole batch at once, and one affine resampling
does crop, zoom, rotation, shear, shift and flip together. Transforming small images one by one
would cost several times the network's own forward and backward pass.

Every random number comes from the generator that is passed in, so a view is a pure function of
(images, distribution, generator state). That is what makes an interrupted run repeatable.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["ViewDistribution", "batch_jitter", "random_view"]


@dataclass(frozen=True, kw_only=True)
class ViewDistribution:
    """What one view may do to an image; every default is "leave it alone".

    Attributes:
        zoom: Smallest and largest magnification; above 1 crops, below 1 shrinks onto a border.
        aspect: Largest factor by which width and height are stretched against each other.
        rotation: Largest rotation either way, in degrees.
        shear: Largest horizontal shear either way, in degrees.
        shift: Largest shift either way along each axis, as a fraction of the side.
        anywhere: Whether a magnified view may lie anywhere in the image, not only in its middle.
        flip: Probability of a left-right mirror image.
        contrast: Largest relative change of contrast either way.
        brightness: Largest change of brightness either way, in units of the [0, 1] range.
        gamma: Largest factor by which intensities are raised to a power, either way.
        saturation: Largest relative change of saturation either way; for colour images.
        hue: Largest turn of the colour circle either way, as a fraction of it; for colour images.
        grayscale: Probability that all colour goes; for colour images.
        blur: Probability of a 3 x 3 binomial blur of random strength.
        noise: Largest standard deviation of the added Gaussian noise.
        erase: Probability that one random rectangle is replaced by the image's mean.
        erase_side: Smallest and largest side of that rectangle, as a fraction of the image's.
    """

    zoom: tuple[float, float] = (1.0, 1.0)
    aspect: float = 1.0
    rotation: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    anywhere: bool = False
    flip: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0
    gamma: float = 1.0
    saturation: float = 0.0
    hue: float = 0.0
    grayscale: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    erase: float = 0.0
    erase_side: tuple[float, float] = (0.2, 0.5)


def random_view(images: Tensor, views: ViewDistribution, generator: torch.Generator) -> Tensor:
    """Draws one random view of every image.

    Args:
        images: float tensor [N, C, H, W] with intensities in [0, 1].
        views: The distribution to draw from.
        generator: Source of all randomness, on the images' device.

    Returns:
        A new float tensor [N, C, H, W]; values may leave [0, 1] a little through noise.

    Raises:
        ValueError: `images` is not a float tensor with four dimensions.
    """
    if images.ndim != 4 or not images.is_floating_point():
        raise ValueError(
            f"random_view: images must be a float tensor [N, C, H, W], "
            f"got {images.dtype} {list(images.shape)}"
        )
    draw = _Draw(len(images), images.device, generator)
    view = _warp(images, views, draw)
    view = _intensity(view, views, draw)
    if images.shape[1] == 3 and (views.saturation or views.hue or views.grayscale):
        view = _colour(view, views, draw)
    if views.blur > 0:
        view = _blur(view, views, draw)
    if views.erase > 0:
        view = _erase(view, views, draw)
    if views.noise > 0:
        strength = draw.uniform(0.0, views.noise)[:, None, None, None]
        noise = torch.randn(view.shape, generator=generator, device=view.device)
        view = view + strength * noise.to(view.dtype)
    return view


def batch_jitter(images: Tensor, views: ViewDistribution, generator: torch.Generator) -> Tensor:
    """Changes the intensities and colours of all images alike, as for one image of a random view.

    Args:
        images: float tensor [N, C, H, W] with intensities in [0, 1].
        views: The distribution to draw from; only contrast, brightness, gamma and, of colour
            images, saturation, hue and grayscale take part.
        generator: Source of all randomness, on the images' device.

    Returns:
        A float tensor [N, C, H, W].
    """
    draw = _Draw(1, images.device, generator)
    view = _intensity(images, views, draw)
    if images.shape[1] == 3 and (views.saturation or views.hue or views.grayscale):
        view = _colour(view, views, draw)
    return view


class _Draw:
    """Per-sample random numbers for a batch of `count` images."""

    def __init__(self, count: int, device: torch.device, generator: torch.Generator) -> None:
        self.count = count
        self.device = device
        self.generator = generator

    def uniform(self, low: float, high: float) -> Tensor:
        unit = torch.rand(self.count, generator=self.generator, device=self.device)
        return low + (high - low) * unit

    def log_uniform(self, factor: float) -> Tensor:
        """Factors in [1/factor, factor], as often below one as above."""
        return torch.exp(self.uniform(-math.log(factor), math.log(factor)))

    def happens(self, probability: float) -> Tensor:
        return self.uniform(0.0, 1.0) < probability


def _warp(images: Tensor, views: ViewDistribution, draw: _Draw) -> Tensor:
    """Crop, zoom, stretch, rotate, shear, shift and flip in a single resampling."""
    angle = draw.uniform(-views.rotation, views.rotation).deg2rad()
    shear = draw.uniform(-views.shear, views.shear).deg2rad().tan()
    # The map goes from output to input coordinates, so a magnification divides.
    zoom = torch.exp(draw.uniform(*(math.log(z) for z in views.zoom)))
    stretch = draw.log_uniform(views.aspect).sqrt()
    mirror = 1.0 - 2.0 * draw.happens(views.flip).float()
    across, down = mirror * stretch / zoom, 1.0 / (stretch * zoom)
    cos, sin = angle.cos(), angle.sin()
    # [-1, 1] is two units wide: a shift by a fraction of the side is twice that fraction.
    shift_x, shift_y = (2.0 * draw.uniform(-views.shift, views.shift) for _ in range(2))
    if views.anywhere:
        # What the window leaves free on its two sides together; none if it is the whole image.
        shift_x = shift_x + draw.uniform(-1.0, 1.0) * (1.0 - across.abs()).clamp_min(0.0)
        shift_y = shift_y + draw.uniform(-1.0, 1.0) * (1.0 - down).clamp_min(0.0)
    row_x = torch.stack([across * cos, down * (shear * cos - sin), shift_x], dim=1)
    row_y = torch.stack([across * sin, down * (shear * sin + cos), shift_y], dim=1)
    theta = torch.stack([row_x, row_y], dim=1).to(images.dtype)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="zeros", align_corners=False)


def _intensity(view: Tensor, views: ViewDistribution, draw: _Draw) -> Tensor:
    """Gamma, contrast around the image's mean, brightness; drawn always, so that the stream of
    random numbers does not depend on which of them are switched on."""
    gamma = draw.log_uniform(views.gamma)[:, None, None, None]
    contrast = 1.0 + draw.uniform(-views.contrast, views.contrast)[:, None, None, None]
    brightness = draw.uniform(-views.brightness, views.brightness)[:, None, None, None]
    if views.gamma != 1.0:
        view = view.clamp(0.0, 1.0) ** gamma
    if views.contrast or views.brightness:
        mean = view.mean(dim=(1, 2, 3), keepdim=True)
        view = ((view - mean) * contrast + mean + brightness).clamp(0.0, 1.0)
    return view


def _colour(view: Tensor, views: ViewDistribution, draw: _Draw) -> Tensor:
    """Saturation, hue and grayscale as one 3 x 3 matrix per image, in the YIQ colour space: one
    axis of brightness, and a plane of colour that is scaled and turned."""
    to_yiq = torch.tensor(
        [[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]],
        dtype=view.dtype,
        device=view.device,
    )
    scale = 1.0 + draw.uniform(-views.saturation, views.saturation)
    scale = scale * ~draw.happens(views.grayscale)
    angle = 2.0 * math.pi * draw.uniform(-views.hue, views.hue)
    turn = torch.zeros(draw.count, 3, 3, dtype=view.dtype, device=view.device)
    turn[:, 0, 0] = 1.0
    turn[:, 1, 1] = turn[:, 2, 2] = scale * angle.cos()
    turn[:, 1, 2], turn[:, 2, 1] = -scale * angle.sin(), scale * angle.sin()
    matrix = to_yiq.inverse() @ turn @ to_yiq
    return torch.einsum("ndc,nchw->ndhw", matrix, view).clamp(0.0, 1.0)


def _blur(view: Tensor, views: ViewDistribution, draw: _Draw) -> Tensor:
    strength = draw.uniform(0.0, 1.0) * draw.happens(views.blur)
    line = torch.tensor([0.25, 0.5, 0.25], dtype=view.dtype, device=view.device)
    kernel = torch.outer(line, line).expand(view.shape[1], 1, 3, 3)
    padded = F.pad(view, (1, 1, 1, 1), mode="replicate")
    blurred = F.conv2d(padded, kernel, groups=view.shape[1])
    return torch.lerp(view, blurred, strength.to(view.dtype)[:, None, None, None])


def _erase(view: Tensor, views: ViewDistribution, draw: _Draw) -> Tensor:
    mask = torch.ones_like(view[:, 0], dtype=torch.bool)
    for axis, side in ((1, view.shape[2]), (2, view.shape[3])):
        length = draw.uniform(*views.erase_side) * side
        start = draw.uniform(0.0, 1.0) * (side - length)
        centre = torch.arange(side, device=view.device) + 0.5
        inside = (centre >= start[:, None]) & (centre < (start + length)[:, None])
        mask &= inside[:, :, None] if axis == 1 else inside[:, None, :]
    mask &= draw.happens(views.erase)[:, None, None]
    mean = view.mean(dim=(1, 2, 3), keepdim=True)
    return torch.where(mask[:, None], mean, view)
