"""Checks of arguments that the operators share."""

import torch
from torch import Tensor

from ipse.ops._registry import COMPUTE_DTYPES


def check_float(name: str, argument: str, tensor: Tensor) -> None:
    """TypeError unless the tensor is dense and of a dtype that the core computes in."""
    if tensor.dtype not in COMPUTE_DTYPES:
        allowed = "float32, float64, bfloat16 or float16"
        raise TypeError(f"{name}: {argument} must be {allowed}, got {tensor.dtype}")
    check_dense(name, argument, tensor)


def check_dense(name: str, argument: str, tensor: Tensor) -> None:
    """TypeError unless the tensor is dense."""
    if tensor.layout is not torch.strided:
        raise TypeError(f"{name}: {argument} must be a dense tensor, got {tensor.layout}")


def check_embeddings(name: str, arguments: dict[str, Tensor]) -> None:
    """ValueError or TypeError unless all are (., D) float tensors of one width, dtype, device."""
    (first_name, first), *others = arguments.items()
    for argument, value in arguments.items():
        check_float(name, argument, value)
        if value.dim() != 2:
            raise ValueError(f"{name}: {argument} must be (N, D), got shape {tuple(value.shape)}")
        if 0 in value.shape:
            raise ValueError(
                f"{name}: {argument} must have at least one row and one feature, "
                f"got shape {tuple(value.shape)}"
            )
    for argument, value in others:
        if value.shape[1] != first.shape[1]:
            shapes = f"{tuple(first.shape)} and {tuple(value.shape)}"
            raise ValueError(
                f"{name}: {first_name} and {argument} must have the same width, got {shapes}"
            )
        if value.dtype != first.dtype:
            raise TypeError(
                f"{name}: {first_name} and {argument} must have the same dtype, "
                f"got {first.dtype} and {value.dtype}"
            )
        if value.device != first.device:
            raise ValueError(
                f"{name}: {first_name} and {argument} must be on the same device, "
                f"got {first.device} and {value.device}"
            )


def check_scale(name: str, scale: Tensor | None, rows: int) -> None:
    """ValueError unless scale is None, one value, or one for each row."""
    if scale is not None and scale.numel() != 1 and tuple(scale.shape) != (rows,):
        raise ValueError(
            f"{name}: temperature must be a number, one value or one for each of the {rows} rows, "
            f"got shape {tuple(scale.shape)}"
        )


def scale_tensor(scale: Tensor | None, constant: float, like: Tensor) -> Tensor:
    """The scale as a tensor: a scalar or (M,)."""
    compute = COMPUTE_DTYPES[like.dtype]
    if scale is None:
        return like.new_tensor(constant, dtype=compute)
    return scale.reshape(()) if scale.numel() == 1 else scale
