"""channel_response against the sequence of torch operators that it fuses.

``torch`` is batch_norm with fixed statistics, the activation in place, abs, amax, the mask, the
mean; ``compiled`` the same through torch.compile. With gradient, the mean and the gated
activation have one, the response has none, as in training.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from bench import harness
from ipse.functional import channel_response

SHAPES = [(32, 64, 32, 32), (1, 64, 56, 56), (32, 256, 14, 14), (128, 64, 32, 32)]
Results = tuple[Tensor, Tensor, Tensor]


def make(shape: tuple[int, ...], dtype: torch.dtype, last: bool) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator).to(dtype)
    if last:
        x = x.contiguous(memory_format=torch.channels_last)
    scale, shift = torch.rand(2, shape[1], generator=generator)
    return x, scale, shift, torch.rand(shape[:2], generator=generator) < 0.5


def fused(x: Tensor, scale: Tensor, shift: Tensor, mask: Tensor) -> Results:
    return channel_response(x, scale, shift, mask)


def steps(x: Tensor, scale: Tensor, shift: Tensor, mask: Tensor) -> Results:
    mean, variance = torch.zeros_like(scale), torch.ones_like(scale)
    o = torch.nn.functional.batch_norm(x, mean, variance, scale, shift, eps=0.0).relu_()
    response = o.detach().abs().amax((2, 3))
    out = o * mask[:, :, None, None]
    return out, response, out.mean((2, 3))


def with_gradient(function: Callable[..., Results], inputs: tuple[Tensor, ...]) -> list[Tensor]:
    *tensors, mask = inputs
    leaves = [t.detach().requires_grad_() for t in tensors]
    out, response, pooled = function(*leaves, mask)
    incoming = [torch.ones_like(out), torch.ones_like(pooled)]
    return [out, response, *torch.autograd.grad((out, pooled), leaves, incoming)]


def main() -> None:
    title = "channel_response"
    arguments = harness.parser(title).parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.peak:
        inputs = make(tuple(map(int, arguments.peak)), torch.float32, False)
        fused(*make((1, 2, 3, 3), torch.float32, False))
        print(harness.measure_peak(lambda: fused(*inputs)))
        return
    budget = 1.0 if arguments.quick else 4.0
    compiled = torch.compile(steps, dynamic=False)
    rows = []
    for shape in SHAPES:
        for dtype, last in ((torch.float32, False), (torch.float32, True), (torch.bfloat16, False)):
            inputs = make(shape, dtype, last)
            case = f"{'x'.join(map(str, shape))} {str(dtype)[6:]}{' last' if last else ''}"
            functions = {"ipse": fused, "torch": steps}
            if shape == SHAPES[0]:
                functions["compiled"] = compiled
            # The peer sums its gradients in float32: with channels last to 5e-4 of a float64
            # result where this operator has 5e-8.
            tolerance = 1e-3 if dtype is torch.float32 else 2e-2
            for name, run in (("", lambda f, i: list(f(*i))), (" with gradient", with_gradient)):
                runs = {k: lambda f=f, r=run, i=inputs: r(f, i) for k, f in functions.items()}
                results = {k: [t.float() for t in r()] for k, r in runs.items()}
                harness.require_agreement(case, results, "ipse", tolerance)
                row = harness.Row(case + name, *harness.time_interleaved(runs, budget))
                row.extra = {"MiB": inputs[0].nbytes / 2**20}
                rows.append(row)
    rows[0].extra["peak MiB"] = harness.peak_extra_mib(
        "bench.channel_response", *map(str, SHAPES[0])
    )
    harness.print_table(title, rows)
    harness.save(arguments.json, title, rows)


if __name__ == "__main__":
    main()
