"""Registers ``torch.ops.ipse.*``: one module per engine. Import it for that effect."""

from ipse.ops import cross_correlation, neighbours

__all__ = ["cross_correlation", "neighbours"]
