"""The scattering transform as a layer without parameters: a fixed front end for a network."""

from torch import Tensor, nn

from ipse.functional import scattering2d
from ipse.ops.scattering import channels

__all__ = ["Scattering2d"]


class Scattering2d(nn.Module):
    """Wavelet scattering coefficients of images; see :func:`ipse.functional.scattering2d`.

    Args:
        scales: J; maps are 2^J times smaller than the images.
        angles: L.
        order: 1 or 2.
        flatten: channels and coefficients become one dimension, as convolutions want it.

    Attributes:
        coefficients: S, the maps made of each channel of an image.

    Raises:
        ValueError: scales or angles below 1, order neither 1 nor 2.
    """

    def __init__(
        self, scales: int = 2, angles: int = 8, order: int = 2, *, flatten: bool = True
    ) -> None:
        super().__init__()
        for name, value in (("scales", scales), ("angles", angles)):
            if value < 1:
                raise ValueError(f"Scattering2d: {name} must be at least 1, got {value}")
        if order not in (1, 2):
            raise ValueError(f"Scattering2d: order must be 1 or 2, got {order}")
        self.scales, self.angles, self.order = scales, angles, order
        self.flatten = flatten
        self.coefficients = channels(scales, angles, order)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C S, H / 2^J, W / 2^J) of ``x`` (N, C, H, W), or (N, C, S, ...) unflattened."""
        maps = scattering2d(x, self.scales, self.angles, self.order)
        return maps.flatten(-4, -3) if self.flatten else maps

    def extra_repr(self) -> str:
        return f"scales={self.scales}, angles={self.angles}, order={self.order}"
