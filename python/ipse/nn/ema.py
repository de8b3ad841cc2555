"""The teacher as a moving average of the student."""

import torch
from torch import Tensor, nn

__all__ = ["ema_update"]


@torch.no_grad()
def ema_update(
    teacher: nn.Module, student: nn.Module, momentum: float, *, copy_buffers: bool = False
) -> None:
    """``teacher = momentum teacher + (1 - momentum) student``, all parameters in one operation.

    Args:
        teacher: updated in place; the same architecture as the student.
        student: unchanged.
        momentum: share of the old teacher, from 0 (a copy of the student) to 1 (no change).
        copy_buffers: take over the student's buffers (running statistics) as they are.
            Off by default: a teacher in training mode keeps statistics of its own.

    Raises:
        ValueError: momentum is outside [0, 1], or the two have different parameters.
    """
    if not 0.0 <= momentum <= 1.0:
        raise ValueError(f"ema_update: momentum must be from 0 to 1, got {momentum}")
    pairs = _paired(dict(teacher.named_parameters()), dict(student.named_parameters()))
    if pairs:
        own, new = zip(*pairs, strict=True)
        torch._foreach_lerp_(list(own), list(new), 1.0 - momentum)
    if copy_buffers:
        pairs = _paired(dict(teacher.named_buffers()), dict(student.named_buffers()))
        for own_buffer, new_buffer in pairs:
            own_buffer.copy_(new_buffer)


def _paired(own: dict[str, Tensor], new: dict[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    if own.keys() != new.keys():
        apart = ", ".join(sorted(own.keys() ^ new.keys()))
        raise ValueError(f"ema_update: teacher and student must be alike, only one has {apart}")
    for name, value in own.items():
        if value.shape != new[name].shape:
            shapes = f"{tuple(value.shape)} and {tuple(new[name].shape)}"
            raise ValueError(f"ema_update: {name} must have one shape in both, got {shapes}")
    return [(value, new[name]) for name, value in own.items()]
