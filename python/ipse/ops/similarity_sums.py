"""``torch.ops.ipse.similarity_logsumexp``: what the engine adds up for every row.

The general building block: a loss that weighs rows in its own way (SupCon, DCL-W, iSogCLR, a
ring of processes) is this and a few vectors.

Where the columns are constants (a queue of past keys), the rows' gradient is the softmax-weighted
mean of the columns, but for a factor. ``keep_expected`` adds it up on the way forward, which
leaves nothing of the size of rows times columns for the way back: two products, not three.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ipse.ops import similarity_formulas as formulas
from ipse.ops._checks import check_embeddings, check_scale, scale_tensor
from ipse.ops._registry import COMPUTE_DTYPES, define, differentiate, to_numpy
from ipse.ops.pairs import LOGSUMEXP, MEAN, POSITIVES, Array, Pairs, scale_array

CORE_FUNCTIONS = {"similarity_logsumexp": ("softmax_forward", "softmax_backward")}

EXCLUDE = ("none", "self", "sample")

_NAME = "similarity_logsumexp"


def _check(
    x: Tensor,
    y: Tensor | None,
    scale: Tensor | None,
    exclude: str,
    samples: int,
    keep_expected: bool,
) -> None:
    check_embeddings(_NAME, {"x": x} if y is None else {"x": x, "y": y})
    check_scale(_NAME, scale, x.shape[0])
    if exclude not in EXCLUDE:
        raise ValueError(f"{_NAME}: exclude must be one of {', '.join(EXCLUDE)}, got {exclude!r}")
    if y is None and exclude == "none":
        raise ValueError(
            f"{_NAME}: rows against themselves need exclude='self' or 'sample'; pass y=x to keep "
            "each row's similarity with itself"
        )
    if samples < 0 or (exclude == "sample" and samples == 0):
        raise ValueError(
            f"{_NAME}: samples must be at least 1 with exclude='sample' and never negative, "
            f"got {samples}"
        )
    if keep_expected and (y is None or samples > 0):
        raise ValueError(f"{_NAME}: keep_expected needs y and samples=0, got {samples} samples")


def _pairs(
    x: Tensor, y: Tensor | None, scale: Array, normalize: bool, exclude: str, samples: int
) -> Pairs:
    return Pairs((x,), () if y is None else (y,), scale, normalize, exclude, samples)


def _forward_cpu(
    x: Tensor,
    y: Tensor | None,
    scale: Tensor | None,
    constant: float,
    normalize: bool,
    exclude: str,
    samples: int,
    keep_expected: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    _check(x, y, scale, exclude, samples, keep_expected)
    pairs = _pairs(x, y, scale_array(scale, constant), normalize, exclude, samples)
    compute = COMPUTE_DTYPES[x.dtype]
    expected = x.new_empty(x.shape if keep_expected else (0, 0), dtype=compute)
    kept = to_numpy(expected) if keep_expected else None
    sums = torch.from_numpy(pairs.sums(mean=True, both_ways=False, expected=kept)[0])
    rounded = [sums[:, column].to(compute) for column in (LOGSUMEXP, POSITIVES, MEAN)]
    if compute is torch.float64:  # no aliases of one another
        rounded = [column.clone() for column in rounded]
    return rounded[0], rounded[1], rounded[2], sums, expected


def _forward_other(
    x: Tensor,
    y: Tensor | None,
    scale: Tensor | None,
    constant: float,
    normalize: bool,
    exclude: str,
    samples: int,
    keep_expected: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    _check(x, y, scale, exclude, samples, keep_expected)
    results = formulas.logsumexp(
        x, y, scale_tensor(scale, constant, x), normalize, exclude, samples
    )
    none = x.new_empty((0, 0), dtype=COMPUTE_DTYPES[x.dtype])
    return *results, x.new_empty((0,), dtype=torch.float64), none


def _forward_fake(
    x: Tensor,
    y: Tensor | None,
    scale: Tensor | None,
    constant: float,
    normalize: bool,
    exclude: str,
    samples: int,
    keep_expected: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    _check(x, y, scale, exclude, samples, keep_expected)
    rows = x.shape[0]
    first, second, third = (x.new_empty((rows,), dtype=COMPUTE_DTYPES[x.dtype]) for _ in range(3))
    on_cpu = x.device.type == "cpu"
    sums = x.new_empty((rows, 3) if on_cpu else (0,), dtype=torch.float64)
    expected = x.new_empty(
        x.shape if keep_expected and on_cpu else (0, 0), dtype=COMPUTE_DTYPES[x.dtype]
    )
    return first, second, third, sums, expected


def _setup_forward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, y, scale, *rest, _ = inputs
    ctx.save_for_backward(x, y, scale, output[3], output[4])
    ctx.mark_non_differentiable(output[2], output[3], output[4])
    ctx.rest = rest


def _differentiable(
    x: Tensor, y: Tensor | None, scale: Tensor | None, rest: list[Any]
) -> tuple[Any, list[Tensor]]:
    """The plain formula as a function of those inputs that are tensors, and these."""
    constant, normalize, exclude, samples = rest

    def function(*inner: Tensor) -> tuple[Tensor, Tensor]:
        given = list(inner)
        own = given.pop(0)
        other = None if y is None else given.pop(0)
        factor = given.pop(0) if scale is not None else None
        sums, positives, _ = formulas.logsumexp(
            own, other, scale_tensor(factor, constant, own), normalize, exclude, samples
        )
        return sums, positives

    return function, [t for t in (x, y, scale) if t is not None]


def _spread(
    found: list[Tensor | None], x: Tensor, y: Tensor | None, scale: Tensor | None
) -> list[Tensor | None]:
    """Gradients of the tensors given, at the places of (x, y, scale)."""
    left = list(found)
    return [None if t is None else left.pop(0) for t in (x, y, scale)]


def _forward_backward(
    ctx: Any, grad_sums: Tensor | None, grad_positives: Tensor | None, *_: Any
) -> tuple[Any, ...]:
    x, y, scale, sums, expected = ctx.saved_tensors
    wanted = list(ctx.needs_input_grad[:3])
    if x.device.type == "cpu":
        zeros = x.new_zeros((x.shape[0],), dtype=COMPUTE_DTYPES[x.dtype])
        found = torch.ops.ipse.similarity_logsumexp_backward(
            zeros if grad_sums is None else grad_sums,
            zeros if grad_positives is None else grad_positives,
            x,
            y,
            scale,
            sums,
            expected,
            *ctx.rest,
            wanted,
        )
    else:
        function, inputs = _differentiable(x, y, scale, ctx.rest)
        found = _spread(differentiate(function, inputs, [grad_sums, grad_positives]), x, y, scale)
    grads = [g if want else None for g, want in zip(found, wanted, strict=True)]
    return (*grads, *[None] * 5)


def _backward_cpu(
    grad_sums: Tensor,
    grad_positives: Tensor,
    x: Tensor,
    y: Tensor | None,
    scale: Tensor | None,
    sums: Tensor,
    expected: Tensor,
    constant: float,
    normalize: bool,
    exclude: str,
    samples: int,
    wanted: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    scales = scale_array(scale, constant)
    pairs = _pairs(x, y, scales, normalize, exclude, samples)
    rows = sums.numpy()
    row_weights = np.ascontiguousarray(grad_sums.to(torch.float64).numpy())
    positive_weights = np.ascontiguousarray(grad_positives.to(torch.float64).numpy())
    empty = [x.new_empty((0,)) for _ in range(3)]
    if wanted[0] and not wanted[1] and expected.numel() > 0:
        weights = torch.from_numpy(row_weights * scales).to(expected.dtype)
        empty[0] = _from_expected(expected * weights[:, None], x, normalize)
    elif wanted[0] or wanted[1]:
        of_rows, of_columns = pairs.gradients(
            rows,
            None,
            row_weights,
            positive_weights,
            None,
            ([wanted[0]], [] if y is None else [wanted[1]]),
        )
        empty[0] = of_rows[0] if wanted[0] else empty[0]
        empty[1] = of_columns[0] if wanted[1] else empty[1]
    if wanted[2] and scale is not None:
        by_scale = row_weights * rows[:, MEAN]
        if scale.numel() == 1:
            by_scale = np.array(by_scale.sum())
        empty[2] = torch.as_tensor(by_scale).reshape(scale.shape).to(scale.dtype)
    return empty[0], empty[1], empty[2]


def _from_expected(grad: Tensor, x: Tensor, normalize: bool) -> Tensor:
    """The gradient by x, given that by the rows as they enter the product."""
    if normalize:
        grad = formulas.unit_rows_gradient(x, grad)
    return grad.to(x.dtype)


def _backward_fake(
    grad_sums: Tensor,
    grad_positives: Tensor,
    x: Tensor,
    y: Tensor | None,
    scale: Tensor | None,
    *rest: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    first, second, third = (
        x.new_empty((0,)) if t is None or not want else t.new_empty(t.shape)
        for t, want in zip((x, y, scale), rest[-1], strict=True)
    )
    return first, second, third


def _setup_backward(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    grad_sums, grad_positives, x, y, scale, _, _, *rest, wanted = inputs
    ctx.save_for_backward(grad_sums, grad_positives, x, y, scale)
    ctx.rest, ctx.wanted = rest, wanted


def _backward_backward(ctx: Any, *gg: Tensor | None) -> tuple[Any, ...]:
    grad_sums, grad_positives, x, y, scale = ctx.saved_tensors
    function, inputs = _differentiable(x, y, scale, ctx.rest)

    def gradient(grad_sums: Tensor, grad_positives: Tensor, *inner: Tensor) -> tuple[Tensor, ...]:
        found = differentiate(function, inner, [grad_sums, grad_positives])
        return tuple(
            torch.zeros_like(t) if g is None else g for g, t in zip(found, inner, strict=True)
        )

    outer = [
        g if want else None
        for g, want, t in zip(gg, ctx.wanted, (x, y, scale), strict=True)
        if t is not None
    ]
    by_sums, by_positives, *found = differentiate(
        gradient, [grad_sums, grad_positives, *inputs], outer
    )
    return (by_sums, by_positives, *_spread(found, x, y, scale), *[None] * 7)


define(
    "similarity_logsumexp(Tensor x, Tensor? y, Tensor? scale, float constant, bool normalize,"
    " str exclude, SymInt samples, bool keep_expected)"
    " -> (Tensor logsumexp, Tensor positives, Tensor mean, Tensor sums, Tensor expected)",
    cpu=_forward_cpu,
    other=_forward_other,
    fake=_forward_fake,
    setup_context=_setup_forward,
    backward=_forward_backward,
)
define(
    "similarity_logsumexp_backward(Tensor grad_logsumexp, Tensor grad_positives, Tensor x,"
    " Tensor? y, Tensor? scale, Tensor sums, Tensor expected, float constant, bool normalize,"
    " str exclude, SymInt samples, bool[3] wanted)"
    " -> (Tensor grad_x, Tensor grad_y, Tensor grad_scale)",
    cpu=_backward_cpu,
    other=None,
    fake=_backward_fake,
    setup_context=_setup_backward,
    backward=_backward_backward,
    autocast_float32=False,
)
