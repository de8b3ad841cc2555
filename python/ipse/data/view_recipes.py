"""Which random views suit which data set: one distribution per name, shared by all methods."""

from __future__ import annotations

from collections.abc import Mapping

from ipse.data.views import ViewDistribution

__all__ = ["VIEW_RECIPES", "standard_views"]

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
}
"""The views of every data set that `ipse.data.load` knows, by its name."""


def standard_views(name: str) -> ViewDistribution:
    """The views that suit the data set of this name.

    Raises:
        ValueError: There is no recipe for it.
    """
    if name not in VIEW_RECIPES:
        known = ", ".join(VIEW_RECIPES)
        raise ValueError(f"standard_views: name must be one of {known}, got {name!r}")
    return VIEW_RECIPES[name]
