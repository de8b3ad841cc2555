"""Registers ``torch.ops.ipse.*``: one module per group of operators. Import it for that effect."""

from ipse.ops import cross_correlation, neighbours, prototypes, siglip, similarity, similarity_sums

__all__ = [
    "cross_correlation",
    "neighbours",
    "prototypes",
    "siglip",
    "similarity",
    "similarity_sums",
]
from ipse.ops import clusters

__all__ = ["cross_correlation", "siglip", "similarity", "similarity_sums"]

__all__ = ["cross_correlation", "prototypes"]

__all__ = ["clusters", "cross_correlation", "neighbours"]
