"""Checks of the arguments of the neighbour and cluster operators."""

import torch
from torch import Tensor

from ipse.ops._checks import check_float
from ipse.ops._registry import COMPUTE_DTYPES

METRICS = ("cosine", "dot", "l2")


def check_matrix(name: str, argument: str, matrix: Tensor) -> None:
    """Raises unless ``matrix`` is a dense float matrix."""
    check_float(name, argument, matrix)
    if matrix.dim() != 2:
        raise ValueError(f"{name}: {argument} must be (N, D), got shape {tuple(matrix.shape)}")


def check_pair(name: str, x: Tensor, y: Tensor, names: tuple[str, str] = ("x", "y")) -> None:
    """Raises unless x and y are matrices of one dtype, device and number of features."""
    for argument, matrix in zip(names, (x, y), strict=True):
        check_matrix(name, argument, matrix)
    both = f"{names[0]} and {names[1]}"
    if x.shape[1] != y.shape[1]:
        shapes = f"{tuple(x.shape)} and {tuple(y.shape)}"
        raise ValueError(f"{name}: {both} must have the same number of features, got {shapes}")
    if x.dtype != y.dtype:
        raise TypeError(f"{name}: {both} must have the same dtype, got {x.dtype} and {y.dtype}")
    if x.device != y.device:
        raise ValueError(
            f"{name}: {both} must be on the same device, got {x.device} and {y.device}"
        )


def check_integers(name: str, argument: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    """Raises unless ``tensor`` is int64 of that shape."""
    if tensor.dtype is not torch.int64:
        raise TypeError(f"{name}: {argument} must be int64, got {tensor.dtype}")
    if tensor.shape != shape:
        raise ValueError(
            f"{name}: {argument} must have shape {tuple(shape)}, got {tuple(tensor.shape)}"
        )


def check_topk(x: Tensor, y: Tensor, k: int, metric: str, *filters: Tensor | None) -> None:
    """Every check of the operator's arguments; filters: row and column ids, then labels."""
    name = "topk_similarity"
    check_pair(name, x, y)
    if metric not in METRICS:
        raise ValueError(f"{name}: metric must be one of {', '.join(METRICS)}, got {metric!r}")
    if not 1 <= k <= y.shape[0]:
        raise ValueError(f"{name}: k must be from 1 to the {y.shape[0]} rows of y, got {k}")
    for kind, (rows, columns) in (("ids", filters[:2]), ("labels", filters[2:])):
        if (rows is None) != (columns is None):
            raise ValueError(f"{name}: row_{kind} and column_{kind} must be given together")
        if rows is not None and columns is not None:
            check_integers(name, f"row_{kind}", rows, (x.shape[0],))
            check_integers(name, f"column_{kind}", columns, (y.shape[0],))


def check_indices(name: str, indices: Tensor, rows: int) -> None:
    if indices.dim() != 2:
        raise ValueError(f"{name}: indices must be (M, k), got shape {tuple(indices.shape)}")
    check_integers(name, "indices", indices, (rows, indices.shape[1]))


def check_weights(name: str, weights: Tensor, indices: Tensor, matrix: Tensor) -> None:
    compute = COMPUTE_DTYPES[matrix.dtype]
    if weights.dtype != compute:
        raise TypeError(f"{name}: weights must be {compute}, got {weights.dtype}")
    if weights.shape != indices.shape:
        raise ValueError(
            f"{name}: weights and indices must have the same shape (M, k), "
            f"got {tuple(weights.shape)} and {tuple(indices.shape)}"
        )
