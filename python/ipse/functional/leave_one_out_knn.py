"""LOOK: the leave-one-out error of a weighted nearest-neighbour classifier, as a loss."""

import math

import torch
from torch import Tensor

from ipse.functional.neighbours import topk_similarity

__all__ = ["leave_one_out_knn_loss"]

_NAME = "leave_one_out_knn_loss"
MISSING = ("force_positive", "skip", "smooth")


def _integers(argument: str, tensor: Tensor, count: int) -> Tensor:
    if tensor.is_floating_point() or tensor.is_complex():
        raise TypeError(f"{_NAME}: {argument} must be integers, got {tensor.dtype}")
    if tensor.shape != (count,):
        raise ValueError(
            f"{_NAME}: {argument} must have shape ({count},), got {tuple(tensor.shape)}"
        )
    return tensor.to(torch.int64)


def _check_settings(k: int, temperature: float, missing: str, force: int, smoothing: float) -> None:
    if k < 1:
        raise ValueError(f"{_NAME}: k must be at least 1, got {k}")
    if not 0 < temperature < math.inf:
        raise ValueError(f"{_NAME}: temperature must be positive and finite, got {temperature}")
    if missing not in MISSING:
        raise ValueError(f"{_NAME}: missing must be one of {', '.join(MISSING)}, got {missing!r}")
    if force < 1:
        raise ValueError(f"{_NAME}: force must be at least 1, got {force}")
    if not 0 < smoothing < math.inf:
        raise ValueError(f"{_NAME}: smoothing must be positive and finite, got {smoothing}")


