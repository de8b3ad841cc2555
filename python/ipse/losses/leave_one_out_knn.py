"""LOOK as a module, with a queue of labelled features."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ipse.functional import leave_one_out_knn_loss
from ipse.functional.leave_one_out_knn import MISSING

__all__ = ["LeaveOneOutKNNLoss"]


class LeaveOneOutKNNLoss(nn.Module):
    """The leave-one-out nearest-neighbour loss of LOOK, over the batch and a queue.

    The queue holds features, labels and ids as buffers, so it is saved and moved with the
    module. In training mode it takes the batch in after the loss was computed, the oldest
    entries leaving first.

    Args:
        k: number of neighbours; while fewer entries are there, all of them.
        temperature: positive.
        memory_size: entries of the queue; 0: the batch alone.
        feature_size: D, needed with a queue.
        missing: ``"force_positive"``, ``"skip"`` or ``"smooth"``: what if no neighbour has the
            sample's class; see :func:`ipse.functional.leave_one_out_knn_loss`.
        force: how many entries of the own class are always neighbours, for
            ``"force_positive"``.
        smoothing: added to the probability, for ``"smooth"``.

    Raises:
        ValueError: a setting is out of range.
    """

    features: Tensor
    labels: Tensor
    ids: Tensor
    position: Tensor

    def __init__(
        self,
        k: int = 20,
        temperature: float = 0.1,
        memory_size: int = 0,
        feature_size: int | None = None,
        missing: str = "force_positive",
        force: int = 1,
        smoothing: float = 1e-3,
    ) -> None:
        super().__init__()
        if k < 1:
            raise ValueError(f"LeaveOneOutKNNLoss: k must be at least 1, got {k}")
        if missing not in MISSING:
            allowed = ", ".join(MISSING)
            raise ValueError(
                f"LeaveOneOutKNNLoss: missing must be one of {allowed}, got {missing!r}"
            )
        if memory_size < 0 or (memory_size > 0 and (feature_size is None or feature_size < 1)):
            raise ValueError(
                "LeaveOneOutKNNLoss: memory_size must be 0, or positive with a feature_size of "
                f"at least 1, got {memory_size} and {feature_size}"
            )
        self.k = k
        self.temperature = temperature
        self.memory_size = memory_size
        self.missing = missing
        self.force = force
        self.smoothing = smoothing
        self.register_buffer("features", torch.zeros(memory_size, feature_size or 0))
        self.register_buffer("labels", torch.full((memory_size,), -1))
        self.register_buffer("ids", torch.full((memory_size,), -1))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))

    def forward(
        self,
        z: Tensor,
        labels: Tensor,
        ids: Tensor | None = None,
        keys: Tensor | None = None,
    ) -> Tensor:
        """The scalar loss of (N, D) features.

        Args:
            z: (N, D) features.
            labels: (N,) integers, at least 0.
            ids: (N,) integers that tell samples apart over the whole data set; needed with a
                queue, where the sample's own older feature would be its nearest neighbour.
            keys: (N, D) features of the same samples from a momentum encoder; they take the
                place of z among the neighbours and in the queue, without gradient.

        Returns:
            Scalar tensor; the gradient reaches z, not the queue.

        Raises:
            ValueError: shapes do not fit, or ids are missing where there is a queue.
        """
        if self.memory_size > 0 and ids is None:
            raise ValueError("LeaveOneOutKNNLoss: ids must be given where there is a queue")
        batch = z if keys is None else keys.detach().to(z.dtype)
        bank, bank_labels, bank_ids = batch, labels, ids
        if self.memory_size > 0:
            filled = self.labels >= 0
            bank = torch.cat([batch, self.features[filled].to(z.dtype)])
            bank_labels = torch.cat([labels, self.labels[filled]])
            bank_ids = torch.cat([ids, self.ids[filled]]) if ids is not None else None
        if bank_ids is None:
            bank_ids = ids = torch.arange(len(z), device=z.device)
        loss = leave_one_out_knn_loss(
            z,
            labels,
            bank,
            bank_labels,
            k=max(1, min(self.k, len(bank) - 1)),
            temperature=self.temperature,
            ids=ids,
            memory_ids=bank_ids,
            missing=self.missing,
            force=self.force,
            smoothing=self.smoothing,
        )
        if self.training and self.memory_size > 0 and ids is not None:
            self.enqueue(batch, labels, ids)
        return loss

    @torch.no_grad()
    def enqueue(self, features: Tensor, labels: Tensor, ids: Tensor) -> None:
        """Takes (N, D) features into the queue, of more than it holds the last ones."""
        features, labels, ids = (t[-self.memory_size :] for t in (features, labels, ids))
        places = torch.arange(len(features), device=self.features.device)
        places = (places + self.position) % self.memory_size
        self.features[places] = F.normalize(features.float(), dim=1).to(self.features)
        self.labels[places] = labels.to(self.labels)
        self.ids[places] = ids.to(self.ids)
        self.position.copy_((self.position + len(features)) % self.memory_size)

    def extra_repr(self) -> str:
        return (
            f"k={self.k}, temperature={self.temperature}, memory_size={self.memory_size}, "
            f"missing={self.missing!r}, force={self.force}, smoothing={self.smoothing}"
        )
