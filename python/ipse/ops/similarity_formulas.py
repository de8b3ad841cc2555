"""Plain PyTorch forms of the similarity engine: the definition of what its kernels compute.

They serve the devices that have no kernel yet, and the double backward. Everything is dense:
the (M, K) matrix of logits exists here and nowhere else.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ipse.ops._registry import COMPUTE_DTYPES

# Rows shorter than this count as zero, as in torch.nn.functional.normalize.
NORM_FLOOR = 1e-12


def unit_rows(x: Tensor) -> Tensor:
    """(N, D) rows divided by their length, in the compute dtype; a zero row stays zero.

    The gradient by a zero row is zero (not 1 / floor, which would end training in one step).
    """
    x = x.to(COMPUTE_DTYPES[x.dtype])
    square = x.square().sum(1, keepdim=True)
    zero = square < NORM_FLOOR**2
    return torch.where(zero, torch.zeros_like(x), x * torch.where(zero, 1.0, square).rsqrt())


def unit_rows_gradient(x: Tensor, grad: Tensor) -> Tensor:
    """The gradient by x, given that by ``unit_rows(x)``: for kernels, which run below autograd."""
    unit = unit_rows(x)
    length = x.to(unit.dtype).square().sum(1, keepdim=True).sqrt()
    across = grad - (grad * unit).sum(1, keepdim=True) * unit
    return torch.where(length < NORM_FLOOR, torch.zeros_like(unit), across / length)


def same_sample(rows: int, columns: int, samples: int, device: torch.device) -> Tensor:
    """(rows, columns) bool: row i and column j show one sample, i % samples == j % samples."""
    i = torch.arange(rows, device=device) % samples
    j = torch.arange(columns, device=device) % samples
    return i[:, None] == j[None, :]


def itself(rows: int, columns: int, device: torch.device) -> Tensor:
    """(rows, columns) bool: column i of row i."""
    return same_sample(rows, columns, max(rows, columns), device)


def excluded(
    rows: int, columns: int, exclude: str, samples: int, device: torch.device
) -> Tensor | None:
    """(rows, columns) bool mask of the columns a row does not see; None: it sees all."""
    if exclude == "self":
        return itself(rows, columns, device)
    if exclude == "sample":
        return same_sample(rows, columns, samples, device)
    return None


def masked_logsumexp(logits: Tensor, hidden: Tensor | None, dim: int) -> Tensor:
    """logsumexp over what is not hidden; -inf, with gradient zero, where everything is."""
    if hidden is None:
        return torch.logsumexp(logits, dim)
    top = logits.masked_fill(hidden, -torch.inf).amax(dim, keepdim=True).detach()
    top = torch.where(top == -torch.inf, 0.0, top)
    # Hidden logits are replaced before exp, so that they can neither overflow nor leak a gradient.
    terms = torch.where(hidden, 0.0, torch.where(hidden, top, logits).sub(top).exp())
    total = terms.sum(dim)
    empty = total == 0
    result = torch.where(empty, 1.0, total).log() + top.squeeze(dim)
    return torch.where(empty, -torch.inf, result)


def logsumexp(
    x: Tensor,
    y: Tensor | None,
    scale: Tensor,
    normalize: bool,
    exclude: str,
    samples: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """(logsumexp, positives, mean) of each row, (M,) each; see similarity_logsumexp.

    scale: scalar or (M,), the inverse temperature. mean is detached.
    """
    compute = COMPUTE_DTYPES[x.dtype]
    rows = unit_rows(x) if normalize else x.to(compute)
    columns = rows
    if y is not None:
        columns = unit_rows(y) if normalize else y.to(compute)
    similarity = rows @ columns.T
    logits = similarity * scale.to(compute).expand(x.shape[0])[:, None]
    m, k = similarity.shape
    hidden = excluded(m, k, exclude, samples, x.device)
    sums = masked_logsumexp(logits, hidden, 1)
    positives = sums.new_zeros(m)
    if samples:
        wanted = same_sample(m, k, samples, x.device)
        if y is None or exclude == "self":
            wanted = wanted & ~itself(m, k, x.device)
        positives = torch.where(wanted, similarity, 0.0).sum(1)
    with torch.no_grad():
        finite = torch.where(sums == -torch.inf, 0.0, sums)
        weights = (logits - finite[:, None]).exp()
        if hidden is not None:
            weights = weights.masked_fill(hidden, 0.0)
        mean = (weights * similarity).sum(1)
    return sums, positives, mean


def siglip(inputs: Sequence[Tensor], paired: bool) -> Tensor:
    """The mean over images of the sum over texts of -log sigmoid(z (scale s + bias)).

    inputs: image (N, D), text (K, D), scale, bias.
    """
    image, text, scale, bias = inputs
    compute = COMPUTE_DTYPES[image.dtype]
    logits = image.to(compute) @ text.to(compute).T * scale.to(compute) + bias.to(compute)
    total = torch.nn.functional.softplus(logits).sum()
    if paired:  # softplus(-x) = softplus(x) - x
        total = total - logits.diagonal().sum()
    return total / image.shape[0]
