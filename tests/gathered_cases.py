"""What the tests of the three products with chosen rows share: inputs, and one check of each kind.

The three operators are each other's derivatives, so they are proven in the same way.
"""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from tests.neighbours_cases import DTYPES, in_layout, layouts, randn

cases = st.fixed_dictionaries(
    {
        "rows": st.integers(0, 20),
        "columns": st.integers(1, 40),
        "depth": st.integers(0, 35),
        "k": st.integers(0, 9),
        "dtype": st.sampled_from(DTYPES),
        "layout": layouts,
        "seed": st.integers(0, 1000),
    }
)


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype is torch.float64 else torch.float32


def make(
    rows: int, columns: int, depth: int, k: int, dtype: torch.dtype, layout: str, seed: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x (M, D), y (K, D), weights (M, k) and indices (M, k), some of them -1."""
    x = in_layout(randn(rows, depth, seed=seed, dtype=dtype), layout)
    y = in_layout(randn(columns, depth, seed=seed + 1, dtype=dtype), layout)
    weights = in_layout(randn(rows, k, seed=seed + 2, dtype=compute_dtype(dtype)), layout)
    generator = torch.Generator().manual_seed(seed)
    return x, y, weights, torch.randint(-1, columns, (rows, k), generator=generator)


def assert_near(got: Tensor, exact: Tensor, terms: int) -> None:
    """Within the rounding of a sum of ``terms`` products of about 1, and of the storage."""
    unit = {torch.float64: 1e-15}.get(got.dtype, 4e-7)
    storage = torch.finfo(got.dtype).eps if got.dtype in (torch.bfloat16, torch.float16) else 0
    assert got.shape == exact.shape
    bound = unit * 10 * (terms + 1) + storage * exact.abs() + 1e-6 * (storage > 0)
    assert bool(((got.double() - exact).abs() <= bound).all())


def assert_citizen(op: Any, tensors: tuple[Tensor, ...], *rest: Any) -> None:
    """Derivatives of first and second order, opcheck, and the plain form."""
    leaves = tuple(
        t.clone().requires_grad_() if t.is_floating_point() else t.clone() for t in tensors
    )
    assert torch.autograd.gradcheck(lambda *t: op(*t, *rest), leaves)
    assert torch.autograd.gradgradcheck(lambda *t: op(*t, *rest), leaves)
    torch.library.opcheck(op, (*leaves, *rest))
    with torch._C._AutoDispatchBelowAutograd():
        keys = torch._C.DispatchKeySet(torch._C.DispatchKey.XLA)
        plain = op.redispatch(keys, *tensors, *rest)
    assert torch.allclose(plain, op(*tensors, *rest), rtol=1e-12, atol=1e-12)


def assert_same_for_all_threads(
    core: Any, arrays: list[np.ndarray], shape: tuple[int, int]
) -> None:
    results = []
    for threads in (1, 2, 5):
        out = np.empty(shape, arrays[-1].dtype if arrays[-1].dtype.kind == "f" else np.float32)
        core(*arrays, out, threads)
        results.append(out)
    assert all(np.array_equal(result, results[0]) for result in results)


def assert_refuses(
    core: Any, arrays: list[np.ndarray], out: np.ndarray, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        core(*arrays, out)
