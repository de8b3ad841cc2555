"""NT-Xent (SimCLR), with MoCo's queue when asked for, as a module."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ipse.functional import info_nce_loss, ntxent_loss
from ipse.losses._batch_sums import batch_mean, batch_sums, is_split
from ipse.losses._gather import Gather, check_gather
from ipse.losses._temperature import check_temperature, per_anchor
from ipse.losses.memory_queue import MemoryQueue

__all__ = ["NTXentLoss"]


class NTXentLoss(nn.Module):
    """The normalised temperature-scaled cross entropy; a drop-in for ``lightly.loss.NTXentLoss``.

    Every view of every sample is an anchor; it should recognise the other view of its sample
    among all other rows of the batch. With a memory bank (MoCo) only the rows of ``out0`` are
    anchors, and the negatives are the bank's rows instead of the batch's.

    Args:
        temperature: divides the similarities. May be negative; a tensor or
            ``nn.Parameter`` receives a gradient.
        memory_bank_size: K or (K, D) for a bank of K rows, 0 for none. With a bare K the
            bank is made at the first call, when D is known. After the loss the rows of
            ``out1`` enter the bank, if ``out0`` requires a gradient. (Unlike lightly's, a
            batch that passes the end of the bank goes on at its start.)
        gather_distributed: the loss of the batch of all processes together: W ranks with N
            rows each give the value and, after DistributedDataParallel's average, the
            gradient of one process with W N rows; each rank computes its own anchors, and
            the bank takes the rows of all ranks. ``"ring"`` sends the columns from rank to
            rank instead of gathering them: memory no longer grows with W (differentiable
            once).

    Raises:
        ValueError: ``temperature`` within 1e-8 of zero, an impossible ``memory_bank_size``,
            or ``gather_distributed`` without torch.distributed.

    Example:
        >>> import torch
        >>> from ipse.losses import NTXentLoss
        >>> z1, z2 = torch.randn(2, 256, 128, requires_grad=True)
        >>> NTXentLoss(temperature=0.1)(z1, z2).backward()
    """

    memory_bank: MemoryQueue | None

    def __init__(
        self,
        temperature: float | Tensor = 0.5,
        memory_bank_size: int | Sequence[int] = 0,
        gather_distributed: Gather = False,
    ) -> None:
        super().__init__()
        self.temperature = check_temperature("NTXentLoss", temperature)
        self.gather_distributed = check_gather("NTXentLoss", gather_distributed)
        size = (memory_bank_size,) if isinstance(memory_bank_size, int) else (*memory_bank_size,)
        if (
            len(size) not in (1, 2)
            or min(size) < 0
            or (len(size) == 2 and min(size) == 0 < size[0])
        ):
            raise ValueError(
                f"NTXentLoss: memory_bank_size must be 0, K or (K, D), got {memory_bank_size}"
            )
        self.memory_bank_size = size[0]
        self.memory_bank = None
        if size[0] and len(size) == 2:
            self.memory_bank = MemoryQueue(*size, gather_distributed=bool(gather_distributed))

    def forward(self, out0: Tensor, out1: Tensor, *more: Tensor) -> Tensor:
        """The scalar loss of two or more (N, D) views; see :func:`ipse.functional.ntxent_loss`."""
        if self.memory_bank_size:
            if more:
                raise ValueError(
                    f"NTXentLoss: with a memory bank forward takes two views, got {2 + len(more)}"
                )
            return self._against_the_bank(out0, out1)
        views = [out0, out1, *more]
        if is_split(self.gather_distributed):
            return self._split_over_ranks(views)
        return ntxent_loss(out0, out1, self.temperature, extra_views=more)

    def _split_over_ranks(self, views: list[Tensor]) -> Tensor:
        samples = views[0].shape[0]
        temperature = per_anchor(self.temperature, samples, len(views))
        sums = batch_sums(
            torch.cat(views),
            None,
            temperature,
            exclude="self",
            samples=samples,
            gather=self.gather_distributed,
        )
        positives = sums.total / temperature / (len(views) - 1)
        return batch_mean(sums.logsumexp - positives, self.gather_distributed)

    def _against_the_bank(self, out0: Tensor, out1: Tensor) -> Tensor:
        if self.memory_bank is None:
            self.memory_bank = self._make_bank(out0.shape[1]).to(out0.device)
        anchors, negatives = self.memory_bank.lend(out0)
        dtype = torch.promote_types(out0.dtype, negatives.dtype)
        loss = info_nce_loss(
            anchors.to(dtype), out1.to(dtype), negatives.to(dtype), self.temperature
        )
        if out0.requires_grad:
            self.memory_bank.enqueue(normalize(out1.detach().float(), dim=1))
        samples = out0.shape[0]
        return batch_mean(loss * samples, self.gather_distributed, samples)

    def _make_bank(self, dim: int) -> MemoryQueue:
        return MemoryQueue(
            self.memory_bank_size, dim, gather_distributed=bool(self.gather_distributed)
        )

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        # A bank that waits for its first batch takes its width from the checkpoint.
        saved = state.get(f"{prefix}memory_bank.features")
        if self.memory_bank is None and self.memory_bank_size and saved is not None:
            self.memory_bank = self._make_bank(saved.shape[1])
        super()._load_from_state_dict(state, prefix, *rest)

    def extra_repr(self) -> str:
        return (
            f"temperature={self.temperature}, memory_bank_size={self.memory_bank_size}, "
            f"gather_distributed={self.gather_distributed}"
        )
