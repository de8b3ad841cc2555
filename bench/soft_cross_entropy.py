"""SwAV and DINO losses, forward and backward, against lightly 1.6 and the compiled formula.

DINO's step includes the update of the centre, SwAV's the codes.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from lightly.loss import DINOLoss as LightlyDINOLoss
from lightly.loss import SwaVLoss as LightlySwaVLoss
from torch import Tensor
from torch.nn import functional

from bench import harness
from ipse.losses import DINOLoss, SwaVLoss

Views = list[Tensor]
Loss = Callable[[Views, Views], Tensor]


@dataclass(frozen=True)
class Case:
    """N samples, K prototypes, global (high-resolution) and local (low-resolution) views."""

    loss: str
    samples: int
    prototypes: int
    large: int = 2
    small: int = 0
    tolerance: float = 1e-4

    def __str__(self) -> str:
        views = f"{self.large}+{self.small}"
        return f"{self.loss} N={self.samples} K={self.prototypes} views={views}"


CASES = [
    Case("dino", 64, 4096),
    Case("dino", 64, 4096, 2, 6),
    # lightly's float32 sums over N K values are off by 1e-3 here, ours by 1e-8 (against float64).
    Case("dino", 64, 65536, 2, 8, tolerance=2e-3),
    Case("swav", 256, 3000, 2, 6),
    Case("swav", 256, 4096),
    Case("swav", 512, 300),
]


def make_views(case: Case) -> tuple[Views, Views]:
    """Cosine scores with a signal: views of one sample agree, as in the middle of training."""
    generator = torch.Generator().manual_seed(0)
    shape = (case.samples, case.prototypes)
    shared = torch.randn(shape, generator=generator)
    views = [
        0.15 * (shared + 0.5 * torch.randn(shape, generator=generator))
        for _ in range(case.large + case.small)
    ]
    return views[: case.large], views[case.large :]


def swav_formula(large: Views, small: Views) -> Tensor:
    """SwAV as its paper writes it, codes by division."""
    crops = [*large, *small]
    loss = large[0].new_zeros(())
    for i, scores in enumerate(large):
        with torch.no_grad():
            codes = (scores / 0.05).exp()
            for _ in range(3):
                codes = codes / codes.sum(0)
                codes = codes / codes.sum(1, keepdim=True)
        for v, crop in enumerate(crops):
            if v != i:
                loss = loss - (codes * functional.log_softmax(crop / 0.1, 1)).sum(1).mean()
    return loss / (len(large) * (len(crops) - 1))


def dino_formula(large: Views, small: Views, center: Tensor) -> tuple[Tensor, Tensor]:
    """DINO as its paper writes it, and the new centre; the teacher sees the global views."""
    crops = [*large, *small]
    loss = large[0].new_zeros(())
    teachers = [view.detach() for view in large]
    for i, teacher in enumerate(teachers):
        target = functional.softmax((teacher - center) / 0.04, 1)
        for v, crop in enumerate(crops):
            if v != i:
                loss = loss - (target * functional.log_softmax(crop / 0.1, 1)).sum(1).mean()
    moved = center.lerp(torch.stack(teachers).mean((0, 1)), 0.1)
    return loss / (len(large) * (len(crops) - 1)), moved


def compiled_dino(prototypes: int) -> Loss:
    """The compiled formula with its centre kept outside: a graph may recompute from its inputs."""
    formula, state = torch.compile(dino_formula), [torch.zeros(prototypes)]

    def step(large: Views, small: Views) -> Tensor:
        loss, state[0] = formula(large, small, state[0])
        return loss

    return step


def candidates_of(case: Case) -> dict[str, Loss]:
    if case.loss == "swav":
        mine, theirs = SwaVLoss(), LightlySwaVLoss()
        return {
            "ipse": lambda large, small: mine(large, small)[0],
            "lightly": lambda large, small: theirs(large, small)[0],
            "compiled": torch.compile(swav_formula),
        }
    own, other = DINOLoss(case.prototypes), LightlyDINOLoss(case.prototypes)
    return {
        "ipse": lambda large, small: own([v.detach() for v in large], [*large, *small]),
        "lightly": lambda large, small: other([v.detach() for v in large], [*large, *small]),
        "compiled": compiled_dino(case.prototypes),
    }


def make_step(loss: Loss, views: tuple[Views, Views]) -> Callable[[], list[Tensor]]:
    """Loss and all gradients, as a training step computes them."""
    large, small = ([view.clone().requires_grad_() for view in part] for part in views)
    leaves = [*large, *small]

    def step() -> list[Tensor]:
        for leaf in leaves:
            leaf.grad = None
        value = loss(large, small)
        value.backward()
        return [value.detach(), *[leaf.grad for leaf in leaves if leaf.grad is not None]]

    return step


def bench_case(case: Case, budget: float) -> harness.Row:
    views = make_views(case)
    torch.compiler.reset()
    steps = {name: make_step(loss, views) for name, loss in candidates_of(case).items()}
    harness.require_agreement(
        str(case), {name: step() for name, step in steps.items()}, "ipse", case.tolerance
    )
    seconds, spread = harness.time_interleaved(steps, budget)
    row = harness.Row(str(case), seconds, spread)
    values = case.samples * case.prototypes * (case.large + case.small)
    row.extra = {
        "ns/logit": 1e9 * seconds["ipse"] / values,
        "peak MiB": harness.peak_extra_mib(
            "bench.soft_cross_entropy",
            case.loss,
            *map(str, (case.samples, case.prototypes, case.large, case.small)),
        ),
        "gradients MiB": 4 * values / 2**20,
    }
    return row


def measure(loss: str, sizes: Sequence[str]) -> None:
    case = Case(loss, *map(int, sizes))
    small = Case(loss, 4, 8, case.large, case.small)
    make_step(candidates_of(small)["ipse"], make_views(small))()  # libraries load
    print(harness.measure_peak(make_step(candidates_of(case)["ipse"], make_views(case))))


def main() -> None:
    title = "soft_cross_entropy: SwAV and DINO, forward + backward, float32"
    arguments = harness.parser(title).parse_args()
    warnings.filterwarnings("ignore", "SwaVLoss")  # fewer samples than prototypes, on purpose
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.peak:
        measure(arguments.peak[0], arguments.peak[1:])
        return
    budget = 2.0 if arguments.quick else 8.0
    rows = [bench_case(case, budget) for case in CASES]
    harness.print_table(title, rows)
    harness.save(arguments.json, title, rows)


if __name__ == "__main__":
    main()
