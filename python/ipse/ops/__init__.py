"""Registers ``torch.ops.ipse.*``: one module per engine. Import it for that effect."""

from ipse.ops import cross_correlation, prototypes

__all__ = ["cross_correlation", "prototypes"]
