"""The most similar rows of a bank, and what they say about a query."""

from typing import NamedTuple

import torch
from torch import Tensor

import ipse.ops  # noqa: F401  # registers torch.ops.ipse.*

__all__ = ["KNNPrediction", "TopK", "knn_classify", "topk_similarity"]


class TopK(NamedTuple):
    """The k best columns of every row, best first."""

    values: Tensor
    indices: Tensor


class KNNPrediction(NamedTuple):
    """Class probabilities and the most probable class of every query."""

    scores: Tensor
    labels: Tensor


def _integers(tensor: Tensor | None) -> Tensor | None:
    """Any integer type as int64; anything else is left for the operator to refuse."""
    if tensor is None or tensor.is_floating_point() or tensor.is_complex():
        return tensor
    return tensor.to(torch.int64)


def topk_similarity(
    x: Tensor,
    y: Tensor,
    k: int,
    metric: str = "cosine",
    *,
    row_ids: Tensor | None = None,
    column_ids: Tensor | None = None,
    row_labels: Tensor | None = None,
    column_labels: Tensor | None = None,
) -> TopK:
    """The k rows of y most similar to each row of x, exactly, without the (N, K) matrix.

    Args:
        x: (N, D) rows: float32, float64, bfloat16 or float16; 16-bit inputs are computed in
            float32. Any strides. N may be 0.
        y: (K, D) columns, the same dtype.
        k: how many, from 1 to K.
        metric: ``"cosine"``: the product of rows divided by max(norm, 1e-12);
            ``"dot"``: the plain product; ``"l2"``: the squared Euclidean distance, smallest
            first, computed as ``|x|^2 - 2 x.y + |y|^2`` (so its rounding error is relative to
            the squared norms, not to the distance) and never below 0; NaN for a row of x
            that is not finite.
        row_ids, column_ids: (N,) and (K,) integers; a column with the row's id is left out.
            Leave-one-out: the sample's own entry and its copies.
        row_labels, column_labels: (N,) and (K,) integers; only columns with the row's label
            are considered.

    Returns:
        ``TopK(values, indices)``, both (N, k). values: float32 for 16-bit inputs, else the
        inputs' dtype; sorted from the best, descending (``"l2"``: ascending). indices: int64
        rows of y. Equal values come in the order of their index, so the result does not
        depend on the number of threads. NaN ranks behind every number. Where fewer than k
        columns are allowed, the rest has index -1 and value -inf (``"l2"``: inf).

        The values are differentiable with respect to x and y as often as wanted (the choice
        of columns counts as constant; the gradient of an index -1 is 0). The gradient is
        deterministic. In an autocast region inputs are cast to float32.

    Raises:
        ValueError: shapes or devices do not fit, k is not from 1 to K, ``metric`` is unknown,
            or only one of a pair of ids or labels is given.
        TypeError: dtypes differ or are not floating point, or ids or labels are no integers.

    Memory:
        (K, D) values of packed y, and for each thread a tile and 2 k + 256 candidates for
        each of up to 128 rows, on the CPU. y is not copied where at most one block of 128
        rows uses it.

    Source:
        Exact search as in Johnson, Douze, Jegou, Billion-scale similarity search with GPUs
        (arXiv 1702.08734), section 4, with the selection fused into the product.
    """
    filters = [_integers(t) for t in (row_ids, column_ids, row_labels, column_labels)]
    return TopK(*torch.ops.ipse.topk_similarity(x, y, k, metric, *filters))


def knn_classify(
    bank: Tensor,
    labels: Tensor,
    queries: Tensor,
    k: int = 200,
    temperature: float = 0.1,
    num_classes: int | None = None,
) -> KNNPrediction:
    """Weighted k-nearest-neighbour classification, the usual check of self-supervised features.

    A neighbour of cosine similarity s votes for its own class with weight
    ``exp(s / temperature)``; a query's scores are its votes divided by their sum.

    Args:
        bank: (K, D) features with known classes; float, any norm.
        labels: (K,) integers from 0.
        queries: (N, D) features, the dtype of ``bank``.
        k: number of neighbours; if more than K, all K vote.
        temperature: positive; smaller trusts the nearest neighbours more.
        num_classes: C; default: the largest label plus one.

    Returns:
        ``KNNPrediction(scores, labels)``: scores (N, C) sum to 1 for each query, labels (N,)
        int64 are their arg-max, the smaller class on a tie. No gradient flows.

    Raises:
        ValueError: shapes do not fit, the bank is empty, k or temperature is not positive, or
            a label is not from 0 to C - 1.
        TypeError: dtypes differ or are not floating point, or labels are no integers.

    Memory:
        As :func:`topk_similarity`, and (N, k + C).

    Source:
        Wu et al., Unsupervised Feature Learning via Non-Parametric Instance Discrimination,
        CVPR 2018 (arXiv 1805.01978), section 3.4.
    """
    name = "knn_classify"
    if k < 1:
        raise ValueError(f"{name}: k must be at least 1, got {k}")
    if not temperature > 0:
        raise ValueError(f"{name}: temperature must be positive, got {temperature}")
    if labels.is_floating_point() or labels.is_complex():
        raise TypeError(f"{name}: labels must be integers, got {labels.dtype}")
    if bank.dim() != 2 or len(bank) == 0 or labels.shape != bank.shape[:1]:
        raise ValueError(
            f"{name}: labels must be (K,) for a (K, D) bank with K >= 1, "
            f"got {tuple(labels.shape)} for {tuple(bank.shape)}"
        )
    labels = labels.to(torch.int64)
    least, most = int(labels.min()), int(labels.max())
    classes = most + 1 if num_classes is None else num_classes
    if least < 0 or most >= classes:
        raise ValueError(
            f"{name}: labels must be from 0 to num_classes - 1 = {classes - 1}, "
            f"got {least} to {most}"
        )
    with torch.no_grad():
        similarity, indices = topk_similarity(queries, bank, min(k, len(bank)))
        # exp((s - s_max) / T) votes like exp(s / T), and cannot overflow.
        weights = torch.softmax(similarity / temperature, dim=1)
        scores = weights.new_zeros(len(queries), classes)
        scores.scatter_add_(1, labels[indices], weights)
        return KNNPrediction(scores, scores.argmax(dim=1))
