"""elastic_linear against the same layer written with slices, forward and backward.

``slices`` is ``linear(x * D / in, weight[:out, :in], bias[:out])`` through autograd; ``cut`` the
floor: a plain linear layer whose weight has the small size already.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from bench import harness
from ipse.functional import elastic_linear

# Rows, weight (out, in), active (out, in).
CASES = [
    (1024, (1024, 1024), (384, 384)),
    (1024, (4096, 1024), (1536, 384)),
    (256, (1024, 1024), (512, 512)),
]


def slices(x: Tensor, weight: Tensor, bias: Tensor, out: int) -> Tensor:
    width = x.shape[1]
    scaled = x * (weight.shape[1] / width)
    return torch.nn.functional.linear(scaled, weight[:out, :width], bias[:out])


def run_of(function: Callable[..., Tensor], *tensors: Tensor) -> Callable[[], list[Tensor]]:
    leaves = [t.detach().requires_grad_() for t in tensors]

    def run() -> list[Tensor]:
        value = function(*leaves)
        return [value, *torch.autograd.grad(value, leaves, torch.ones_like(value))]

    return run


def main() -> None:
    title = "elastic_linear forward + backward, float32"
    arguments = harness.parser(title).parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    budget = 1.0 if arguments.quick else 4.0
    rows = []
    for count, (rows_all, columns), (out, width) in CASES:
        x, weight = torch.randn(count, width), torch.randn(rows_all, columns)
        bias = torch.ones(rows_all)
        tensors = x, weight, bias
        runs = {
            "ipse": run_of(lambda *t, o=out: elastic_linear(*t, out_features=o), *tensors),
            "slices": run_of(lambda *t, o=out: slices(*t, o), *tensors),
        }
        case = f"{count} rows, {out}x{width} of {rows_all}x{columns}"
        harness.require_agreement(case, {k: r() for k, r in runs.items()}, "ipse", 1e-4)
        cut = weight[:out, :width].clone()
        runs["cut"] = run_of(torch.nn.functional.linear, x, cut, bias[:out])
        rows.append(harness.Row(case, *harness.time_interleaved(runs, budget)))
    harness.print_table(title, rows)
    harness.save(arguments.json, title, rows)


if __name__ == "__main__":
    main()
