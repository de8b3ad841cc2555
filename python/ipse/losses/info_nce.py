"""InfoNCE as a module."""

from torch import Tensor, nn

from ipse.functional import info_nce_loss
from ipse.losses._batch_sums import batch_mean, batch_sums, is_split
from ipse.losses._gather import Gather, check_gather
from ipse.losses._temperature import check_temperature

__all__ = ["InfoNCELoss"]


class InfoNCELoss(nn.Module):
    """Each query should recognise its key among negatives; one-way cross entropy.

    Args:
        temperature: divides the cosine similarities. A tensor or ``nn.Parameter`` receives
            a gradient.
        gather_distributed: the loss of the batch of all processes together, as in
            :class:`NTXentLoss`, ``"ring"`` included: the keys of all ranks are negatives.
            Negatives that are passed in stay with the queries of their rank: a queue is the
            same on all ranks, and a query's own negatives are nobody else's.

    Raises:
        ValueError: ``temperature`` within 1e-8 of zero, or ``gather_distributed`` without
            torch.distributed.
    """

    def __init__(
        self, temperature: float | Tensor = 0.1, gather_distributed: Gather = False
    ) -> None:
        super().__init__()
        self.temperature = check_temperature("InfoNCELoss", temperature)
        self.gather_distributed = check_gather("InfoNCELoss", gather_distributed)

    def forward(self, query: Tensor, key: Tensor, negatives: Tensor | None = None) -> Tensor:
        """The scalar loss of (N, D) queries and keys.

        ``negatives``: None for the other keys of the batch, (K, D) for all queries, or
        (N, K, D) for each query its own; see :func:`ipse.functional.info_nce_loss`.
        """
        samples, gather = query.shape[0], self.gather_distributed
        if not is_split(gather) or negatives is not None:
            loss = info_nce_loss(query, key, negatives, self.temperature)
            return batch_mean(loss * samples, gather, samples) if is_split(gather) else loss
        sums = batch_sums(
            query, key, self.temperature, exclude="none", samples=samples, gather=gather
        )
        return batch_mean(sums.logsumexp - sums.total / self.temperature, gather)

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}, gather_distributed={self.gather_distributed}"
