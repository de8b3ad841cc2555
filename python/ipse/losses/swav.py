"""SwAV as a module."""

import warnings
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ipse.functional import swav_loss
from ipse.losses._gather import require_distributed

__all__ = ["SwaVLoss"]


class SwaVLoss(nn.Module):
    """The SwAV loss; a drop-in for ``lightly.loss.SwaVLoss``.

    The codes are computed with logarithms, so scores that overflow lightly's exponential
    (float32: beyond 4.4 at the default epsilon) give the codes they should.

    Args:
        temperature: of the predictions.
        sinkhorn_iterations: rounds of normalisation of the codes, at least 1.
        sinkhorn_epsilon: temperature of the codes.
        sinkhorn_gather_distributed: normalise the codes over the batches of all processes.

    Raises:
        ValueError: ``sinkhorn_gather_distributed`` without torch.distributed.

    Warns:
        Once, where fewer samples than prototypes share the codes and there is no queue:
        equal use of the prototypes then means little, and training is unstable.
    """

    def __init__(
        self,
        temperature: float = 0.1,
        sinkhorn_iterations: int = 3,
        sinkhorn_epsilon: float = 0.05,
        sinkhorn_gather_distributed: bool = False,
    ) -> None:
        super().__init__()
        require_distributed("SwaVLoss", sinkhorn_gather_distributed)
        self.temperature = temperature
        self.sinkhorn_iterations = sinkhorn_iterations
        self.sinkhorn_epsilon = sinkhorn_epsilon
        self.sinkhorn_gather_distributed = sinkhorn_gather_distributed
        self._has_warned = False

    def forward(
        self,
        high_resolution_outputs: Sequence[Tensor],
        low_resolution_outputs: Sequence[Tensor],
        queue_outputs: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """The loss, of shape (1,) as lightly's; see :func:`ipse.functional.swav_loss`.

        Args:
            high_resolution_outputs: (N, K) scores of each high-resolution crop.
            low_resolution_outputs: (N, K) scores of each other crop.
            queue_outputs: (M, K) scores of stored features for each high-resolution crop.
        """
        if queue_outputs is None and high_resolution_outputs:
            self._warn_of_small_batch(high_resolution_outputs[0])
        loss = swav_loss(
            high_resolution_outputs,
            low_resolution_outputs,
            queue_outputs,
            temperature=self.temperature,
            epsilon=self.sinkhorn_epsilon,
            iterations=self.sinkhorn_iterations,
            gather_distributed=self.sinkhorn_gather_distributed,
        )
        return loss.reshape(1)

    def _warn_of_small_batch(self, scores: Tensor) -> None:
        if self._has_warned or torch.compiler.is_compiling() or scores.dim() != 2:
            return
        samples, prototypes = scores.shape
        if self.sinkhorn_gather_distributed and dist.is_initialized():
            samples *= dist.get_world_size()
        if samples < prototypes:
            self._has_warned = True
            warnings.warn(
                f"SwaVLoss: {samples} samples share {prototypes} prototypes; the codes are "
                "unstable where there are fewer samples than prototypes. Pass queue_outputs, "
                "use fewer prototypes or a larger batch.",
                stacklevel=5,  # the caller of the module
            )

    def extra_repr(self) -> str:
        return (
            f"temperature={self.temperature}, sinkhorn_iterations={self.sinkhorn_iterations}, "
            f"sinkhorn_epsilon={self.sinkhorn_epsilon}, "
            f"sinkhorn_gather_distributed={self.sinkhorn_gather_distributed}"
        )
