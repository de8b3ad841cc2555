"""The contrastive losses that are a weighted sum over rows, as data: what sets them apart."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ipse.ops import similarity_formulas as formulas
from ipse.ops.pairs import Array, Pairs


@dataclass(frozen=True)
class Contrast:
    """A loss that is a mean over rows of logsumexp minus positive logit.

    Attributes:
        one_side: rows and columns are one stack of views, instead of a side each.
        exclude: what a row does not see; see Pairs.
        normalize: embeddings are divided by their length.
        both_ways: the mean of that over rows and that over columns.
    """

    name: str
    arguments: tuple[str, str]
    one_side: bool
    exclude: str
    normalize: bool = True
    both_ways: bool = False

    def pairs(self, x: Tensor, y: Tensor, scale: Array, samples: int) -> Pairs:
        rows, columns = ((x, y), ()) if self.one_side else ((x,), (y,))
        return Pairs(rows, columns, scale, self.normalize, self.exclude, samples)

    def weights(self, x: Tensor, y: Tensor, samples: int) -> tuple[float, float]:
        """Of each logsumexp, and of each positive logit."""
        if not self.one_side:
            return (0.5 if self.both_ways else 1.0) / x.shape[0], -1.0 / x.shape[0]
        rows = x.shape[0] + y.shape[0]
        others = rows // samples - 1
        return 1.0 / rows, -1.0 / (rows * others)

    def formula(self, x: Tensor, y: Tensor, scale: Tensor, samples: int) -> Tensor:
        """The loss in plain PyTorch; scale is a scalar or one value for each row."""
        of_rows, of_positives = self.weights(x, y, samples)
        if self.one_side:
            x, y = torch.cat([x, y]), None  # type: ignore[assignment]
        sums, positives, _ = formulas.logsumexp(x, y, scale, self.normalize, self.exclude, samples)
        loss = of_rows * sums.sum() + of_positives * (scale.to(sums.dtype) * positives).sum()
        if self.both_ways:
            columns, _, _ = formulas.logsumexp(y, x, scale, self.normalize, "none", 0)
            loss = loss + of_rows * columns.sum()
        return loss


CONTRASTS = (
    Contrast("ntxent", ("z1", "z2"), one_side=True, exclude="self"),
    Contrast("dcl", ("z1", "z2"), one_side=True, exclude="sample"),
    Contrast("info_nce", ("query", "key"), one_side=False, exclude="none"),
    Contrast(
        "clip", ("image", "text"), one_side=False, exclude="none", normalize=False, both_ways=True
    ),
)
