"""Prototypes of SwAV: directions on the unit sphere that features are compared with."""

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Prototypes"]


class Prototypes(nn.Module):
    """Cosine similarities of features and learnt prototypes: a linear layer without bias.

    Args:
        features: D, the width of the features.
        prototypes: K, the number of prototypes.
        frozen_iterations: the prototypes learn only after this many training steps. Steps,
            not epochs: scale it with the size of the data set.
        normalize_input: bring the features to unit length first.

    Attributes:
        weight: the prototypes (K, D). Call :meth:`normalize` after each optimiser step, and
            :meth:`freeze` between backward and it.

    Raises:
        ValueError: a size below 1 or a negative ``frozen_iterations``.

    Example:
        >>> import torch
        >>> from ipse.nn import Prototypes
        >>> prototypes = Prototypes(128, 300, frozen_iterations=313)
        >>> optimizer = torch.optim.SGD(prototypes.parameters(), lr=0.1)
        >>> for step in range(2):
        ...     optimizer.zero_grad()
        ...     prototypes(torch.randn(8, 128)).square().sum().backward()
        ...     prototypes.freeze(step)
        ...     optimizer.step()
        ...     prototypes.normalize()
    """

    def __init__(
        self,
        features: int,
        prototypes: int,
        *,
        frozen_iterations: int = 0,
        normalize_input: bool = True,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("features", features, 1),
            ("prototypes", prototypes, 1),
            ("frozen_iterations", frozen_iterations, 0),
        ):
            if value < least:
                raise ValueError(f"Prototypes: {name} must be at least {least}, got {value}")
        self.frozen_iterations = frozen_iterations
        self.normalize_input = normalize_input
        self.weight = nn.Parameter(torch.randn(prototypes, features))
        self.normalize()

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, K) of the features ``x`` (N, D)."""
        if self.normalize_input:
            x = functional.normalize(x, dim=-1)
        return functional.linear(x, self.weight)

    @torch.no_grad()
    def normalize(self) -> None:
        """Brings every prototype back to unit length, in place."""
        self.weight.copy_(functional.normalize(self.weight, dim=1))

    def freeze(self, iteration: int) -> bool:
        """Drops the prototypes' gradient during the first ``frozen_iterations`` steps.

        Without a gradient an optimiser leaves the weight alone, its decay and momentum
        included. Returns whether it was dropped.
        """
        frozen = iteration < self.frozen_iterations
        if frozen:
            self.weight.grad = None
        return frozen

    def extra_repr(self) -> str:
        prototypes, features = self.weight.shape
        return (
            f"features={features}, prototypes={prototypes}, "
            f"frozen_iterations={self.frozen_iterations}"
        )
