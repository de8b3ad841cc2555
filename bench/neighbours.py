"""The products with chosen rows, and LOOK's loss made of them, against plain torch."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from bench import harness
from ipse.functional import leave_one_out_knn_loss

TITLE = "neighbours: float32, ms and times as long"
ROWS, COLUMNS, DEPTH, K = 1024, 16_384, 128, 100
Run = Callable[[], list[Tensor]]


def products(x: Tensor, y: Tensor, weights: Tensor, indices: Tensor) -> dict[str, dict[str, Run]]:
    ops = torch.ops.ipse
    flat = indices.flatten()

    def plain_scatter() -> list[Tensor]:
        shares = (weights[:, :, None] * x[:, None]).flatten(0, 1)
        return [torch.zeros(COLUMNS, DEPTH).index_add_(0, flat, shares)]

    return {
        "gathered_dot": {
            "ipse": lambda: [ops.gathered_dot(x, y, indices)],
            "torch": lambda: [(x[:, None] * y[indices]).sum(2)],
        },
        "gathered_sum": {
            "ipse": lambda: [ops.gathered_sum(weights, indices, y)],
            "torch": lambda: [(weights[:, :, None] * y[indices]).sum(1)],
        },
        "scattered_sum": {
            "ipse": lambda: [ops.scattered_sum(weights, indices, x, COLUMNS)],
            "torch": plain_scatter,
        },
    }


def plain_look(z: Tensor, labels: Tensor, memory: Tensor, memory_labels: Tensor) -> Tensor:
    """The loss with the whole similarity matrix; every row has a neighbour of its class here."""
    similarity = F.normalize(z, dim=1) @ F.normalize(memory, dim=1).T / 0.1
    values, indices = similarity.topk(K)
    same = memory_labels[indices] == labels[:, None]
    own = values.masked_fill(~same, -torch.inf)
    return (values.logsumexp(1) - own.logsumexp(1)).mean()


def look(x: Tensor, y: Tensor) -> dict[str, Run]:
    """Loss and gradient; the memory is constant, as a queue is."""
    labels, memory_labels = torch.arange(ROWS) % 10, torch.arange(COLUMNS) % 10

    def step(loss: Callable[[Tensor], Tensor]) -> Run:
        leaf = x.clone().requires_grad_()

        def run() -> list[Tensor]:
            value = loss(leaf)
            (gradient,) = torch.autograd.grad(value, leaf)
            return [value.detach(), gradient]

        return run

    return {
        "ipse": step(lambda z: leave_one_out_knn_loss(z, labels, y, memory_labels, k=K)),
        "torch": step(lambda z: plain_look(z, labels, y, memory_labels)),
    }


def main() -> None:
    arguments = harness.parser(__doc__).parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(n, DEPTH, generator=generator) for n in (ROWS, COLUMNS))
    weights = torch.randn(ROWS, K, generator=generator)
    indices = torch.randint(COLUMNS, (ROWS, K), generator=generator)
    cases = products(x, y, weights, indices) | {"leave_one_out_knn_loss": look(x, y)}
    rows = []
    for name, candidates in cases.items():
        results = {peer: run() for peer, run in candidates.items()}
        harness.require_agreement(name, results, "ipse", 1e-4)
        seconds, spread = harness.time_interleaved(candidates, 2.0 if arguments.quick else 10.0)
        rows.append(harness.Row(f"{name} k={K}", seconds, spread))
    harness.print_table(f"{TITLE}; N={ROWS} K={COLUMNS} D={DEPTH}", rows)
    harness.save(arguments.json, TITLE, rows)


if __name__ == "__main__":
    main()
