"""Registers ``torch.ops.ipse.*``: one module per engine. Import it for that effect."""

from ipse.ops import clusters, cross_correlation, neighbours

__all__ = ["clusters", "cross_correlation", "neighbours"]
