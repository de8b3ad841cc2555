"""Token subsets of masked autoencoders against noise, argsort and gather.

The peers are the steps of the published code: ``rand``, ``argsort`` and a slice for the subset,
``gather`` with expanded indices for the tokens, and for the way back mask tokens written
everywhere and ``scatter``.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from bench import harness
from ipse.functional import gather_tokens, random_subsets, scatter_tokens

# Samples, tokens, kept, features: MAE's ViT-B at a quarter, a small image, I-JEPA-like, long.
CASES = [(256, 196, 49, 768), (256, 64, 16, 192), (64, 196, 147, 384), (16, 1568, 157, 192)]


def plain_subset(samples: int, tokens: int, keep: int) -> Tensor:
    return torch.rand(samples, tokens).argsort(1)[:, :keep]


def plain_gather(x: Tensor, indices: Tensor) -> Tensor:
    return x.gather(1, indices.unsqueeze(2).expand(-1, -1, x.shape[2]))


def plain_scatter(chosen: Tensor, indices: Tensor, tokens: int, fill: Tensor) -> Tensor:
    room = fill.repeat(chosen.shape[0], tokens, 1)
    return room.scatter_(1, indices.unsqueeze(2).expand_as(chosen), chosen)


def with_gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], list[Tensor]]:
    def run() -> list[Tensor]:
        leaf = x.detach().requires_grad_()
        value = function(leaf)
        return [value.detach(), *torch.autograd.grad(value, leaf, torch.ones_like(value))]

    return run


def compare(case: str, runs: dict[str, Callable[[], list[Tensor]]], budget: float) -> harness.Row:
    harness.require_agreement(case, {name: run() for name, run in runs.items()}, "ipse", 0.0)
    return harness.Row(case, *harness.time_interleaved(runs, budget))


def main() -> None:
    title = "token subsets, float32"
    arguments = harness.parser(title).parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    budget = 1.0 if arguments.quick else 4.0
    rows = []
    for samples, tokens, keep, width in CASES:
        case = f"{samples}x{tokens}x{width} keep {keep}"
        draws = {
            "ipse": lambda n=samples, t=tokens, k=keep: random_subsets(n, t, k),
            "torch": lambda n=samples, t=tokens, k=keep: plain_subset(n, t, k),
        }
        rows.append(harness.Row(f"random_subsets {case}", *harness.time_interleaved(draws, budget)))
        x = torch.randn(samples, tokens, width)
        fill = torch.randn(width)
        indices = random_subsets(samples, tokens, keep, seed=0)
        chosen = gather_tokens(x, indices)
        gathers = {
            "ipse": lambda x, i=indices: gather_tokens(x, i),
            "torch": lambda x, i=indices: plain_gather(x, i),
        }
        scatters = {
            "ipse": lambda c, i=indices, t=tokens, f=fill: scatter_tokens(c, i, t, f),
            "torch": lambda c, i=indices, t=tokens, f=fill: plain_scatter(c, i, t, f),
        }
        for name, functions, value in (("gather", gathers, x), ("scatter", scatters, chosen)):
            forward = {k: lambda f=f, v=value: [f(v)] for k, f in functions.items()}
            rows.append(compare(f"{name}_tokens {case}", forward, budget))
            both = {k: with_gradient(f, value) for k, f in functions.items()}
            rows.append(compare(f"{name}_tokens {case} grad", both, budget))
    harness.print_table(title, rows)
    harness.save(arguments.json, title, rows)


if __name__ == "__main__":
    main()
