"""Every ipse operation that can be called on tensors, as a stateless function.

One file for each kind of operation; this list is everything.
"""

from ipse.functional.cross_correlation import barlow_twins_loss, vicreg_loss
from ipse.functional.mixed_barlow_twins import mixed_barlow_twins_loss, mixed_correlation_penalty
from ipse.functional.similarity import (
    clip_loss,
    dcl_loss,
    dclw_loss,
    info_nce_loss,
    ntxent_loss,
    siglip_loss,
    similarity_logsumexp,
    supcon_loss,
)

__all__ = [
    "barlow_twins_loss",
    "clip_loss",
    "dcl_loss",
    "dclw_loss",
    "info_nce_loss",
    "mixed_barlow_twins_loss",
    "mixed_correlation_penalty",
    "ntxent_loss",
    "siglip_loss",
    "similarity_logsumexp",
    "supcon_loss",
    "vicreg_loss",
]
