"""What every engine's registration shares: the torch library and the way into the core."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Kept alive for the life of the process: dropping it unregisters the operators.
LIBRARY = torch.library.Library("ipse", "DEF")

COMPUTE_DTYPES = {
    torch.float32: torch.float32,
    torch.float64: torch.float64,
    torch.bfloat16: torch.float32,
    torch.float16: torch.float32,
}


def define(
    schema: str,
    *,
    cpu: Callable[..., Any],
    other: Callable[..., Any] | None,
    fake: Callable[..., Any],
    setup_context: Callable[..., None] | None = None,
    backward: Callable[..., Any] | None = None,
    autocast_float32: bool = True,
) -> None:
    """Registers one operator.

    Args:
        schema: ``name(Tensor x, ...) -> Tensor`` without the namespace.
        cpu: the native kernel.
        other: a plain PyTorch implementation, for every device without a kernel of its own;
            None where such a device never calls the operator.
        fake: shapes and dtypes only; runs the same argument checks.
        setup_context, backward: as in ``torch.library.register_autograd``; None: the results
            have no derivative.
        autocast_float32: inside an autocast region the inputs are cast to float32.
    """
    LIBRARY.define(schema)
    name = schema.split("(", 1)[0]
    LIBRARY.impl(name, cpu, "CPU")
    if other is not None:
        LIBRARY.impl(name, other, "CompositeExplicitAutograd")
    torch.library.register_fake(f"ipse::{name}", fake, lib=LIBRARY)
    if backward is not None:
        torch.library.register_autograd(
            f"ipse::{name}", backward, setup_context=setup_context, lib=LIBRARY
        )
    if autocast_float32:
        for device in ("cpu", "cuda"):
            torch.library.register_autocast(f"ipse::{name}", device, torch.float32, lib=LIBRARY)


def to_numpy(tensor: Tensor) -> "np.ndarray[Any, Any]":
    """The tensor's memory as an array, without a copy; bfloat16 as uint16 bit patterns."""
    tensor = tensor.detach().resolve_neg()
    if tensor.dtype is torch.bfloat16:
        tensor = tensor.view(torch.uint16)
    return tensor.numpy()


def differentiate(
    function: Callable[..., Tensor | tuple[Tensor, ...]],
    inputs: Sequence[Tensor],
    grads: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """The gradient of ``function(*inputs)`` by each input, itself differentiable.

    For the autograd side of an operator: on devices without a kernel its backward, on the CPU
    its double backward.

    Args:
        inputs: tensors; those that are not floating point get None.
        grads: one for each output; None for outputs that take no part.
    """
    create_graph = torch.is_grad_enabled()
    # Aliases, not the tensors themselves: one input may have been made from another, and the
    # derivative by each must stop at it. Constants need a gradient inside, too.
    inner = [
        (t.view_as(t) if t.requires_grad and create_graph else t.detach().requires_grad_())
        if t.is_floating_point()
        else t
        for t in inputs
    ]
    wanted = [i for i, t in enumerate(inner) if t.is_floating_point()]
    with torch.enable_grad():
        outputs = function(*inner)
        outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
        pairs = [
            (out, grad)
            for out, grad in zip(outputs, grads, strict=True)
            if grad is not None and out.requires_grad
        ]
        result: list[Tensor | None] = [None] * len(inner)
        if pairs:
            found = torch.autograd.grad(
                [out for out, _ in pairs],
                [inner[i] for i in wanted],
                [grad.to(out.dtype) for out, grad in pairs],
                create_graph=create_graph,
                allow_unused=True,
            )
            for i, grad in zip(wanted, found, strict=True):
                result[i] = grad
    return result


def straight_to_kernel(*inputs: Tensor | None) -> bool:
    """Whether nothing but autograd stands between this call and the CPU kernel.

    A small loss spends as long in the dispatcher, which it passes twice in each direction, as
    in its kernel (0.18 of 1.1 ms for NT-Xent at 2 x 256 x 128). Where no compiler, autocast,
    tensor subclass or mode would see the operator, a plain autograd.Function calls the
    kernel instead.
    """
    if (
        torch.compiler.is_compiling()
        or torch._C._is_tracing()
        or torch.is_autocast_enabled("cpu")
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._len_torch_function_stack() > 0
        or torch._C._functorch.peek_interpreter_stack() is not None
    ):
        return False
    return all(
        t is None or (type(t) in (Tensor, torch.nn.Parameter) and t.device.type == "cpu")
        for t in inputs
    )
