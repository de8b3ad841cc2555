"""InfoNCE as a module."""

from torch import Tensor, nn

from ipse.functional import info_nce_loss
from ipse.losses._gather import gather_rows, require_distributed
from ipse.losses._temperature import check_temperature

__all__ = ["InfoNCELoss"]


class InfoNCELoss(nn.Module):
    """Each query should recognise its key among negatives; one-way cross entropy.

    Args:
        temperature: divides the cosine similarities. A tensor or ``nn.Parameter`` receives
            a gradient.
        gather_distributed: the loss of the batch of all processes together. The keys of all
            ranks are then negatives; negatives that are passed in are each rank's own.

    Raises:
        ValueError: ``temperature`` within 1e-8 of zero, or ``gather_distributed`` without
            torch.distributed.
    """

    def __init__(self, temperature: float | Tensor = 0.1, gather_distributed: bool = False) -> None:
        super().__init__()
        require_distributed("InfoNCELoss", gather_distributed)
        self.temperature = check_temperature("InfoNCELoss", temperature)
        self.gather_distributed = gather_distributed

    def forward(self, query: Tensor, key: Tensor, negatives: Tensor | None = None) -> Tensor:
        """The scalar loss of (N, D) queries and keys.

        ``negatives``: None for the other keys of the batch, (K, D) for all queries, or
        (N, K, D) for each query its own; see :func:`ipse.functional.info_nce_loss`.
        """
        if self.gather_distributed and negatives is None:
            query, key = gather_rows(query), gather_rows(key)
        return info_nce_loss(query, key, negatives, self.temperature)

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}, gather_distributed={self.gather_distributed}"
