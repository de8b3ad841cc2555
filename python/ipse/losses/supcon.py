"""Supervised contrastive loss as a module."""

from torch import Tensor, nn

from ipse.functional import supcon_loss
from ipse.losses._gather import gather_rows, require_distributed
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
        gather_distributed: the loss of the batch of all processes together; with labels or
            without, but not with a mask.

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
        gather_distributed: bool = False,
    ) -> None:
        super().__init__()
        require_distributed("SupConLoss", gather_distributed)
        check_temperature("SupConLoss", temperature)
        self.temperature = temperature
        self.contrast_mode = contrast_mode
        self.base_temperature = base_temperature
        self.reduction = reduction
        self.gather_distributed = gather_distributed

    def forward(
        self, features: Tensor, labels: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """The scalar loss of (N, V, D) features, V views of each of N samples.

        ``labels``: (N,), or ``mask``: (N, N), nonzero where column's sample is a positive
        of the row's; not both. See :func:`ipse.functional.supcon_loss`.
        """
        if self.gather_distributed:
            if mask is not None:
                raise ValueError("SupConLoss: mask must be None with gather_distributed")
            features = gather_rows(features)
            labels = None if labels is None else gather_rows(labels)
        return supcon_loss(
            features,
            labels,
            mask,
            self.temperature,
            base_temperature=self.base_temperature,
            contrast_mode=self.contrast_mode,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        return (
            f"temperature={self.temperature}, contrast_mode={self.contrast_mode!r}, "
            f"base_temperature={self.base_temperature}, reduction={self.reduction!r}, "
            f"gather_distributed={self.gather_distributed}"
        )
