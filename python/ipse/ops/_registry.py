"""What every engine's registration shares: the torch library and the way into the core."""

from collections.abc import Callable
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
    other: Callable[..., Any],
    fake: Callable[..., Any],
    setup_context: Callable[..., None] | None = None,
    backward: Callable[..., Any] | None = None,
    autocast_float32: bool = True,
) -> None:
    """Registers one operator.

    Args:
        schema: ``name(Tensor x, ...) -> Tensor`` without the namespace.
        cpu: the native kernel.
        other: a plain PyTorch implementation, for every device without a kernel of its own.
        fake: shapes and dtypes only; runs the same argument checks.
        setup_context, backward: as in ``torch.library.register_autograd``; None: the results
            have no derivative.
        autocast_float32: inside an autocast region the inputs are cast to float32.
    """
    LIBRARY.define(schema)
    name = schema.split("(", 1)[0]
    LIBRARY.impl(name, cpu, "CPU")
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
