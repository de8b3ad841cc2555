"""Losses as ``nn.Module``: lightly's constructor arguments and values where it has the class."""

from ipse.losses.barlow_twins import BarlowTwinsLoss
from ipse.losses.mixed_barlow_twins import MixedBarlowTwinsLoss
from ipse.losses.vicreg import VICRegLoss

__all__ = ["BarlowTwinsLoss", "MixedBarlowTwinsLoss", "VICRegLoss"]
