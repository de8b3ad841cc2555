"""Registers ``torch.ops.ipse.*``: one module per group of operators. Import it for that effect."""

from ipse.ops import (
    bands,
    channel_response,
    clusters,
    crops,
    cross_correlation,
    neighbours,
    prototypes,
    pruning,
    scattering,
    siglip,
    similarity,
    similarity_sums,
    styles,
)

__all__ = [
    "bands",
    "channel_response",
    "clusters",
    "crops",
    "cross_correlation",
    "neighbours",
    "prototypes",
    "pruning",
    "scattering",
    "siglip",
    "similarity",
    "similarity_sums",
    "styles",
]
