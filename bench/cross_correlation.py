"""Forward and backward of a second-moment loss: ours, lightly's, and the plain formula compiled.

bench/barlow_twins.py and bench/vicreg.py name the loss and the sizes.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench import harness

Case = tuple[int, int]


def make_views(samples: int, features: int) -> tuple[Tensor, Tensor]:
    """Two float32 views that correlate as in the middle of a training run."""
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(samples, features, generator=generator)
    noise = torch.randn(2, samples, features, generator=generator)
    return shared + noise[0], shared + noise[1]


def make_step(
    loss: Callable[[Tensor, Tensor], Tensor], views: tuple[Tensor, Tensor]
) -> Callable[[], list[Tensor]]:
    """Loss and both gradients, as a training step computes them."""
    leaves = [view.clone().requires_grad_() for view in views]

    def step() -> list[Tensor]:
        for leaf in leaves:
            leaf.grad = None
        value = loss(leaves[0], leaves[1])
        value.backward()
        return [value.detach(), *[leaf.grad for leaf in leaves if leaf.grad is not None]]

    return step


def bench_case(
    case: Case,
    ours: nn.Module,
    peer: nn.Module,
    formula: Callable[[Tensor, Tensor], Tensor],
    module: str,
    budget: float,
) -> harness.Row:
    samples, features = case
    views = make_views(samples, features)
    torch.compiler.reset()
    candidates = {
        "ipse": make_step(ours, views),
        "lightly": make_step(peer, views),
        "compiled": make_step(torch.compile(formula), views),
    }
    name = f"N={samples} D={features}"
    results = {candidate: step() for candidate, step in candidates.items()}
    harness.require_agreement(name, results, "ipse", 1e-4)
    seconds, spread = harness.time_interleaved(candidates, budget)
    row = harness.Row(name, seconds, spread)
    # Multiplications count two; the diagonal tiles of the Gram matrices are not counted.
    work = 6e-9 * samples * features * min(samples, features)
    row.extra = {
        "GFLOP": work,
        "GFLOP/s": work / seconds["ipse"],
        "peak MiB": harness.peak_extra_mib(module, str(samples), str(features)),
    }
    return row


def run(
    title: str,
    cases: list[Case],
    ours: nn.Module,
    peer: nn.Module,
    formula: Callable[[Tensor, Tensor], Tensor],
    module: str,
) -> None:
    """The main program of one loss's benchmark."""
    arguments = harness.parser(title).parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.peak:
        samples, features = map(int, arguments.peak)
        make_step(ours, make_views(8, 8))()  # libraries load before the measurement
        step = make_step(ours, make_views(samples, features))
        print(harness.measure_peak(step))
        return
    budget = 3.0 if arguments.quick else 12.0
    rows = [bench_case(case, ours, peer, formula, module, budget) for case in cases]
    harness.print_table(title, rows)
    harness.save(arguments.json, title, rows)
