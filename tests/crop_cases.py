"""What the tests of the crops share: images, oracles, tolerances."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ipse.functional import fourier_crop, lanczos_crop
from tests.reference import crops as reference


@dataclass(frozen=True)
class Kind:
    """One of the two crops, its oracle and its two operators."""

    name: str
    function: Callable[..., Tensor]
    oracle: Callable[[Tensor, int, int], Tensor]

    @property
    def op(self) -> torch._ops.OpOverload:
        return getattr(torch.ops.ipse, self.name).default

    @property
    def backward_op(self) -> torch._ops.OpOverload:
        return getattr(torch.ops.ipse, f"{self.name}_backward").default


FOURIER = Kind("fourier_crop", fourier_crop, reference.fourier_crop)
LANCZOS = Kind("lanczos_crop", lanczos_crop, reference.lanczos_crop)
KINDS = [FOURIER, LANCZOS]

# (H, W) -> (height, width): the paper's sizes, even and odd, prime, one axis only, tiny.
SIZES = [
    ((224, 224), (160, 160)),
    ((28, 28), (20, 20)),
    ((32, 32), (20, 20)),
    ((27, 27), (20, 20)),
    ((28, 28), (14, 14)),
    ((33, 35), (20, 17)),
    ((31, 37), (30, 36)),
    ((40, 24), (40, 10)),
    ((17, 48), (9, 48)),
    ((12, 12), (1, 2)),
    ((2, 3), (1, 2)),
    ((1, 1), (1, 1)),
    ((5, 66), (4, 64)),
    # Common factors 2 to 32 with even and odd quotients.
    ((48, 64), (40, 32)),
    ((96, 80), (64, 48)),
    ((160, 40), (96, 8)),
    ((128, 24), (96, 20)),
    ((36, 12), (24, 6)),
]

# Errors in units of the largest entry of the image: rounding of sums of up to 300 terms.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}
HALF = {torch.bfloat16: 2**-8, torch.float16: 2**-11}


def make_images(
    shape: tuple[int, ...], dtype: torch.dtype = torch.float64, seed: int = 0
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    if dtype is torch.uint8:
        return torch.randint(0, 256, shape, dtype=dtype, generator=generator)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda x: x,
    "channels_last": lambda x: x.to(memory_format=torch.channels_last),
    "transposed": lambda x: x.mT.contiguous().mT,
    "gaps": lambda x: torch.stack([x, x + 1], -1).flatten(-2)[..., ::2],
    "flipped_batch": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
}
