"""Mixed Barlow Twins against the paper's six correlation matrices."""

from collections.abc import Callable

import torch
from torch import Tensor

from bench import harness
from ipse.losses import MixedBarlowTwinsLoss

CASES = [(256, 8192), (256, 1024), (512, 128)]
WEIGHT = 0.3
Inputs = tuple[Tensor, Tensor, Tensor, Tensor]


def make_inputs(samples: int, features: int) -> Inputs:
    """Two float32 views, their imperfect mix, and the permutation it was made with."""
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(samples, features, generator=generator)
    noise = torch.randn(3, samples, features, generator=generator)
    order = torch.randperm(samples, generator=generator)
    z1, z2 = shared + noise[0], shared + noise[1]
    return z1, z2, WEIGHT * z1 + (1 - WEIGHT) * z2[order] + noise[2], order


def formula(z1: Tensor, z2: Tensor, mixed: Tensor, order: Tensor, weight: float) -> Tensor:
    """The loss as the official code for small images writes it, with our eps."""
    samples, features = z1.shape
    a, b, m = ((z - z.mean(0)) / (z.var(0) + 1e-5).sqrt() for z in (z1, z2, mixed))
    c = a.T @ b / samples
    scale = torch.full((features, features), 1 / 128).fill_diagonal_(1.0)
    loss = ((c - torch.eye(features)).square() * scale).sum()
    shuffled = b[order]
    for view in (a, b):
        target = weight * a.T @ view / samples + (1 - weight) * shuffled.T @ view / samples
        loss = loss + 4 / 128 * (m.T @ view / samples - target).square().sum()
    return loss


def make_step(loss: Callable[..., Tensor], inputs: Inputs) -> Callable[[], list[Tensor]]:
    """Loss and all three gradients, as a training step computes them."""
    *views, order = inputs
    leaves = [view.clone().requires_grad_() for view in views]

    def step() -> list[Tensor]:
        for leaf in leaves:
            leaf.grad = None
        value = loss(*leaves, order, WEIGHT)
        value.backward()
        return [value.detach(), *[leaf.grad for leaf in leaves if leaf.grad is not None]]

    return step


def bench_case(samples: int, features: int, budget: float) -> harness.Row:
    inputs = make_inputs(samples, features)
    candidates = {
        "ipse": make_step(MixedBarlowTwinsLoss(), inputs),
        "six products": make_step(formula, inputs),
    }
    name = f"N={samples} D={features}"
    results = {candidate: step() for candidate, step in candidates.items()}
    harness.require_agreement(name, results, "ipse", 1e-4)
    # At D = 8192 a step of the six products takes several seconds.
    seconds, spread = harness.time_interleaved(candidates, budget, least=3)
    row = harness.Row(name, seconds, spread)
    arguments = (str(samples), str(features))
    row.extra = {"peak MiB": harness.peak_extra_mib("bench.mixed_barlow_twins", *arguments)}
    row.extra["six products, peak MiB"] = harness.peak_extra_mib(
        "bench.mixed_barlow_twins", *arguments, "formula"
    )
    return row


def main() -> None:
    arguments = harness.parser(__doc__).parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.peak:
        samples, features = map(int, arguments.peak[:2])
        loss = formula if arguments.peak[2:] else MixedBarlowTwinsLoss()
        make_step(loss, make_inputs(8, 8))()  # libraries load before the measurement
        print(harness.measure_peak(make_step(loss, make_inputs(samples, features))))
        return
    title = "mixed_barlow_twins: forward + backward, float32, ms and times as long"
    budget = 3.0 if arguments.quick else 12.0
    rows = [bench_case(*case, budget) for case in CASES]
    harness.print_table(title, rows)
    harness.save(arguments.json, title, rows)


if __name__ == "__main__":
    main()
