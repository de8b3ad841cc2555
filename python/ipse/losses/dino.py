"""DINO as a module: the loss and the centre of the teacher's outputs that belongs to it."""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ipse.functional import dino_loss

__all__ = ["DINOLoss"]


class DINOLoss(nn.Module):
    """The DINO loss with its centre; a drop-in for ``lightly.loss.DINOLoss``.

    Args:
        output_dim: K, the number of prototypes.
        warmup_teacher_temp: the teacher's temperature at epoch 0.
        teacher_temp: the teacher's temperature after the warm-up.
        warmup_teacher_temp_epochs: epochs from one to the other, linearly.
        student_temp: the student's temperature.
        center_momentum: share of the old centre in the new one.
        center_mode: ``"mean"``, the only one.

    Attributes:
        center: buffer (1, 1, K), updated after each loss by the mean of the teacher's
            outputs over views, samples and processes.

    Raises:
        ValueError: ``center_mode`` is unknown.

    Example:
        >>> import torch
        >>> from ipse.losses import DINOLoss
        >>> criterion = DINOLoss(output_dim=4096)
        >>> teacher = [torch.randn(64, 4096) for _ in range(2)]
        >>> student = [torch.randn(64, 4096, requires_grad=True) for _ in range(8)]
        >>> criterion(teacher, student, epoch=0).backward()
    """

    center: Tensor

    def __init__(
        self,
        output_dim: int = 65536,
        warmup_teacher_temp: float = 0.04,
        teacher_temp: float = 0.04,
        warmup_teacher_temp_epochs: int = 30,
        student_temp: float = 0.1,
        center_momentum: float = 0.9,
        center_mode: str = "mean",
    ) -> None:
        super().__init__()
        if center_mode != "mean":
            raise ValueError(f"DINOLoss: center_mode must be 'mean', got {center_mode!r}")
        self.teacher_temp = teacher_temp
        self.student_temp = student_temp
        self.center_momentum = center_momentum
        self.warmup_teacher_temp_epochs = warmup_teacher_temp_epochs
        self.teacher_temp_schedule = torch.linspace(
            warmup_teacher_temp, teacher_temp, warmup_teacher_temp_epochs
        )
        self._warmup_teacher_temp = warmup_teacher_temp
        self.register_buffer("center", torch.zeros(1, 1, output_dim))

    def forward(
        self,
        teacher_out: Sequence[Tensor],
        student_out: Sequence[Tensor],
        teacher_temp: float | None = None,
        epoch: int | None = None,
    ) -> Tensor:
        """The scalar loss; updates the centre. See :func:`ipse.functional.dino_loss`.

        Args:
            teacher_out: (N, K) outputs of the teacher for each global view.
            student_out: (N, K) outputs of the student for each view, the teacher's first.
            teacher_temp: the teacher's temperature; None: that of the epoch.
            epoch: chooses the temperature during the warm-up; None: after the warm-up.

        Raises:
            ValueError: there is no pair of different views.
        """
        loss = dino_loss(
            teacher_out,
            student_out,
            # A copy: backward needs this centre, and the update is in place.
            self.center.clone(),
            teacher_temperature=self._temperature(teacher_temp, epoch),
            student_temperature=self.student_temp,
        )
        self.update_center(teacher_out)
        return loss

    def _temperature(self, teacher_temp: float | None, epoch: int | None) -> float:
        if teacher_temp is not None:
            return float(teacher_temp)
        if epoch is None or epoch >= self.warmup_teacher_temp_epochs:
            return self.teacher_temp
        part = epoch / max(1, self.warmup_teacher_temp_epochs - 1)
        return self._warmup_teacher_temp + part * (self.teacher_temp - self._warmup_teacher_temp)

    @torch.no_grad()
    def update_center(self, teacher_out: Tensor | Sequence[Tensor]) -> None:
        """Moves the centre towards the mean of the teacher's outputs.

        Args:
            teacher_out: (V, N, K), or V views (N, K). All processes have as many samples.
        """
        means = [view.mean(0, dtype=self.center.dtype) for view in teacher_out]
        batch_center = torch.stack(means).mean(0)
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(batch_center)
            batch_center = batch_center / dist.get_world_size()
        # In place, so that DistributedDataParallel and optimised graphs keep their buffer.
        self.center.lerp_(batch_center.view_as(self.center), 1 - self.center_momentum)

    def extra_repr(self) -> str:
        return (
            f"output_dim={self.center.shape[-1]}, teacher_temp={self.teacher_temp}, "
            f"student_temp={self.student_temp}, center_momentum={self.center_momentum}"
        )
