"""MoCo's queue of past keys, as a module with its state in buffers."""

import weakref
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ipse.losses._gather import gather_rows, require_distributed

__all__ = ["MemoryQueue"]


class MemoryQueue(nn.Module):
    """A first-in first-out store of the last ``size`` keys.

    It takes batches of any length, passes its end at any row, and of a batch longer than
    itself keeps the last rows. It starts with random unit rows, the same on every rank.

    A step costs no copy of the queue: keys are written in place, and only once nobody
    needs the rows they replace. ``lend`` gives out the rows for a loss; until that loss's
    backward pass is over, ``enqueue`` merely keeps the new keys. Where a second loss needs
    them earlier (MoCo v3's symmetric loss on one queue), that one call copies the queue.
    Reading ``features`` directly in a loss and enqueueing before its backward pass is
    noticed by autograd, which raises a RuntimeError.

    Args:
        size: number of rows K.
        dim: features D of a row.
        labels: keep an int64 label beside each row (-1: none yet).
        ids: keep an int64 sample id beside each row (-1: none yet).
        gather_distributed: enqueue the keys of all ranks, in rank order, so that all ranks
            hold the same queue. Batches may differ in length between ranks.
        seed: of the random rows it starts with.

    Attributes:
        features: (K, D) float32 buffer.
        position: int64 buffer, the row that the next key replaces.
        count: int64 buffer, how many keys are real: rows ``features[:count]``.
        row_labels, row_ids: (K,) int64 buffers, if asked for.

    Raises:
        ValueError: ``size`` or ``dim`` below 1, or ``gather_distributed`` without
            torch.distributed.

    Source:
        He et al., MoCo, CVPR 2020 (arXiv 1911.05722), section 3.2.
    """

    features: Tensor
    position: Tensor
    count: Tensor
    row_labels: Tensor | None
    row_ids: Tensor | None

    def __init__(
        self,
        size: int,
        dim: int,
        *,
        labels: bool = False,
        ids: bool = False,
        gather_distributed: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for argument, value in (("size", size), ("dim", dim)):
            if value < 1:
                raise ValueError(f"MemoryQueue: {argument} must be at least 1, got {value}")
        require_distributed("MemoryQueue", gather_distributed)
        self.size = size
        self.dim = dim
        self.gather_distributed = gather_distributed
        start = torch.randn(size, dim, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("features", normalize(start, dim=1))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("row_labels", torch.full((size,), -1) if labels else None)
        self.register_buffer("row_ids", torch.full((size,), -1) if ids else None)
        self._waiting: list[_Batch] = []
        self._loans: list[weakref.ref[Any]] = []

    def forward(
        self, keys: Tensor, labels: Tensor | None = None, ids: Tensor | None = None
    ) -> Tensor:
        """The (K, D) rows as they are, and then the (N, D) ``keys`` enter; without a gradient."""
        rows = self.lend(keys.detach())[1].clone()
        self.enqueue(keys, labels, ids)
        return rows

    @torch.compiler.disable  # loans are weak references, which a graph cannot hold
    def lend(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """The rows for a loss of ``query``, safe from later calls of ``enqueue``.

        Args:
            query: whatever the loss differentiates.

        Returns:
            ``query`` to use in the loss instead of the argument (its backward pass ends the
            loan), and the (K, D) rows.
        """
        self.flush()
        if torch.is_grad_enabled() and query.requires_grad:
            loan = _Loan()
            query = _EndLoan.apply(query, loan, weakref.ref(self))
            self._loans.append(weakref.ref(loan))
        return query, self.features.detach()

    def filled(self) -> Tensor:
        """The (count, D) rows that hold real keys, for reading outside a graph."""
        self.flush()
        return self.features[: int(self.count)]

    @torch.compiler.disable
    @torch.no_grad()
    def enqueue(
        self, keys: Tensor, labels: Tensor | None = None, ids: Tensor | None = None
    ) -> None:
        """The (N, D) ``keys`` replace the oldest rows, as soon as no loss needs those.

        Args:
            keys: (N, D), detached and cast to the queue's dtype; N may be anything.
            labels, ids: (N,) integers, exactly if the queue was made with them.

        Raises:
            ValueError: wrong shapes, or labels or ids missing or not expected.
        """
        self._check(keys, labels, ids)
        parts = [None if part is None else part.detach() for part in (keys, labels, ids)]
        if self.gather_distributed:
            parts = [None if part is None else gather_rows(part) for part in parts]
        self._waiting.append(_Batch.of(parts, self.size))
        if not self._on_loan():
            self.flush()

    @torch.no_grad()
    def flush(self) -> None:
        """Writes the keys that wait; copies the queue first if a loss still needs it."""
        if self._waiting and self._on_loan():
            self.features = self.features.clone()
            self._loans.clear()
        for batch in self._waiting:
            self._write(batch)
        self._waiting.clear()

    def _on_loan(self) -> bool:
        self._loans = [loan for loan in self._loans if loan() is not None]
        return bool(self._loans)

    def _write(self, batch: "_Batch") -> None:
        kept = len(batch.keys)
        first = self.position + (batch.rows - kept)
        rows = (first + torch.arange(kept, device=self.position.device)) % self.size
        pairs = (
            (self.features, batch.keys),
            (self.row_labels, batch.labels),
            (self.row_ids, batch.ids),
        )
        for buffer, new in pairs:
            if buffer is not None and new is not None:
                buffer.index_copy_(0, rows, new.to(buffer))
        self.position.add_(batch.rows).remainder_(self.size)
        self.count.add_(batch.rows).clamp_(max=self.size)

    def _check(self, keys: Tensor, labels: Tensor | None, ids: Tensor | None) -> None:
        if keys.dim() != 2 or keys.shape[1] != self.dim:
            raise ValueError(
                f"MemoryQueue: keys must be (N, {self.dim}), got shape {tuple(keys.shape)}"
            )
        for name, given, buffer in (
            ("labels", labels, self.row_labels),
            ("ids", ids, self.row_ids),
        ):
            if given is None and buffer is not None:
                raise ValueError(f"MemoryQueue: {name} must be given: this queue keeps them")
            if given is not None and buffer is None:
                raise ValueError(
                    f"MemoryQueue: {name} must be None, or make the queue with {name}=True"
                )
            if given is not None and given.shape != keys.shape[:1]:
                raise ValueError(
                    f"MemoryQueue: {name} must be ({len(keys)},), got shape {tuple(given.shape)}"
                )

    def _save_to_state_dict(self, *arguments: Any) -> None:
        self.flush()
        super()._save_to_state_dict(*arguments)

    def _load_from_state_dict(self, *arguments: Any) -> None:
        self._waiting.clear()
        super()._load_from_state_dict(*arguments)

    def __getstate__(self) -> dict[str, Any]:
        # A copy has no borrowers; weak references cannot be copied.
        self.flush()
        return self.__dict__ | {"_loans": []}

    def extra_repr(self) -> str:
        return (
            f"size={self.size}, dim={self.dim}, labels={self.row_labels is not None}, "
            f"ids={self.row_ids is not None}, gather_distributed={self.gather_distributed}"
        )


class _Batch(NamedTuple):
    """Keys that wait to be written: copies, because the caller may go on writing to its own."""

    rows: int  # that came; of more than the queue's size only the last are kept
    keys: Tensor
    labels: Tensor | None
    ids: Tensor | None

    @classmethod
    def of(cls, parts: list[Tensor | None], size: int) -> "_Batch":
        keys, labels, ids = (None if part is None else part[-size:].clone() for part in parts)
        assert parts[0] is not None
        assert keys is not None
        return cls(len(parts[0]), keys, labels, ids)


class _Loan:
    """Lives as long as a backward pass through the lent rows is still to come."""


class _EndLoan(torch.autograd.Function):
    """The identity on a loss's query: its backward runs after that of the loss."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, loan: "_Loan", queue: "weakref.ref[MemoryQueue]"
    ) -> Tensor:
        ctx.loan, ctx.queue = loan, queue
        return query.view_as(query)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        ctx.loan = None
        queue = ctx.queue()
        if queue is not None and not queue._on_loan():
            queue.flush()
        return grad, None, None
