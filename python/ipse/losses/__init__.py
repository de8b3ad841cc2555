"""Losses as ``nn.Module``: lightly's constructor arguments and values where it has the class."""

from ipse.losses.barlow_twins import BarlowTwinsLoss
from ipse.losses.dino import DINOLoss
from ipse.losses.swav import SwaVLoss
from ipse.losses.vicreg import VICRegLoss

__all__ = ["BarlowTwinsLoss", "DINOLoss", "SwaVLoss", "VICRegLoss"]
