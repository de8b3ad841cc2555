"""fourier_crop and lanczos_crop against the released FFT path and torch's own resizing.

The FFT path is EfficientTrain's: fft2, the corners of the spectrum, ifft2, the real part.
Bicubic interpolation is another filter and is compared with nothing: it is here because it is
what one would use instead.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from bench import harness
from ipse.functional import fourier_crop, lanczos_crop


@dataclass(frozen=True)
class Case:
    """N images of C channels, size x size, cropped to small x small."""

    images: int
    channels: int
    size: int
    small: int
    dtype: str = "float32"
    layout: str = "contiguous"

    def __str__(self) -> str:
        shape = f"{self.images}x{self.channels}x{self.size} to {self.small}"
        named = [
            self.dtype * (self.dtype != "float32"),
            self.layout * (self.layout != "contiguous"),
        ]
        return " ".join([shape, *filter(None, named)])

    @property
    def gflop(self) -> float:
        """By short transforms where the sizes have a common power of two, else by reflection."""
        common = math.gcd(self.size, self.small)
        shifts = min(32, common & -common)
        both = self.size + self.small
        if shifts > 1:
            column = 2.5 * both * math.log2(shifts) + 2 * self.size * self.small / shifts
        else:
            column = self.size * self.small
        return self.images * self.channels * both * column / 1e9

    @property
    def megabytes(self) -> float:
        """Input read once, result written once."""
        pixel = 1 if self.dtype == "uint8" else 4
        planes = self.images * self.channels
        return planes * (pixel * self.size**2 + 4 * self.small**2) / 1e6


CASES = [
    Case(32, 3, 224, 160),
    Case(32, 3, 224, 192),
    Case(32, 3, 224, 96),
    Case(32, 3, 224, 160, layout="channels_last"),
    Case(32, 3, 224, 161),
    Case(512, 1, 28, 14),
    Case(512, 1, 28, 20),
    Case(512, 1, 32, 20),
    Case(256, 3, 32, 20),
    Case(1, 3, 1024, 640),
]
WHOLE = [
    Case(32, 3, 224, 160, "uint8"),
    Case(32, 3, 224, 160, "uint8", "channels_last"),
    Case(256, 3, 32, 20, "uint8"),
]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def make_images(case: Case) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (case.images, case.channels, case.size, case.size)
    if case.dtype == "uint8":
        x = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    else:
        x = torch.randn(shape, generator=generator)
    return x.to(memory_format=torch.channels_last) if case.layout == "channels_last" else x


def fft_crop(x: Tensor, small: int) -> Tensor:
    """The released code; odd sizes, which it rounds down, keep the symmetric set."""
    b = small // 2
    high = b + small % 2
    spectrum = torch.fft.fft2(x)
    kept = spectrum.new_zeros(*x.shape[:-2], small, small)
    kept[..., :high, :high] = spectrum[..., :high, :high]
    kept[..., :high, -b:] = spectrum[..., :high, -b:]
    kept[..., -b:, :high] = spectrum[..., -b:, :high]
    kept[..., -b:, -b:] = spectrum[..., -b:, -b:]
    return torch.fft.ifft2(kept * (small / x.shape[-1]) ** 2).real


def dense_crop(x: Tensor, rows: Tensor, checkerboard: Tensor, measure: Tensor) -> Tensor:
    """The two dense products and the checkerboard, in torch."""
    y = rows @ x @ rows.T
    return y - ((measure @ x) @ measure)[..., None, None] * checkerboard


def dense_operators(size: int, small: int) -> tuple[Tensor, Tensor, Tensor]:
    """R, the checkerboard and the vector that measures its height, from the definition."""
    b = small // 2
    k = torch.arange(-b, b + small % 2)
    p, h = torch.arange(small), torch.arange(size)
    angle = (p[:, None] * k % small).double()[:, :, None] / small
    angle = angle - (k[:, None] * h % size).double() / size
    rows = torch.cos(2 * torch.pi * angle).sum(1) / size
    signs = (1 - 2.0 * (p % 2)) * (small % 2 == 0)
    measure = torch.sin(2 * torch.pi * (b * h % size).double() / size) / size
    return rows.float(), torch.outer(signs, signs).float(), measure.float()


def bench_float(case: Case, budget: float) -> harness.Row:
    x = make_images(case)
    operators = dense_operators(case.size, case.small)
    steps: dict[str, Callable[[], Tensor]] = {
        "ipse": lambda: fourier_crop(x, case.small),
        "fft2": lambda: fft_crop(x, case.small),
        "matmul": lambda: dense_crop(x, *operators),
    }
    results = {name: [step()] for name, step in steps.items()}
    harness.require_agreement(str(case), results, "ipse", 1e-5)
    steps["lanczos"] = lambda: lanczos_crop(x, case.small)
    small = (case.small, case.small)
    steps["bicubic"] = lambda: interpolate(x, small, mode="bicubic", antialias=True)
    return finish(case, steps, budget)


def bench_whole(case: Case, budget: float) -> harness.Row:
    """uint8 to normalised float32 crops."""
    x = make_images(case)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))

    def normalised() -> Tensor:
        return (x.to(torch.float32) / 255 - mean) / std

    steps: dict[str, Callable[[], Tensor]] = {
        "ipse": lambda: fourier_crop(x, case.small, mean=MEAN, std=STD),
        "own crop unfused": lambda: fourier_crop(normalised(), case.small),
        "fft2": lambda: fft_crop(normalised(), case.small),
    }
    results = {name: [step()] for name, step in steps.items()}
    harness.require_agreement(str(case), results, "ipse", 1e-5)
    return finish(case, steps, budget)


def finish(case: Case, steps: dict[str, Callable[[], Tensor]], budget: float) -> harness.Row:
    seconds, spread = harness.time_interleaved(steps, budget)
    row = harness.Row(str(case), seconds, spread)
    row.extra = {"GFLOP": case.gflop, "MB": case.megabytes}
    return row


def main() -> None:
    title = "crops: fourier_crop, forward"
    arguments = harness.parser(title).parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    budget = 2.0 if arguments.quick else 8.0
    rows = [bench_float(case, budget) for case in CASES]
    rows += [bench_whole(case, budget) for case in WHOLE]
    harness.print_table(title, rows)
    harness.save(arguments.json, title, rows)


if __name__ == "__main__":
    main()
