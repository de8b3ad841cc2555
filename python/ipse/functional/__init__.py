"""Every ipse operation that can be called on tensors, as a stateless function.

One file for each kind of operation; this list is everything.
"""

from ipse.functional.cross_correlation import barlow_twins_loss, vicreg_loss

__all__ = ["barlow_twins_loss", "vicreg_loss"]
