"""Sinkhorn codes against lightly 1.6, in the range where its exponentials do not overflow."""

from collections.abc import Callable

import torch
from lightly.loss.swav_loss import sinkhorn as lightly_sinkhorn
from torch import Tensor

from bench import harness
from ipse.functional import sinkhorn

CASES = [(256, 3000), (256, 4096), (4096, 3000), (512, 300)]


def make_scores(samples: int, prototypes: int) -> Tensor:
    """Of the size of cosines in the middle of training."""
    return 0.15 * torch.randn(samples, prototypes, generator=torch.Generator().manual_seed(0))


def bench_case(samples: int, prototypes: int, budget: float) -> harness.Row:
    scores = make_scores(samples, prototypes)
    candidates: dict[str, Callable[[], Tensor]] = {
        "ipse": lambda: sinkhorn(scores),
        "lightly": lambda: lightly_sinkhorn(scores),
    }
    case = f"B={samples} K={prototypes}"
    harness.require_agreement(case, {key: [run()] for key, run in candidates.items()}, "ipse", 1e-4)
    row = harness.Row(case, *harness.time_interleaved(candidates, budget))
    row.extra = {
        "ns/score": 1e9 * row.seconds["ipse"] / scores.numel(),
        "peak MiB": harness.peak_extra_mib("bench.sinkhorn", str(samples), str(prototypes)),
        "codes MiB": 4 * scores.numel() / 2**20,
    }
    return row


def main() -> None:
    title = "sinkhorn: codes of three rounds, float32"
    arguments = harness.parser(title).parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.peak:
        sinkhorn(make_scores(8, 8))  # libraries load before the measurement
        scores = make_scores(*map(int, arguments.peak))
        print(harness.measure_peak(lambda: sinkhorn(scores)))
        return
    budget = 2.0 if arguments.quick else 8.0
    rows = [bench_case(*case, budget) for case in CASES]
    harness.print_table(title, rows)
    harness.save(arguments.json, title, rows)


if __name__ == "__main__":
    main()
