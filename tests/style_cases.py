"""Images, window ratios and tolerances that the tests of bands and styles share."""

import torch
from torch import Tensor

HALF = [torch.bfloat16, torch.float16]
# Relative to the largest value of the image, and of the amplitudes.
TOLERANCE = {torch.float64: 2e-13, torch.float32: 2e-6}
ROUNDING = {torch.bfloat16: 2**-8, torch.float16: 2**-11}

# One pixel, one line, odd, even, prime, not square, wider than a panel, the bench's.
SIZES = [(1, 1), (1, 7), (6, 1), (2, 3), (4, 4), (5, 8), (17, 31), (32, 32), (96, 96), (101, 50)]
RATIOS = [0.0, 0.02, 0.1, 0.25, 0.6, 1.0]


def make_images(
    count: int, height: int, width: int, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Tensor:
    """(N, 2, H, W) images between 0 and 1, smooth enough to have a style, rough enough to test."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(count, 2, height, width, generator=generator, dtype=torch.float64)
    slope = torch.rand(count, 2, 1, 1, generator=generator, dtype=torch.float64)
    ramp = torch.linspace(0, 1, width, dtype=torch.float64)
    return ((x + slope * ramp) / 2).to(dtype)
