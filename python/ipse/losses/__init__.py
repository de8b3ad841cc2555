"""Losses as ``nn.Module``: lightly's constructor arguments and values where it has the class."""

from ipse.losses.barlow_twins import BarlowTwinsLoss
from ipse.losses.leave_one_out_knn import LeaveOneOutKNNLoss
from ipse.losses.vicreg import VICRegLoss

__all__ = ["BarlowTwinsLoss", "LeaveOneOutKNNLoss", "VICRegLoss"]
