"""Registers ``torch.ops.ipse.*``: one module per group of operators. Import it for that effect."""

from ipse.ops import (
    clusters,
    cross_correlation,
    neighbours,
    prototypes,
    scattering,
    siglip,
    similarity,
    similarity_sums,
)

__all__ = [
    "clusters",
    "cross_correlation",
    "neighbours",
    "prototypes",
    "scattering",
    "siglip",
    "similarity",
    "similarity_sums",
]
