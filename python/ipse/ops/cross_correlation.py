"""``torch.ops.ipse.barlow_twins`` and ``vicreg``: schema, kernels, autograd, autocast.

Each loss is two operators. The forward one returns the loss and ``moments``, the one
matrix its backward needs (opaque; see csrc/cross_correlation/triangle.h). The backward
one is itself differentiable, through the plain formula.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ipse import _core
from ipse.ops import formulas
from ipse.ops._checks import check_float
from ipse.ops._registry import COMPUTE_DTYPES, define, differentiate, to_numpy

SIDES = ("auto", "samples", "features")


def choose_side(samples: int, features: int) -> str:
    """The cheaper of the N x N and the D x D side.

    Counting multiplications for Barlow Twins, forward and backward, the samples side
    costs 3 N^2 D (its two Gram matrices are symmetric) and the features side 3 N D^2.
    Measured, the break-even lies at N = D within the noise for both losses; see
    bench/README.md.
    """
    return "samples" if samples <= features else "features"


def resolve_side(name: str, side: str, z1: Tensor) -> str:
    """Checks ``side`` and turns ``"auto"`` into one of the two."""
    if side not in SIDES:
        raise ValueError(f"{name}: side must be one of {', '.join(SIDES)}, got {side!r}")
    return choose_side(*z1.shape) if side == "auto" else side


def check_views(name: str, z1: Tensor, z2: Tensor) -> None:
    """Raises ValueError or TypeError unless z1 and z2 are two (N >= 2, D >= 1) float views."""
    for argument, view in (("z1", z1), ("z2", z2)):
        check_float(name, argument, view)
        if view.dim() != 2:
            raise ValueError(f"{name}: {argument} must be (N, D), got shape {tuple(view.shape)}")
    if z1.shape != z2.shape:
        shapes = f"{tuple(z1.shape)} and {tuple(z2.shape)}"
        raise ValueError(f"{name}: z1 and z2 must have the same shape, got {shapes}")
    if z1.dtype != z2.dtype:
        raise TypeError(
            f"{name}: z1 and z2 must have the same dtype, got {z1.dtype} and {z2.dtype}"
        )
    if z1.device != z2.device:
        raise ValueError(
            f"{name}: z1 and z2 must be on the same device, got {z1.device} and {z2.device}"
        )
    if z1.shape[0] < 2:
        raise ValueError(f"{name}: the batch must have at least 2 samples, got {z1.shape[0]}")
    if z1.shape[1] < 1:
        raise ValueError(f"{name}: the views must have at least 1 feature, got 0")


def _moments_shape(z1: Tensor, side: str, keep: bool) -> tuple[int, int]:
    # Only the native kernel keeps something; the plain formula starts again in backward.
    if not keep or z1.device.type != "cpu":
        return (0, 0)
    samples, features = z1.shape
    return (samples, samples + 1) if side == "samples" else (features, features)


def _register(
    name: str,
    parameters: tuple[str, ...],
    core_forward: Callable[..., float],
    core_backward: Callable[..., None],
    formula: Callable[..., Tensor],
    gradient: Callable[..., Tensor],
) -> None:
    """Registers ``ipse::name`` and ``ipse::name_backward`` for a loss with float parameters."""
    function = f"{name}_loss"
    count = len(parameters)
    declared = ", ".join(f"float {parameter}" for parameter in parameters)

    def empty_outputs(
        z1: Tensor, z2: Tensor, side: str, keep_moments: bool
    ) -> tuple[str, Tensor, Tensor]:
        check_views(function, z1, z2)
        side = resolve_side(function, side, z1)
        dtype = COMPUTE_DTYPES[z1.dtype]
        shape = _moments_shape(z1, side, keep_moments)
        return side, z1.new_empty((), dtype=dtype), z1.new_empty(shape, dtype=dtype)

    def forward_cpu(z1: Tensor, z2: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
        *values, side, keep = rest
        side, loss, moments = empty_outputs(z1, z2, side, keep)
        value = core_forward(
            to_numpy(z1),
            to_numpy(z2),
            *values,
            side,
            to_numpy(moments) if keep else None,
            torch.get_num_threads(),
        )
        return loss.fill_(value), moments

    def forward_other(z1: Tensor, z2: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
        *values, side, keep = rest
        side, _, moments = empty_outputs(z1, z2, side, keep)
        return formula(z1, z2, *values, side), moments

    def forward_fake(z1: Tensor, z2: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
        *_, side, keep = rest
        _, loss, moments = empty_outputs(z1, z2, side, keep)
        return loss, moments

    def setup_forward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        z1, z2, *rest = inputs
        ctx.save_for_backward(z1, z2, output[1])
        ctx.mark_non_differentiable(output[1])
        ctx.rest = rest[:-1]

    backward_op: Callable[..., tuple[Tensor, Tensor]]

    def forward_backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Any, ...]:
        z1, z2, moments = ctx.saved_tensors
        wanted = [ctx.needs_input_grad[0], ctx.needs_input_grad[1]]
        grads = backward_op(grad, z1, z2, moments, *ctx.rest, wanted)
        pair = [g if want else None for g, want in zip(grads, wanted, strict=True)]
        return (*pair, *[None] * (count + 2))

    def empty_grads(z1: Tensor, wanted: list[bool]) -> list[Tensor]:
        return [z1.new_empty(z1.shape if want else (0, 0)) for want in wanted]

    def backward_cpu(
        grad: Tensor, z1: Tensor, z2: Tensor, moments: Tensor, *rest: Any
    ) -> tuple[Tensor, Tensor]:
        *values, side, wanted = rest
        side = resolve_side(function, side, z1)
        threads = torch.get_num_threads()
        view1, view2 = to_numpy(z1), to_numpy(z2)
        if moments.numel() == 0:  # the forward was told to keep nothing
            moments = z1.new_empty(_moments_shape(z1, side, True), dtype=COMPUTE_DTYPES[z1.dtype])
            core_forward(view1, view2, *values, side, to_numpy(moments), threads)
        grads = empty_grads(z1, wanted)
        core_backward(
            view1,
            view2,
            to_numpy(moments),
            grad.item(),
            *values,
            side,
            *[to_numpy(g) if want else None for g, want in zip(grads, wanted, strict=True)],
            threads,
        )
        return grads[0], grads[1]

    def backward_other(
        grad: Tensor, z1: Tensor, z2: Tensor, moments: Tensor, *rest: Any
    ) -> tuple[Tensor, Tensor]:
        *values, side, wanted = rest
        side = resolve_side(function, side, z1)
        first, second = empty_grads(z1, [False, False])
        if wanted[0]:
            first = gradient(grad, z1, z2, *values, side)
        if wanted[1]:
            second = gradient(grad, z2, z1, *values, side)
        return first, second

    def backward_fake(
        grad: Tensor, z1: Tensor, z2: Tensor, moments: Tensor, *rest: Any
    ) -> tuple[Tensor, Tensor]:
        first, second = empty_grads(z1, rest[-1])
        return first, second

    def setup_backward(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        grad, z1, z2, _, *rest = inputs
        ctx.save_for_backward(grad, z1, z2)
        ctx.rest = rest

    def backward_backward(ctx: Any, gg1: Tensor | None, gg2: Tensor | None) -> tuple[Any, ...]:
        *values, side, wanted = ctx.rest
        side = resolve_side(function, side, ctx.saved_tensors[1])

        def gradients(grad: Tensor, z1: Tensor, z2: Tensor) -> tuple[Tensor, ...]:
            first = gradient(grad, z1, z2, *values, side)
            return first, gradient(grad, z2, z1, *values, side)

        outer = [gg if want else None for gg, want in zip((gg1, gg2), wanted, strict=True)]
        return (*differentiate(gradients, ctx.saved_tensors, outer), *[None] * (count + 3))

    define(
        f"{name}(Tensor z1, Tensor z2, {declared}, str side, bool keep_moments)"
        " -> (Tensor loss, Tensor moments)",
        cpu=forward_cpu,
        other=forward_other,
        fake=forward_fake,
        setup_context=setup_forward,
        backward=forward_backward,
    )
    define(
        f"{name}_backward(Tensor grad, Tensor z1, Tensor z2, Tensor moments, {declared},"
        " str side, bool[2] wanted) -> (Tensor grad_z1, Tensor grad_z2)",
        cpu=backward_cpu,
        other=backward_other,
        fake=backward_fake,
        setup_context=setup_backward,
        backward=backward_backward,
        autocast_float32=False,
    )
    backward_op = getattr(torch.ops.ipse, f"{name}_backward").default


_register(
    "barlow_twins",
    ("lambda_param", "eps"),
    _core.barlow_twins_forward,
    _core.barlow_twins_backward,
    formulas.barlow_twins,
    formulas.barlow_twins_gradient,
)
_register(
    "vicreg",
    ("lambda_param", "mu_param", "nu_param", "eps"),
    _core.vicreg_forward,
    _core.vicreg_backward,
    formulas.vicreg,
    formulas.vicreg_gradient,
)
