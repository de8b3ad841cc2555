"""Styles and bands of frequencies against their definition with full Fourier transforms.

The plain form of style_standardize is the algorithm as published: fft2, abs, angle, the window
of the one image, polar, ifft2, real; its shifts of the spectrum are left out. ``rfft2`` is what
one can write who knows the shortcuts: half the spectrum, a ratio instead of phases.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from bench import harness
from ipse.functional import band_energy, high_frequency, style_amplitude, style_standardize
from ipse.ops import style_formulas

SHAPE = (64, 3, 96, 96)
RATIOS = [0.02, 0.05, 0.25, 0.5, 1.0]
OTHER_SHAPES = [(256, 1, 28, 28), (128, 3, 32, 32), (32, 3, 224, 224)]
STYLE = 3


def make_images(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def window(height: int, width: int, ratio: float) -> tuple[int, int]:
    side = math.sqrt(ratio)
    return int(height * side) // 2, int(width * side) // 2


def plain_style(x: Tensor, ratio: float) -> Tensor:
    a, b = window(*x.shape[-2:], ratio)
    spectrum = torch.fft.fft2(x)
    amplitude, phase = spectrum.abs(), spectrum.angle()
    exchanged = amplitude.clone()
    for rows in (slice(0, a + 1), slice(-a, None) if a else slice(0, 0)):
        for columns in (slice(0, b + 1), slice(-b, None) if b else slice(0, 0)):
            exchanged[..., rows, columns] = amplitude[STYLE, :, rows, columns]
    return torch.fft.ifft2(torch.polar(exchanged, phase)).real


def rfft2_style(x: Tensor, ratio: float) -> Tensor:
    a, b = window(*x.shape[-2:], ratio)
    rows = min(2 * a + 1, x.shape[-2])
    amplitude = style_formulas.style_amplitude(x[STYLE], rows, b + 1)
    planes = x.reshape(-1, *x.shape[-2:])
    return style_formulas.style_standardize(planes, amplitude, 1e-8).view(x.shape)


def with_gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], list[Tensor]]:
    """The value, and its gradient for a fixed incoming one."""
    incoming = make_images(*x.shape).flip(0)

    def run() -> list[Tensor]:
        leaf = x.requires_grad_()
        value = function(leaf)
        return [value.detach(), *torch.autograd.grad(value, leaf, incoming)]

    return run


def compare(
    case: str, functions: dict[str, Callable[[], list[Tensor]]], budget: float, tolerance: float
) -> harness.Row:
    results = {name: run() for name, run in functions.items()}
    harness.require_agreement(case, results, "ipse", tolerance)
    return harness.Row(case, *harness.time_interleaved(functions, budget))


def style_rows(budget: float) -> list[harness.Row]:
    cases = [(SHAPE, ratio) for ratio in RATIOS]
    cases += [(shape, ratio) for shape in OTHER_SHAPES for ratio in (0.05, 0.25, 1.0)]
    rows = []
    for shape, ratio in cases:
        x = make_images(*shape)
        functions: dict[str, Callable[[Tensor], Tensor]] = {
            "ipse": lambda x, r=ratio: style_standardize(x, r, STYLE),
            "plain": lambda x, r=ratio: plain_style(x, r),
            "rfft2": lambda x, r=ratio: rfft2_style(x, r),
        }
        case = f"{'x'.join(map(str, shape))} r={ratio}"
        forward = {name: lambda f=f, x=x: [f(x)] for name, f in functions.items()}
        row = compare(case, forward, budget, 1e-3)
        row.extra = {"peak MiB": peak("style", shape, ratio), "image MiB": 4 * x.numel() / 2**20}
        rows.append(row)
        if shape == SHAPE:
            both = {name: with_gradient(functions[name], x) for name in ("ipse", "plain")}
            rows.append(compare(f"{case} with gradient", both, budget, 1e-2))
    return rows


def plain_high_frequency(x: Tensor, radius: float) -> Tensor:
    height, width = x.shape[-2:]
    k = torch.fft.fftfreq(height, 1 / height)[:, None]
    l = torch.fft.fftfreq(width, 1 / width)[None]  # noqa: E741
    return torch.fft.ifft2(torch.fft.fft2(x) * (torch.hypot(k, l) >= radius)).real


def band_rows(budget: float) -> list[harness.Row]:
    rows = []
    for shape, radius in [((1, 3, 64, 64), 8.0), ((256, 3, 64, 64), 8.0), (SHAPE, 24.0)]:
        x = make_images(*shape)
        case = f"{'x'.join(map(str, shape))} radius {radius:g}"
        functions = {
            "ipse": lambda x=x, r=radius: [high_frequency(x, r)],
            "plain": lambda x=x, r=radius: [plain_high_frequency(x, r)],
        }
        rows.append(compare(f"high_frequency {case}", functions, budget, 1e-4))
        functions = {
            "ipse": lambda x=x, r=radius: [band_energy(x, r)],
            "plain": lambda x=x, r=radius: [
                (x - plain_high_frequency(x, r)).square().sum((-2, -1))
            ],
        }
        rows.append(compare(f"band_energy {case}", functions, budget, 1e-4))
    return rows


def amplitude_rows(budget: float) -> list[harness.Row]:
    x = make_images(*SHAPE)
    functions = {
        "ipse": lambda: [style_amplitude(x, 0.25)],
        "plain": lambda: [
            torch.cat([a[..., :25, :25], a[..., -24:, :25]], -2) for a in (torch.fft.fft2(x).abs(),)
        ],
    }
    return [compare("style_amplitude 64x3x96x96 r=0.25", functions, budget, 1e-4)]


def peak(name: str, shape: tuple[int, ...], parameter: float) -> float:
    return harness.peak_extra_mib("bench.styles", name, str(parameter), *map(str, shape))


def main() -> None:
    title = "styles and bands of frequencies, float32"
    arguments = harness.parser(title).parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.peak:
        _, ratio, *shape = arguments.peak
        style_standardize(make_images(2, 1, 8, 8), 0.5)  # libraries load before the measurement
        x = make_images(*map(int, shape))
        print(harness.measure_peak(lambda: style_standardize(x, float(ratio), STYLE)))
        return
    budget = 1.0 if arguments.quick else 6.0
    rows = style_rows(budget) + amplitude_rows(budget) + band_rows(budget)
    harness.print_table(title, rows)
    harness.save(arguments.json, title, rows)


if __name__ == "__main__":
    main()
