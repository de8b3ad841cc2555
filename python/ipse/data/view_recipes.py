"""Which random views suit which data set: one distribution per name, shared by all methods."""

from __future__ import annotations

from collections.abc import Mapping

from ipse.data.views import ViewDistribution

__all__ = ["GENERIC_VIEWS", "VIEW_RECIPES", "standard_views"]

# Data sets that come under coloured light as well, for which the same views serve.
_STYLED = ("digits", "fashion-mnist")

# Shapes, not textures, tell digits and clothes apart: the views move and bend them. A mirrored
# digit is another sign, a mirrored shoe is still a shoe.
VIEW_RECIPES: Mapping[str, ViewDistribution] = {
    "digits": ViewDistribution(
        zoom=(0.8, 1.25),
        aspect=1.2,
        rotation=15.0,
        shear=10.0,
        shift=0.12,
        contrast=0.4,
        brightness=0.1,
        gamma=1.5,
        noise=0.1,
        erase=0.3,
    ),
    "fashion-mnist": ViewDistribution(
        zoom=(1.0, 1.6),
        aspect=1.2,
        rotation=10.0,
        shift=0.1,
        flip=0.5,
        contrast=0.4,
        brightness=0.2,
        gamma=1.5,
        noise=0.05,
        erase=0.3,
    ),
    # After the surgical recipe of S. Ramesh et al., arXiv 2207.00449: crops keep at least half of
    # the picture, since instruments come in at its border; colours are not turned, since they tell
    # instruments apart; much is erased.
    "surgery": ViewDistribution(
        zoom=(1.0, 2.0**0.5),
        anywhere=True,
        rotation=10.0,
        shear=5.0,
        flip=0.5,
        contrast=0.4,
        brightness=0.2,
        gamma=1.5,
        saturation=0.4,
        erase=0.8,
        erase_side=(0.14, 0.32),
    ),
}
VIEW_RECIPES = {**VIEW_RECIPES, **{f"styled-{name}": VIEW_RECIPES[name] for name in _STYLED}}
"""The views of every data set that `ipse.data.load` knows, by its name."""

GENERIC_VIEWS = ViewDistribution(
    zoom=(1.0, 0.08**-0.5),
    anywhere=True,
    aspect=4 / 3,
    flip=0.5,
    contrast=0.8,
    brightness=0.4,
    saturation=0.8,
    hue=0.2,
    grayscale=0.2,
    blur=0.5,
)
"""SimCLR's recipe for ImageNet: crops of 8 % to all of the picture, strong colours turned about."""


def standard_views(name: str) -> ViewDistribution:
    """The views that suit the data set of this name.

    Raises:
        ValueError: There is no recipe for it.
    """
    if name not in VIEW_RECIPES:
        known = ", ".join(VIEW_RECIPES)
        raise ValueError(f"standard_views: name must be one of {known}, got {name!r}")
    return VIEW_RECIPES[name]
