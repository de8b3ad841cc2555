"""Every ipse operation that can be called on tensors, as a stateless function.

One file for each kind of operation; this list is everything.
"""

from ipse.functional.bands import band_energy, band_pass, high_frequency
from ipse.functional.channel_response import channel_response
from ipse.functional.clusters import kmeans, nearest_centroid
from ipse.functional.coresets import facility_location_coreset, farthest_point_coreset
from ipse.functional.crops import fourier_crop, lanczos_crop
from ipse.functional.cross_correlation import barlow_twins_loss, vicreg_loss
from ipse.functional.elastic import elastic_layer_norm, elastic_linear
from ipse.functional.image_text import clip_loss, siglip_loss
from ipse.functional.leave_one_out_knn import leave_one_out_knn_loss
from ipse.functional.mixed_barlow_twins import mixed_barlow_twins_loss, mixed_correlation_penalty
from ipse.functional.neighbours import knn_classify, topk_similarity
from ipse.functional.prototypes import dino_loss, sinkhorn, soft_cross_entropy, swav_loss
from ipse.functional.pruning import mass_curve, mass_topk_mask, uniform_topk_mask
from ipse.functional.scattering import scattering2d
from ipse.functional.similarity import (
    dcl_loss,
    dclw_loss,
    info_nce_loss,
    ntxent_loss,
    similarity_logsumexp,
)
from ipse.functional.styles import style_amplitude, style_standardize
from ipse.functional.supcon import supcon_loss
from ipse.functional.token_subsets import gather_tokens, random_subsets, scatter_tokens

__all__ = [
    "band_energy",
    "band_pass",
    "barlow_twins_loss",
    "channel_response",
    "clip_loss",
    "dcl_loss",
    "dclw_loss",
    "dino_loss",
    "elastic_layer_norm",
    "elastic_linear",
    "facility_location_coreset",
    "farthest_point_coreset",
    "fourier_crop",
    "gather_tokens",
    "high_frequency",
    "info_nce_loss",
    "kmeans",
    "knn_classify",
    "lanczos_crop",
    "leave_one_out_knn_loss",
    "mass_curve",
    "mass_topk_mask",
    "mixed_barlow_twins_loss",
    "mixed_correlation_penalty",
    "nearest_centroid",
    "ntxent_loss",
    "random_subsets",
    "scatter_tokens",
    "scattering2d",
    "siglip_loss",
    "similarity_logsumexp",
    "sinkhorn",
    "soft_cross_entropy",
    "style_amplitude",
    "style_standardize",
    "supcon_loss",
    "swav_loss",
    "topk_similarity",
    "uniform_topk_mask",
    "vicreg_loss",
]
