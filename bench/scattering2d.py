"""The scattering transform against kymatio's torch backend, forward, and with its gradient."""

from collections.abc import Callable

import torch
from kymatio.scattering2d.frontend.torch_frontend import ScatteringTorch2D
from torch import Tensor

from bench import harness
from ipse.functional import scattering2d

# Planes (N, C, side), J, L; the last two are one image, as in a request for features.
CASES = [(64, 1, 32, 2, 8), (16, 3, 96, 2, 8), (16, 3, 96, 2, 16), (1, 3, 32, 2, 8)]
GRADIENT_CASES = [(64, 1, 32, 2, 8), (4, 3, 96, 2, 8)]


def make_images(samples: int, channels: int, side: int) -> Tensor:
    return torch.randn(samples, channels, side, side, generator=torch.Generator().manual_seed(0))


def bench_case(case: tuple[int, int, int, int, int], budget: float, gradient: bool) -> harness.Row:
    samples, channels, side, scales, angles = case
    x = make_images(samples, channels, side).requires_grad_(gradient)
    kymatio = ScatteringTorch2D(scales, (side, side), L=angles)

    def result(function: Callable[[Tensor], Tensor]) -> list[Tensor]:
        if not gradient:
            return [function(x)]
        out = function(x)
        return [out.detach(), *torch.autograd.grad(out.square().sum(), x)]

    candidates: dict[str, Callable[[], list[Tensor]]] = {
        "ipse": lambda: result(lambda x: scattering2d(x, scales, angles)),
        "kymatio": lambda: result(kymatio),
    }
    name = f"{samples} x {channels} x {side}^2 J={scales} L={angles}"
    name += " with gradient" if gradient else ""
    harness.require_agreement(name, {key: run() for key, run in candidates.items()}, "ipse", 1e-5)
    row = harness.Row(name, *harness.time_interleaved(candidates, budget, least=3))
    row.extra = {"us/plane": 1e6 * row.seconds["ipse"] / (samples * channels)}
    if not gradient:
        numbers = map(str, case)
        row.extra["peak MiB"] = harness.peak_extra_mib("bench.scattering2d", *numbers)
        row.extra["out MiB"] = 4 * scattering2d(x, scales, angles).numel() / 2**20
    return row


def main() -> None:
    title = "scattering2d: order 2, float32"
    arguments = harness.parser(title).parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.peak:
        samples, channels, side, scales, angles = map(int, arguments.peak)
        x = make_images(samples, channels, side)
        scattering2d(x[:1], scales, angles)  # libraries and filters before the measurement
        print(harness.measure_peak(lambda: scattering2d(x, scales, angles)))
        return
    budget = 2.0 if arguments.quick else 8.0
    rows = [bench_case(case, budget, False) for case in CASES]
    rows += [bench_case(case, budget, True) for case in GRADIENT_CASES]
    harness.print_table(title, rows)
    harness.save(arguments.json, title, rows)


if __name__ == "__main__":
    main()
