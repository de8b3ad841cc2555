"""Negative cosine similarity (SimSiam, BYOL) as a module."""

from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

__all__ = ["NegativeCosineSimilarity"]


class NegativeCosineSimilarity(nn.Module):
    """Minus the mean cosine similarity; a drop-in for lightly's class of that name.

    It needs no kernel: one pass over the inputs, so it is torch's own function. Averaging
    gradients over processes with equal batches is already the gradient of the whole batch.

    Args:
        dim: dimension along which the vectors lie.
        eps: lower bound of the product of the lengths.

    Source:
        Chen and He, SimSiam, CVPR 2021 (arXiv 2011.10566), equation 1.
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x0: Tensor, x1: Tensor) -> Tensor:
        """The scalar loss of two (N, D) tensors, or any two that broadcast."""
        return -cosine_similarity(x0, x1, self.dim, self.eps).mean()

    def extra_repr(self) -> str:
        return f"dim={self.dim}, eps={self.eps}"
