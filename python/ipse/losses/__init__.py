"""Losses as ``nn.Module``: names, arguments, defaults and values of the libraries people know.

lightly's where it has the class, else those of SupContrast, open_clip or the paper's code.
"""

from ipse.losses.barlow_twins import BarlowTwinsLoss
from ipse.losses.clip import ClipLoss
from ipse.losses.dcl import DCLLoss, DCLWLoss
from ipse.losses.dino import DINOLoss
from ipse.losses.info_nce import InfoNCELoss
from ipse.losses.isogclr import ISogCLRLoss
from ipse.losses.isogclr_clip import ISogCLRClipLoss
from ipse.losses.leave_one_out_knn import LeaveOneOutKNNLoss
from ipse.losses.memory_queue import MemoryQueue
from ipse.losses.mixed_barlow_twins import MixedBarlowTwinsLoss
from ipse.losses.negative_cosine_similarity import NegativeCosineSimilarity
from ipse.losses.ntxent import NTXentLoss
from ipse.losses.siglip import SigLipLoss
from ipse.losses.supcon import SupConLoss
from ipse.losses.swav import SwaVLoss
from ipse.losses.vicreg import VICRegLoss

__all__ = [
    "BarlowTwinsLoss",
    "ClipLoss",
    "DCLLoss",
    "DCLWLoss",
    "DINOLoss",
    "ISogCLRClipLoss",
    "ISogCLRLoss",
    "InfoNCELoss",
    "LeaveOneOutKNNLoss",
    "MemoryQueue",
    "MixedBarlowTwinsLoss",
    "NTXentLoss",
    "NegativeCosineSimilarity",
    "SigLipLoss",
    "SupConLoss",
    "SwaVLoss",
    "VICRegLoss",
]
