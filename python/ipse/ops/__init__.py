"""Registers ``torch.ops.ipse.*``: one module per group of operators. Import it for that effect."""

from ipse.ops import (
    bands,
    channel_response,
    clusters,
    crops,
    cross_correlation,
    elastic,
    neighbours,
    prototypes,
    pruning,
    scattering,
    siglip,
    similarity,
    similarity_sums,
    styles,
    token_subsets,
)

__all__ = [
    "bands",
    "channel_response",
    "clusters",
    "crops",
    "cross_correlation",
    "elastic",
    "neighbours",
    "prototypes",
    "pruning",
    "scattering",
    "siglip",
    "similarity",
    "similarity_sums",
    "styles",
    "token_subsets",
]
