"""Contrastive losses, forward and backward, against what people use instead.

``python -m bench.similarity`` prints every table; ``python -m bench.similarity ntxent`` one.
Names: ntxent, clip, supcon, isogclr, info_nce (MoCo's queue), siglip.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench import harness
from bench.similarity_peers import (
    ISogCLRFormula,
    clip_formula,
    moco_formula,
    ntxent_formula,
    siglip_formula,
    supcon_formula,
)
from ipse.functional import (
    clip_loss,
    info_nce_loss,
    ntxent_loss,
    siglip_loss,
    supcon_loss,
)
from ipse.losses import ISogCLRLoss

Loss = Callable[..., Tensor]


@dataclass(frozen=True)
class Case:
    """One size of one loss.

    Attributes:
        shapes: of the embeddings; all take part in the gradient.
        work: products of all rows with all columns that a step of ours computes.
        tolerance: largest difference of results, relative to the largest entry.
    """

    name: str
    shapes: tuple[tuple[int, ...], ...]
    ours: Loss
    peers: dict[str, Loss]
    work: float
    tolerance: float = 1e-4


def ntxent_case(samples: int, features: int, temperature: float = 0.5) -> Case:
    from lightly.loss import NTXentLoss

    return Case(
        f"ntxent 2x{samples}x{features} T={temperature}",
        ((samples, features), (samples, features)),
        lambda a, b: ntxent_loss(a, b, temperature),
        {
            "lightly": NTXentLoss(temperature),
            "compiled": torch.compile(lambda a, b: ntxent_formula(a, b, temperature)),
        },
        # Half a product forward, half again and one whole backward.
        2 * 2 * (2 * samples) ** 2 * features,
        2e-4 if temperature < 0.1 else 1e-4,
    )


def clip_case(samples: int, features: int, scale: float) -> Case:
    unit = torch.nn.functional.normalize
    return Case(
        f"clip {samples}x{features} scale={scale:g}",
        ((samples, features), (samples, features)),
        lambda a, b: clip_loss(unit(a), unit(b), scale),
        {
            "eager": lambda a, b: clip_formula(unit(a), unit(b), scale),
            "compiled": torch.compile(lambda a, b: clip_formula(unit(a), unit(b), scale)),
        },
        4 * 2 * samples**2 * features,
        1e-3,
    )


def supcon_case(samples: int, features: int, classes: int) -> Case:
    labels = torch.arange(samples) % classes
    return Case(
        f"supcon 2x{samples}x{features} C={classes}",
        ((samples, 2, features),),
        lambda z: supcon_loss(torch.nn.functional.normalize(z, dim=2), labels),
        {"SupContrast": lambda z: supcon_formula(torch.nn.functional.normalize(z, dim=2), labels)},
        2 * 2 * (2 * samples) ** 2 * features,
        1e-3,
    )


def isogclr_case(samples: int, features: int) -> Case:
    """A whole step: loss, gradient and the update of averages and temperatures."""
    index = torch.arange(samples)

    def ours(a: Tensor, b: Tensor) -> Tensor:
        # Each call starts anew, so that all candidates do the same work on the same state.
        loss = ISogCLRLoss(samples, tau_init=0.2)
        value = loss(index, a, b)
        return 1 + value - value.detach()  # the surrogates' gradients agree, their values do not

    def dense(a: Tensor, b: Tensor) -> Tensor:
        value = ISogCLRFormula(samples, torch.full((samples,), 0.2))(index, a, b)
        return 1 + value - value.detach()

    return Case(
        f"isogclr 2x{samples}x{features}",
        ((samples, features), (samples, features)),
        ours,
        {"dense": dense},
        2 * 2 * (2 * samples) ** 2 * features,
    )


def moco_case(samples: int, features: int, queue: int) -> Case:
    generator = torch.Generator().manual_seed(1)
    keys = torch.nn.functional.normalize(torch.randn(queue, features, generator=generator))
    return Case(
        f"info_nce {samples}x{features} queue={queue}",
        ((samples, features), (samples, features)),
        lambda q, k: info_nce_loss(q, k, keys, 0.2),
        {
            "eager": lambda q, k: moco_formula(q, k, keys, 0.2),
            "compiled": torch.compile(lambda q, k: moco_formula(q, k, keys, 0.2)),
        },
        # The queue is constant: the gradient is made on the way forward, one product more.
        2 * 2 * samples * queue * features,
    )


def siglip_case(samples: int, features: int) -> Case:
    unit = torch.nn.functional.normalize
    return Case(
        f"siglip {samples}x{features}",
        ((samples, features), (samples, features)),
        lambda a, b: siglip_loss(unit(a), unit(b), 10.0, -10.0),
        {
            "eager": lambda a, b: siglip_formula(unit(a), unit(b), 10.0, -10.0),
            "compiled": torch.compile(lambda a, b: siglip_formula(unit(a), unit(b), 10.0, -10.0)),
        },
        4 * 2 * samples**2 * features,
        1e-3,
    )


TABLES: dict[str, Callable[[], list[Case]]] = {
    "ntxent": lambda: [
        ntxent_case(4096, 128),
        ntxent_case(1024, 128),
        ntxent_case(256, 128),
        ntxent_case(1024, 128, 0.01),
    ],
    "clip": lambda: [clip_case(8192, 512, 100.0), clip_case(2048, 512, 14.3)],
    "supcon": lambda: [supcon_case(600, 32, 10), supcon_case(2048, 128, 100)],
    "isogclr": lambda: [isogclr_case(1024, 128), isogclr_case(256, 128)],
    "info_nce": lambda: [moco_case(256, 128, 65536), moco_case(256, 128, 4096)],
    "siglip": lambda: [siglip_case(2048, 512)],
}


def embeddings(shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    """Float32 embeddings that agree as in the middle of a training run."""
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(shapes[0], generator=generator)
    return [0.3 * shared + torch.randn(shape, generator=generator) for shape in shapes]


def make_step(loss: Loss, inputs: Sequence[Tensor]) -> Callable[[], list[Tensor]]:
    """Loss and all gradients, as a training step computes them."""
    leaves = [value.clone().requires_grad_() for value in inputs]

    def step() -> list[Tensor]:
        for leaf in leaves:
            leaf.grad = None
        value = loss(*leaves)
        value.backward()
        return [value.detach(), *[leaf.grad for leaf in leaves if leaf.grad is not None]]

    return step


def bench_case(table: str, number: int, case: Case, budget: float) -> harness.Row:
    inputs = embeddings(case.shapes)
    torch.compiler.reset()
    losses = {"ipse": case.ours, **case.peers}
    candidates = {name: make_step(loss, inputs) for name, loss in losses.items()}
    results = {name: step() for name, step in candidates.items()}
    harness.require_agreement(case.name, results, "ipse", case.tolerance)
    del results
    seconds, spread = harness.time_interleaved(candidates, budget)
    row = harness.Row(case.name, seconds, spread)
    row.extra = {
        "GFLOP": 1e-9 * case.work,
        "GFLOP/s": 1e-9 * case.work / seconds["ipse"],
        "peak MiB": harness.peak_extra_mib("bench.similarity", table, str(number)),
    }
    return row


def main() -> None:
    arguments_parser = harness.parser(__doc__)
    arguments_parser.add_argument("tables", nargs="*", metavar="NAME", help="default: all")
    arguments = arguments_parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.peak:
        table, number = arguments.peak
        case = TABLES[table]()[int(number)]
        ntxent_loss(*torch.randn(2, 8, 8, requires_grad=True)).backward()  # libraries load first
        print(harness.measure_peak(make_step(case.ours, embeddings(case.shapes))))
        return
    unknown = sorted(set(arguments.tables) - set(TABLES))
    if unknown:
        sys.exit(f"bench.similarity: no table {unknown[0]!r}; there are {', '.join(TABLES)}")
    budget = 3.0 if arguments.quick else 12.0
    rows = [
        bench_case(table, number, case, budget)
        for table in arguments.tables or TABLES
        for number, case in enumerate(TABLES[table]())
    ]
    harness.print_table("contrastive losses: forward + backward, float32", rows)
    harness.save(arguments.json, "contrastive losses", rows)


if __name__ == "__main__":
    main()
