"""What the tests of neighbours and clusters share: inputs of every shape and layout."""

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from ipse import _core

METRICS = ("cosine", "dot", "l2")
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def randn(*shape: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values.to(dtype)


def small_integers(*shape: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Values whose products are exact in every dtype, with many ties."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-3, 4, shape, generator=generator).to(dtype)


def in_layout(matrix: Tensor, layout: str) -> Tensor:
    """The same values elsewhere in memory."""
    rows, columns = matrix.shape
    if layout == "transposed":
        return matrix.T.contiguous().T
    if layout == "gaps":
        room = matrix.new_zeros(2 * rows + 1, 3 * columns + 1)
        room[: 2 * rows : 2, 1::3][:, :columns] = matrix
        return room[: 2 * rows : 2, 1::3][:, :columns]
    return matrix


layouts = st.sampled_from(["contiguous", "transposed", "gaps"])


def core_topk(
    x: Tensor, y: Tensor, k: int, metric: str, threads: int, **filters: Any
) -> tuple[np.ndarray, np.ndarray]:
    """The core's answer for a number of threads."""
    values = np.empty((len(x), k), np.float64 if x.dtype is torch.float64 else np.float32)
    indices = np.empty((len(x), k), np.int64)
    arrays = {name: array.numpy() for name, array in filters.items()}
    _core.topk_similarity(
        x.numpy(), y.numpy(), values, indices, metric, num_threads=threads, **arrays
    )
    return values, indices
