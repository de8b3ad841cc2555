"""``torch.ops.ipse.ntxent``, ``dcl``, ``info_nce`` and ``clip``: schema, kernels, autograd.

Each is one scalar, the weighted sum of what the engine adds up for every row (and column), in
a single call. The scale, the inverse temperature, is a tensor (one value, or one for each
row) or else a number. The backward operators are themselves differentiable, through the plain
formulas in ops/similarity_formulas.py.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ipse.ops._checks import check_embeddings, check_scale, scale_tensor
from ipse.ops._registry import COMPUTE_DTYPES, define, differentiate, straight_to_kernel
from ipse.ops.contrasts import CONTRASTS, Contrast
from ipse.ops.pairs import LOGSUMEXP, MEAN, POSITIVES, scale_array

# "ntxent", "dcl", "info_nce" and "clip": the table in ops/contrasts.py.
CORE_FUNCTIONS = {contrast.name: ("softmax_forward", "softmax_backward") for contrast in CONTRASTS}


def _empty(like: Tensor) -> Tensor:
    return like.new_empty((0,), dtype=torch.float64)


_STRAIGHT: dict[str, type[torch.autograd.Function]] = {}


def contrast_loss(
    name: str, x: Tensor, y: Tensor, scale: Tensor | None, constant: float, samples: int
) -> Tensor:
    """The loss ``name`` of this file, by the shortest way that is open."""
    if straight_to_kernel(x, y, scale):
        loss: Tensor = _STRAIGHT[name].apply(x, y, scale, constant, samples)
        return loss
    keep = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, y, scale))
    loss, _, _ = getattr(torch.ops.ipse, name)(x, y, scale, constant, samples, keep)
    return loss


def _register_contrast(contrast: Contrast) -> None:
    function = f"{contrast.name}_loss"

    def check(x: Tensor, y: Tensor, scale: Tensor | None, samples: int) -> None:
        check_embeddings(function, dict(zip(contrast.arguments, (x, y), strict=True)))
        rows = x.shape[0] + (y.shape[0] if contrast.one_side else 0)
        check_scale(function, scale, rows)
        if contrast.both_ways and scale is not None and scale.numel() != 1:
            raise ValueError(f"{function}: logit_scale must be one value, got {scale.numel()}")
        matching = rows % samples == 0 if contrast.one_side else x.shape[0] == y.shape[0]
        if samples < 1 or not matching:
            first, second = contrast.arguments
            shapes = f"{tuple(x.shape)} and {tuple(y.shape)}"
            raise ValueError(
                f"{function}: {first} and {second} must have the same shape, got {shapes}"
            )

    def outputs(x: Tensor, y: Tensor, keep: bool) -> tuple[Tensor, Tensor, Tensor]:
        loss = x.new_empty((), dtype=COMPUTE_DTYPES[x.dtype])
        if not keep or x.device.type != "cpu":
            return loss, _empty(x), _empty(x)
        rows = x.shape[0] + (y.shape[0] if contrast.one_side else 0)
        sums = x.new_empty((rows, 3), dtype=torch.float64)
        columns = (
            x.new_empty((y.shape[0], 3), dtype=torch.float64) if contrast.both_ways else _empty(x)
        )
        return loss, sums, columns

    def forward_cpu(
        x: Tensor, y: Tensor, scale: Tensor | None, constant: float, samples: int, keep: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        check(x, y, scale, samples)
        scales = scale_array(scale, constant)
        of_rows, of_positives = contrast.weights(x, y, samples)
        pairs = contrast.pairs(x, y, scales, samples)
        rows, columns = pairs.sums(scale is not None, contrast.both_ways)
        value = of_rows * rows[:, LOGSUMEXP].sum()
        value += of_positives * (scales * rows[:, POSITIVES]).sum()
        if columns is not None:
            value += of_rows * columns[:, LOGSUMEXP].sum()
        loss = x.new_full((), float(value), dtype=COMPUTE_DTYPES[x.dtype])
        if not keep:
            return loss, _empty(x), _empty(x)
        kept = _empty(x) if columns is None else torch.from_numpy(columns)
        return loss, torch.from_numpy(rows), kept

    def forward_other(
        x: Tensor, y: Tensor, scale: Tensor | None, constant: float, samples: int, keep: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        check(x, y, scale, samples)
        loss = contrast.formula(x, y, scale_tensor(scale, constant, x), samples)
        return loss, _empty(x), _empty(x)

    def forward_fake(
        x: Tensor, y: Tensor, scale: Tensor | None, constant: float, samples: int, keep: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        check(x, y, scale, samples)
        return outputs(x, y, keep)

    def setup_forward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        x, y, scale, constant, samples, _ = inputs
        ctx.save_for_backward(x, y, scale, *output[1:])
        ctx.mark_non_differentiable(*output[1:])
        ctx.rest = (constant, samples)

    backward_op: Any

    def forward_backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Any, ...]:
        x, y, scale, rows, columns = ctx.saved_tensors
        constant, samples = ctx.rest
        wanted = list(ctx.needs_input_grad[:3])
        if x.device.type == "cpu":
            found = backward_op(grad, x, y, scale, rows, columns, constant, samples, wanted)
        else:
            found = differentiate(
                lambda x, y, *s: contrast.formula(
                    x, y, scale_tensor(s[0] if s else None, constant, x), samples
                ),
                [x, y] if scale is None else [x, y, scale],
                [grad],
            )
        grads = [g if want else None for g, want in zip(found, wanted, strict=False)]
        return (*grads, *[None] * (6 - len(grads)))

    def empty_grads(x: Tensor, y: Tensor, scale: Tensor | None, wanted: list[bool]) -> Any:
        return tuple(
            x.new_empty((0,))
            if t is None or not want
            else torch.empty_like(t, memory_format=torch.contiguous_format)
            for t, want in zip((x, y, scale), wanted, strict=True)
        )

    def backward_cpu(
        grad: Tensor,
        x: Tensor,
        y: Tensor,
        scale: Tensor | None,
        row_sums: Tensor,
        column_sums: Tensor,
        constant: float,
        samples: int,
        wanted: list[bool],
    ) -> tuple[Tensor, Tensor, Tensor]:
        scales = scale_array(scale, constant)
        pairs = contrast.pairs(x, y, scales, samples)
        if row_sums.numel() == 0:  # the forward was told to keep nothing
            rows, columns = pairs.sums(scale is not None, contrast.both_ways)
        else:
            rows = row_sums.numpy()
            columns = column_sums.numpy() if contrast.both_ways else None
        factor = grad.item()
        of_rows, of_positives = (factor * w for w in contrast.weights(x, y, samples))
        results = [x.new_empty((0,)), x.new_empty((0,)), x.new_empty((0,))]
        if wanted[0] or wanted[1]:
            wants = [wanted[0], wanted[1]]
            grad_rows, grad_columns = pairs.gradients(
                rows,
                columns,
                np.full(pairs.row_count, of_rows),
                np.full(pairs.row_count, of_positives) * scales,
                None if columns is None else np.full(pairs.column_count, of_rows),
                (wants, []) if contrast.one_side else (wants[:1], wants[1:]),
            )
            for i, (g, want) in enumerate(zip(grad_rows + grad_columns, wants, strict=True)):
                results[i] = g if want else results[i]
        if wanted[2] and scale is not None:
            by_scale = of_rows * rows[:, MEAN] + of_positives * rows[:, POSITIVES]
            if scale.numel() == 1:
                total = by_scale.sum()
                if columns is not None:
                    total += of_rows * columns[:, MEAN].sum()
                by_scale = np.array(total)
            results[2] = torch.as_tensor(by_scale).reshape(scale.shape).to(scale.dtype)
        return results[0], results[1], results[2]

    def backward_fake(
        grad: Tensor, x: Tensor, y: Tensor, scale: Tensor | None, *rest: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        first, second, third = empty_grads(x, y, scale, rest[-1])
        return first, second, third

    def setup_backward(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        grad, x, y, scale, _, _, constant, samples, wanted = inputs
        ctx.save_for_backward(grad, x, y, scale)
        ctx.rest = (constant, samples, wanted)

    def backward_backward(ctx: Any, *gg: Tensor | None) -> tuple[Any, ...]:
        grad, x, y, scale = ctx.saved_tensors
        constant, samples, wanted = ctx.rest
        inputs = [grad, x, y] if scale is None else [grad, x, y, scale]

        def gradient(grad: Tensor, *inner: Tensor) -> tuple[Tensor, ...]:
            def loss(x: Tensor, y: Tensor, *s: Tensor) -> Tensor:
                scale = scale_tensor(s[0] if s else None, constant, x)
                return contrast.formula(x, y, scale, samples)

            found = differentiate(loss, inner, [grad])
            return tuple(
                torch.zeros_like(t) if g is None else g for g, t in zip(found, inner, strict=True)
            )

        outer = [g if want else None for g, want in zip(gg, wanted, strict=True)][: len(inputs) - 1]
        found = differentiate(gradient, inputs, outer)
        return (*found, *[None] * (9 - len(found)))

    define(
        f"{contrast.name}(Tensor x, Tensor y, Tensor? scale, float constant, SymInt samples,"
        " bool keep_sums) -> (Tensor loss, Tensor row_sums, Tensor column_sums)",
        cpu=forward_cpu,
        other=forward_other,
        fake=forward_fake,
        setup_context=setup_forward,
        backward=forward_backward,
    )
    define(
        f"{contrast.name}_backward(Tensor grad, Tensor x, Tensor y, Tensor? scale,"
        " Tensor row_sums, Tensor column_sums, float constant, SymInt samples, bool[3] wanted)"
        " -> (Tensor grad_x, Tensor grad_y, Tensor grad_scale)",
        cpu=backward_cpu,
        other=None,
        fake=backward_fake,
        setup_context=setup_backward,
        backward=backward_backward,
        autocast_float32=False,
    )
    backward_op = getattr(torch.ops.ipse, f"{contrast.name}_backward").default

    class Straight(torch.autograd.Function):
        """The same kernels without the dispatcher; see straight_to_kernel."""

        @staticmethod
        def forward(
            ctx: Any, x: Tensor, y: Tensor, scale: Tensor | None, constant: float, samples: int
        ) -> Tensor:
            loss, *ctx.sums = forward_cpu(x, y, scale, constant, samples, any(ctx.needs_input_grad))
            ctx.save_for_backward(x, y, scale)
            ctx.rest = (constant, samples)
            return loss

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
            # Differentiated again: through the operator, which knows how.
            run: Any = backward_op if torch.is_grad_enabled() else backward_cpu
            wanted = list(ctx.needs_input_grad[:3])
            found = run(grad, *ctx.saved_tensors, *ctx.sums, *ctx.rest, wanted)
            return (
                *[g if want else None for g, want in zip(found, wanted, strict=True)],
                None,
                None,
            )

    _STRAIGHT[contrast.name] = Straight


for _contrast in CONTRASTS:
    _register_contrast(_contrast)
