"""The last layer of a DINO head: a linear layer whose rows have a learnt or fixed length."""

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["WeightNormLinear"]


class WeightNormLinear(nn.Module):
    """A linear layer without bias whose weight is ``g v / |v|``, row by row.

    With unit-length inputs and ``g`` fixed to one, outputs are cosine similarities, as in
    the DINO head.

    Args:
        features: D, the width of the input.
        outputs: K, the number of rows.
        learn_length: whether ``g`` is learnt; fixed to one otherwise (DINO's
            ``norm_last_layer``: steadier training).
        normalize_input: bring the input to unit length first.

    Attributes:
        direction: ``v`` (K, D). length: ``g`` (K, 1).

    Raises:
        ValueError: a size below 1.
    """

    def __init__(
        self,
        features: int,
        outputs: int,
        *,
        learn_length: bool = False,
        normalize_input: bool = True,
    ) -> None:
        super().__init__()
        for name, value in (("features", features), ("outputs", outputs)):
            if value < 1:
                raise ValueError(f"WeightNormLinear: {name} must be at least 1, got {value}")
        self.normalize_input = normalize_input
        self.direction = nn.Parameter(torch.randn(outputs, features) * features**-0.5)
        self.length = nn.Parameter(torch.ones(outputs, 1), requires_grad=learn_length)

    @property
    def weight(self) -> Tensor:
        """``g v / |v|``, (K, D)."""
        return self.length * functional.normalize(self.direction, dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (N, K) of ``x`` (N, D)."""
        if self.normalize_input:
            x = functional.normalize(x, dim=-1)
        return functional.linear(x, self.weight)

    def extra_repr(self) -> str:
        outputs, features = self.direction.shape
        return (
            f"features={features}, outputs={outputs}, "
            f"learn_length={self.length.requires_grad}, normalize_input={self.normalize_input}"
        )
