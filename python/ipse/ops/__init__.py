"""Registers ``torch.ops.ipse.*``: one module per group of operators. Import it for that effect."""

from ipse.ops import (
    bands,
    clusters,
    crops,
    cross_correlation,
    neighbours,
    prototypes,
    scattering,
    siglip,
    similarity,
    similarity_sums,
    styles,
)

__all__ = [
    "bands",
    "clusters",
    "crops",
    "cross_correlation",
    "neighbours",
    "prototypes",
    "scattering",
    "siglip",
    "similarity",
    "similarity_sums",
    "styles",
]
