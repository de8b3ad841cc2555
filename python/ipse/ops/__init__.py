"""Registers ``torch.ops.ipse.*``: one module per group of operators. Import it for that effect."""

from ipse.ops import (
    bands,
    clusters,
    cross_correlation,
    neighbours,
    prototypes,
    siglip,
    similarity,
    similarity_sums,
    styles,
)

__all__ = [
    "bands",
    "clusters",
    "cross_correlation",
    "neighbours",
    "prototypes",
    "siglip",
    "similarity",
    "similarity_sums",
    "styles",
]
