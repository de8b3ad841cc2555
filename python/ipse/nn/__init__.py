"""What methods share: prototypes, special layers, the moving average of a teacher."""

from ipse.nn.ema import ema_update
from ipse.nn.prototypes import Prototypes
from ipse.nn.scattering import Scattering2d
from ipse.nn.weight_norm import WeightNormLinear

__all__ = ["Prototypes", "Scattering2d", "WeightNormLinear", "ema_update"]
