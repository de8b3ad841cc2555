"""The way from tensors into the similarity engine's two passes over all pairs.

Below autograd: plain functions on CPU tensors, called by the kernels in ops/similarity.py.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ipse import _core
from ipse.ops._registry import to_numpy

# Columns of the engine's (rows, 3) float64 results.
LOGSUMEXP, POSITIVES, MEAN = range(3)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Pairs:
    """Rows, columns and how a pair of them becomes a logit.

    Attributes:
        rows: one or two stacked (., D) tensors.
        columns: likewise; empty: the rows against themselves, each pair computed once.
        scale: float64 (1,) or (M,): logit_ij = scale_i * similarity_ij.
        normalize: rows and columns are divided by their length.
        exclude: what a row does not see: "none", "self" or "sample".
        samples: rows i and columns j with i % samples == j % samples show one sample; 0: no
            positives.
    """

    rows: tuple[Tensor, ...]
    columns: tuple[Tensor, ...]
    scale: Array
    normalize: bool
    exclude: str
    samples: int

    @property
    def row_count(self) -> int:
        return sum(part.shape[0] for part in self.rows)

    @property
    def column_count(self) -> int:
        return sum(part.shape[0] for part in self.columns)

    def sums(
        self, mean: bool, both_ways: bool, expected: Array | None = None
    ) -> tuple[Array, Array | None]:
        """(M, 3) sums of the rows and, both ways, (K, 3) of the columns.

        Args:
            expected: filled, where given, with each row's softmax-weighted mean of the columns,
                (M, D) of the compute type; one way only.
        """
        rows = np.empty((self.row_count, 3))
        columns = np.empty((self.column_count, 3)) if both_ways else None
        _core.softmax_forward(
            [to_numpy(part) for part in self.rows],
            [to_numpy(part) for part in self.columns],
            self.scale,
            self.normalize,
            self.exclude,
            self.samples,
            mean,
            rows,
            columns,
            expected,
            torch.get_num_threads(),
        )
        return rows, columns

    def gradients(
        self,
        row_sums: Array,
        column_sums: Array | None,
        row_weights: Array,
        positive_weights: Array,
        column_weights: Array | None,
        wanted: tuple[list[bool], list[bool]],
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Gradients of the weighted sums by rows and columns; empty where not wanted."""
        grads = [
            [t.new_empty(t.shape if want else (0, 0)) for t, want in zip(side, wants, strict=True)]
            for side, wants in zip((self.rows, self.columns), wanted, strict=True)
        ]
        arrays = [
            [to_numpy(grad) if want else None for grad, want in zip(side, wants, strict=True)]
            for side, wants in zip(grads, wanted, strict=True)
        ]
        _core.softmax_backward(
            [to_numpy(part) for part in self.rows],
            [to_numpy(part) for part in self.columns],
            self.scale,
            self.normalize,
            self.exclude,
            self.samples,
            row_sums,
            column_sums,
            row_weights,
            positive_weights,
            column_weights,
            arrays[0],
            arrays[1],
            torch.get_num_threads(),
        )
        return grads[0], grads[1]


def scale_array(scale: Tensor | None, constant: float) -> Array:
    """The float64 scales the engine takes, from a tensor or else from a number."""
    if scale is None:
        return np.array([constant])
    array: Array = scale.detach().to(torch.float64).reshape(-1).numpy()
    return np.ascontiguousarray(array)