def _resolve_memory(
    z: Tensor,
    labels: Tensor,
    memory: Tensor | None,
    memory_labels: Tensor | None,
    ids: Tensor | None,
    memory_ids: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """The bank, its labels, and the ids of rows and bank; unfilled entries taken out."""
    if memory is None:
        if memory_labels is not None or memory_ids is not None:
            raise ValueError(f"{_NAME}: memory_labels and memory_ids need a memory")
        if ids is None:
            ids = torch.arange(len(z), device=z.device)
        ids = _integers("ids", ids, len(z))
        return z, labels, ids, ids
    if memory_labels is None:
        raise ValueError(f"{_NAME}: a memory needs memory_labels")
    if (ids is None) != (memory_ids is None):
        raise ValueError(f"{_NAME}: with a memory, ids and memory_ids must be given together")
    if memory.dim() != 2:
        raise ValueError(f"{_NAME}: memory must be (M, D), got shape {tuple(memory.shape)}")
    memory_labels = _integers("memory_labels", memory_labels, len(memory))
    if ids is not None and memory_ids is not None:
        ids = _integers("ids", ids, len(z))
        memory_ids = _integers("memory_ids", memory_ids, len(memory))
    filled = memory_labels >= 0
    if not bool(filled.all()):
        memory, memory_labels = memory[filled], memory_labels[filled]
        memory_ids = None if memory_ids is None else memory_ids[filled]
    if len(memory) == 0:
        raise ValueError(f"{_NAME}: the memory has no filled entry (label 0 or more)")
    return memory, memory_labels, ids, memory_ids


def _forced(
    z: Tensor,
    memory: Tensor,
    labels: Tensor,
    memory_labels: Tensor,
    ids: tuple[Tensor | None, Tensor | None],
    same: Tensor,
    force: int,
) -> Tensor:
    """(B, force) similarities of the nearest same-class entries that are no neighbours yet.

    Where there is none the entry is -inf. The neighbours of a row's own class are the nearest
    of its class, so if there are c of them, the c nearest are in already.
    """
    count = same.sum(1)
    rows = (count < force).nonzero().flatten()
    force = min(force, len(memory))
    if len(rows) == 0:
        return z.new_full((len(z), 0), -torch.inf)
    row_ids, memory_ids = ids
    nearest = topk_similarity(
        z[rows],
        memory,
        force,
        row_ids=None if row_ids is None else row_ids[rows],
        column_ids=memory_ids,
        row_labels=labels[rows],
        column_labels=memory_labels,
    )
    new = (nearest.indices >= 0) & (torch.arange(force, device=z.device) >= count[rows, None])
    values = nearest.values.masked_fill(~new, -torch.inf)
    return values.new_full((len(z), force), -torch.inf).index_copy(0, rows, values)


def leave_one_out_knn_loss(
    z: Tensor,
    labels: Tensor,
    memory: Tensor | None = None,
    memory_labels: Tensor | None = None,
    *,
    k: int,
    temperature: float = 0.1,
    ids: Tensor | None = None,
    memory_ids: Tensor | None = None,
    missing: str = "force_positive",
    force: int = 1,
    smoothing: float = 1e-3,
) -> Tensor:
    """The leave-one-out loss of a weighted k-nearest-neighbour classifier (LOOK).

    For each sample the k nearest entries of the memory by cosine vote with weight
    ``exp(s / temperature)``; the loss is ``-log`` of the share of its own class, the mean over
    the samples:  ``logsumexp_{N_k} s / T - logsumexp_{N_k, same class} s / T``. Entries outside
    the neighbourhood have no gradient, so a class may keep several modes.

    Args:
        z: (N, D) features of any norm: float32, float64, bfloat16 or float16.
        labels: (N,) integers, at least 0.
        memory: (M, D) labelled features of the same dtype. None: the batch itself.
        memory_labels: (M,) integers; entries with a negative label are unfilled and left out.
        k: number of neighbours. At most M - 1 with ids (so that k can be had without the
            sample itself), else M; M counts filled entries.
        temperature: positive.
        ids, memory_ids: integers (N,) and (M,): which sample an entry shows. A sample's own
            entries, whichever view or age, are never its neighbours. Without a memory ids
            default to the position in the batch. With a memory and without ids nothing is left
            out: right only if no sample of the batch can be in the memory.
        missing: what if no neighbour has the sample's class. ``"force_positive"``: the
            ``force`` nearest entries of its class always belong to the neighbourhood, in
            addition to the k; a sample whose class has no other entry counts as under
            ``"skip"``. ``"skip"``: the mean is over the other samples (0 if there are none).
            ``"smooth"``: the loss is ``-log(p + smoothing)`` for every sample.
        force: at least 1; used by ``"force_positive"``.
        smoothing: positive; used by ``"smooth"``.

    Returns:
        Scalar tensor in the compute dtype (float32 for 16-bit inputs). Differentiable with
        respect to z and memory as often as wanted; the choice of neighbours is constant.

    Raises:
        ValueError: shapes do not fit, the batch is empty, a label of the batch is negative,
            no entry of the memory is filled, k is not available, or a setting is out of range.
        TypeError: labels or ids are no integers, features are no floats or of two dtypes.

    Memory:
        As :func:`topk_similarity`, and a few (N, k); never (N, M).

    Source:
        Feng et al., Rethinking Supervised Pre-training for Better Downstream Transferring,
        ICLR 2022 (arXiv 2110.06014). The rules for missing classes are this library's.
    """
    _check_settings(k, temperature, missing, force, smoothing)
    if z.dim() != 2 or len(z) == 0:
        raise ValueError(f"{_NAME}: z must be (N, D) with N >= 1, got shape {tuple(z.shape)}")
    labels = _integers("labels", labels, len(z))
    if int(labels.min()) < 0:
        raise ValueError(f"{_NAME}: labels must be at least 0, got {int(labels.min())}")
    bank, bank_labels, ids, bank_ids = _resolve_memory(
        z, labels, memory, memory_labels, ids, memory_ids
    )
    available = len(bank) - (0 if ids is None else 1)
    if k > available:
        raise ValueError(
            f"{_NAME}: k must be at most {available}, the entries that every sample can have, "
            f"got {k}"
        )
    values, indices = topk_similarity(z, bank, k, row_ids=ids, column_ids=bank_ids)
    same = (bank_labels[indices.clamp_min(0)] == labels[:, None]) & (indices >= 0)
    if missing == "force_positive":
        extra = _forced(z, bank, labels, bank_labels, (ids, bank_ids), same, force)
        values = torch.cat([values, extra], dim=1)
        same = torch.cat([same, extra.detach() > -torch.inf], dim=1)
    return _mean_loss(values / temperature, same, missing, smoothing)


def _mean_loss(logits: Tensor, same: Tensor, missing: str, smoothing: float) -> Tensor:
    """Mean over the samples of -log of the own class's share; logits of -inf count as absent."""
    has_class = same.any(1)
    lowest = torch.finfo(logits.dtype).min
    # Finite stand-ins for what is absent: -inf has no derivative. exp() of them is 0.
    present = logits > -torch.inf
    logits = torch.where(present, logits, lowest)
    everything = torch.logsumexp(logits, dim=1)
    own = torch.logsumexp(torch.where(same, logits, lowest), dim=1)
    if missing == "smooth":
        # A sample without neighbours of its class has p = 0 and no gradient.
        log_share = torch.where(has_class, own - everything, lowest)
        return -torch.logaddexp(log_share, log_share.new_tensor(math.log(smoothing))).mean()
    losses = torch.where(has_class, everything - own, 0)
    return losses.sum() / has_class.sum().clamp_min(1)
