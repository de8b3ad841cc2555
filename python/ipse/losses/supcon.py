"""Supervised contrastive loss as a module."""

import torch
from torch import Tensor, nn

from ipse.functional import similarity_logsumexp, supcon_loss
from ipse.losses._batch_sums import batch_mean, batch_sums, is_split, other_ranks
from ipse.losses._gather import Gather, check_gather
from ipse.losses._ring import BlockSums
from ipse.losses._temperature import check_temperature

__all__ = ["SupConLoss"]


class SupConLoss(nn.Module):
    """The supervised contrastive loss; a drop-in for SupContrast's ``SupConLoss``.

    Every row should resemble all rows of its class; features are **not** normalised here.
    Without labels and mask it is SimCLR's loss.

    Args:
        temperature: divides the similarities.
        contrast_mode: ``"all"``: every view is an anchor; ``"one"``: only the first is.
        base_temperature: the loss is multiplied by ``temperature / base_temperature``.
        reduction: ``"mean"``: over all anchors, those without a positive counting as zero
            (SupContrast); ``"positives"``: over the anchors that have one
            (pytorch-metric-learning).
        gather_distributed: the loss of the batch of all processes together, as in
            :class:`NTXentLoss`, ``"ring"`` included; with labels or without, but not with
            a mask.

    Raises:
        ValueError: ``temperature`` within 1e-8 of zero, or ``gather_distributed`` without
            torch.distributed.

    Source:
        Khosla et al., Supervised Contrastive Learning, NeurIPS 2020 (arXiv 2004.11362),
        equation 2 (L_out).
    """

    def __init__(
        self,
        temperature: float = 0.07,
        contrast_mode: str = "all",
        base_temperature: float = 0.07,
        reduction: str = "mean",
        gather_distributed: Gather = False,
    ) -> None:
        super().__init__()
        check_temperature("SupConLoss", temperature)
        self.temperature = temperature
        self.contrast_mode = contrast_mode
        self.base_temperature = base_temperature
        self.reduction = reduction
        self.gather_distributed = check_gather("SupConLoss", gather_distributed)

    def forward(
        self, features: Tensor, labels: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """The scalar loss of (N, V, D) features, V views of each of N samples.

        ``labels``: (N,), or ``mask``: (N, N), nonzero where column's sample is a positive
        of the row's; not both. See :func:`ipse.functional.supcon_loss`.
        """
        if not is_split(self.gather_distributed):
            return supcon_loss(
                features,
                labels,
                mask,
                self.temperature,
                base_temperature=self.base_temperature,
                contrast_mode=self.contrast_mode,
                reduction=self.reduction,
            )
        if mask is not None:
            raise ValueError("SupConLoss: mask must be None with gather_distributed")
        return self._split_over_ranks(features, labels)

    def _split_over_ranks(self, features: Tensor, labels: Tensor | None) -> Tensor:
        samples, views = features.shape[:2]
        columns = features.flatten(2).transpose(0, 1).flatten(0, 1)  # view by view
        rows = columns if self.contrast_mode == "all" else columns[:samples]
        if labels is None:
            sums, count = self._own_views(rows, columns, samples)
        else:
            sums, count = self._own_class(rows, columns, labels.repeat(views))
        some = count > 0
        mean_positive = sums.total / count.clamp(min=1)
        terms = torch.where(some, sums.logsumexp - mean_positive / self.temperature, 0.0)
        number = some.sum() if self.reduction == "positives" else len(rows)
        factor = self.temperature / self.base_temperature
        return factor * batch_mean(terms, self.gather_distributed, number)

    def _own_views(self, rows: Tensor, columns: Tensor, samples: int) -> tuple[BlockSums, Tensor]:
        """Without labels a row's positives are its sample's other views, all on this rank."""
        sums = batch_sums(
            rows,
            None if rows is columns else columns,
            self.temperature,
            normalize=False,
            exclude="self",
            samples=samples,
            gather=self.gather_distributed,
        )
        return sums, torch.full_like(sums.total, len(columns) // samples - 1)

    def _own_class(self, rows: Tensor, columns: Tensor, labels: Tensor) -> tuple[BlockSums, Tensor]:
        """With labels they may be anywhere: ``total`` holds their similarities' sum and count."""

        def block(r: Tensor, r_labels: Tensor, c: Tensor, c_labels: Tensor) -> BlockSums:
            r, c = widened(r), widened(c)
            sums = similarity_logsumexp(r, c, self.temperature, normalize=False, exclude="none")
            return BlockSums(sums.logsumexp, class_sums(r, r_labels, c, c_labels), sums.mean)

        own_labels = labels[: len(rows)]
        wide = widened(columns)
        wide_rows = wide[: len(rows)]
        lse, _, mean = similarity_logsumexp(
            wide_rows,
            None if len(rows) == len(columns) else wide,
            self.temperature,
            normalize=False,
            exclude="self",
        )
        itself = torch.stack([wide_rows.square().sum(1), torch.ones_like(lse)], 1)
        own = BlockSums(lse, class_sums(wide_rows, own_labels, wide, labels) - itself, mean)
        others = other_ranks(
            block,
            rows,
            columns,
            (),
            self.gather_distributed,
            row_ids=own_labels,
            column_ids=labels,
        )
        sums = own.merge(others)
        total, count = sums.total.unbind(1)
        return BlockSums(sums.logsumexp, total, sums.mean), count.detach().round()

    def extra_repr(self) -> str:
        return (
            f"temperature={self.temperature}, contrast_mode={self.contrast_mode!r}, "
            f"base_temperature={self.base_temperature}, reduction={self.reduction!r}, "
            f"gather_distributed={self.gather_distributed}"
        )


def class_sums(rows: Tensor, row_labels: Tensor, columns: Tensor, column_labels: Tensor) -> Tensor:
    """(M, 2): sum of a row's similarities to the columns of its class, and their number.

    A row times the sum of its class's columns: O((M + K) D), no (M, K) matrix.
    """
    classes, column_class = column_labels.unique(return_inverse=True)
    augmented = torch.cat([columns, columns.new_ones((len(columns), 1))], 1)
    of_class = augmented.new_zeros((len(classes), augmented.shape[1]))
    of_class = of_class.index_add(0, column_class, augmented)
    place = torch.searchsorted(classes, row_labels).clamp(max=len(classes) - 1)
    known = classes[place] == row_labels
    mine = torch.where(known[:, None], of_class[place], 0.0)
    return torch.stack([(rows * mine[:, :-1]).sum(1), mine[:, -1]], 1)


def widened(rows: Tensor) -> Tensor:
    """16-bit rows in float32, so that their gradients are added before they are rounded."""
    return rows.to(torch.promote_types(rows.dtype, torch.float32))
