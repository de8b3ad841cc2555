"""What methods share: prototypes, a weight-normalised layer, the moving average of a teacher."""

from ipse.nn.ema import ema_update
from ipse.nn.prototypes import Prototypes
from ipse.nn.weight_norm import WeightNormLinear

__all__ = ["Prototypes", "WeightNormLinear", "ema_update"]
