"""BSS: batches whose images all have the same style, so that style cannot tell them apart.

Images of different domains in one batch are easy to tell apart by their light and colours, and a
network that compares the views of a batch learns just that. BSS gives every image of a view the
low-frequency Fourier amplitudes of one image of the batch; phases, and with them the shapes, stay.
No domain labels are used. The learning is SimCLR's or SwAV's.

Source: M. Scalbert, M. Vakalopoulou and F. Couzinie-Devy, Towards domain-invariant Self-Supervised
Learning with Batch Styles Standardization, arXiv 2303.06088, ICLR 2024.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from ipse.data import Batch, ImageData, StyledViews, ViewDistribution, standard_views
from ipse.data.domains import DomainData
from ipse.data.styled_views import EXCHANGES, JITTERS
from ipse.evaluation import Table, encode_all, linear_probe
from ipse.functional import similarity_logsumexp, topk_similarity
from ipse.methods._two_views import TwoViewConfig, TwoViewMethod
from ipse.methods._wrapped import WrappingMethod
from ipse.methods.simclr import SimCLR
from ipse.methods.swav import SwAV
from ipse.training import ConfigError, Method, option

__all__ = ["BSSConfig", "BatchStylesStandardization", "domain_scores", "same_view_loss"]

# Colours after the exchange, for the whole batch or for each image.
COLOURS = ViewDistribution(contrast=0.4, brightness=0.2, saturation=0.4, hue=0.1, grayscale=0.2)


@dataclass(frozen=True, kw_only=True)
class BSSConfig(TwoViewConfig):
    """Settings of BSS, with defaults for small images on a CPU.

    The paper's range of ratios is not known; that of Fourier augmentations, nearly 0 to 1, is
    used. SwAV's own settings are the defaults of `swav`.

    Raises:
        ConfigError: The least ratio is above the largest.
    """

    slug: ClassVar[str] = "batch-styles-standardization"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "styled-fashion-mnist": {"epochs": 15, "train_size": 6000},
        "fashion-mnist": {"epochs": 20, "train_size": 10000},
    }

    data: str = option(
        "styled-digits",
        "data set to learn from; only styled ones have domains to test on",
        choices=("styled-digits", "styled-fashion-mnist", "digits", "fashion-mnist"),
    )
    epochs: int = option(100, "passes over the training samples", minimum=1)
    batch_size: int = option(128, "samples per step", minimum=2)
    loss: str = option("simclr", "which method's loss", choices=("simclr", "swav"))
    temperature: float = option(0.2, "divides the similarities of simclr's loss", minimum=1e-3)
    negatives: str = option(
        "same_view",
        "what simclr's loss pushes away: images of the same view, that is style, or of all views",
        choices=("same_view", "all"),
    )
    styles: str = option(
        "batch",
        "batch gives all images the style of one, image gives each another's, none leaves them",
        choices=EXCHANGES,
    )
    jitter: str = option(
        "batch", "draw changes of colour for a batch or for each image", choices=JITTERS
    )
    least_ratio: float = option(
        0.02, "smallest area of the window of frequencies", minimum=0, maximum=1
    )
    largest_ratio: float = option(
        1.0, "largest area of the window of frequencies", minimum=0, maximum=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.least_ratio > self.largest_ratio:
            raise ConfigError(
                f"least_ratio: got {self.least_ratio}, must be at most largest_ratio "
                f"{self.largest_ratio}"
            )


def same_view_loss(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """InfoNCE whose positives are the other view and whose negatives are of the anchor's own view.

    Args:
        z1, z2: Embeddings [N, D] of two views; they are normalised here.
        temperature: Divides the similarities.

    Returns:
        The mean over the 2 N anchors, a scalar.
    """
    positive = F.cosine_similarity(z1, z2) / temperature
    losses = [
        # log(e^p + sum e^n) - p, with the negatives' sum known by its logarithm.
        F.softplus(similarity_logsumexp(z, temperature=temperature).logsumexp - positive)
        for z in (z1, z2)
    ]
    return torch.cat(losses).mean()


# Both views pass the networks together, as in the paper of SimCLR: a BatchNorm that saw one view,
# which is one style, would take the style away in training and not in evaluation.


class _StyledSimCLR(SimCLR):
    """SimCLR on styled views, its negatives of one style where they are to be."""

    styled: StyledViews
    within_view: bool

    def step(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
        views = torch.cat([self.styled(batch.images, generator) for _ in range(2)])
        z1, z2 = self.embed(views).chunk(2)
        if self.within_view:
            loss = same_view_loss(z1, z2, self.config.temperature)
        else:
            loss = self.loss(z1, z2)
        self.minimise(loss)
        return {"loss": loss.detach()}


class _StyledSwAV(SwAV):
    """SwAV on styled views. Its codes are made for each view alone, thus within one style."""

    styled: StyledViews

    def step(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
        views = torch.cat([self.styled(batch.images, generator) for _ in range(2)])
        # At first the features are noise, and prototypes that follow them would all meet.
        self.prototypes.requires_grad_(self.steps_done >= self.config.frozen * self.total_steps)
        loss = self.loss(self.scores(views).chunk(2), []).squeeze()
        self.minimise(loss)
        self.prototypes.normalize()
        return {"loss": loss.detach()}


class BatchStylesStandardization(WrappingMethod[BSSConfig]):
    """The views; the learning is done by the method of the chosen loss.

    In several processes all ranks share the style that the first one draws.
    """

    title = "BSS"
    about = (
        "A small network learns from images without labels. It must find the two views of an "
        "image among those of others, as in SimCLR or SwAV. All images of a view are given the "
        "colours and the light of one of them, so that these cannot tell them apart, and what the "
        "network learns also works under a light that it has never seen."
    )
    Config = BSSConfig

    def build(self, data: ImageData) -> None:
        config = self.config
        names = [field.name for field in dataclasses.fields(TwoViewConfig) if field.name != "data"]
        shared = {name: getattr(config, name) for name in names}
        learner: TwoViewMethod[Any]
        if config.loss == "simclr":
            simclr = SimCLR.Config(**shared, temperature=config.temperature)
            learner = _StyledSimCLR(simclr, data)
            learner.within_view = config.negatives == "same_view"
        else:
            prototypes = min(SwAV.Config.defaults()["prototypes"], config.batch_size)
            learner = _StyledSwAV(SwAV.Config(**shared, prototypes=prototypes), data)
        learner.styled = StyledViews(
            geometry=_geometry(standard_views(data.name)),
            colours=COLOURS,
            exchange=config.styles,
            jitter=config.jitter,
            least_ratio=config.least_ratio,
            largest_ratio=config.largest_ratio,
        )
        self.adopt(learner)

    def tables(self, untrained: Self, data: ImageData) -> Sequence[Table]:
        if not isinstance(data, DomainData):
            return ()
        rows = {"untrained encoder": untrained, "trained encoder": self}
        return [
            Table(
                name="domains",
                title="What the features say about domains",
                caption="In per cent. Classes are read off frozen features by a linear classifier "
                "that saw the training domains only, and asked on a domain it has not seen and on "
                "other images of the ones it has. The domain probe is such a classifier for the "
                "domain: a third is chance. Same domain is how many of an image's ten nearest "
                "neighbours are of its own domain: again a third if domains do not matter.",
                rows={name: domain_scores(method, data) for name, method in rows.items()},
            )
        ]


def _geometry(views: ViewDistribution) -> ViewDistribution:
    """The part of a recipe that leaves intensities alone."""
    kept = ("zoom", "aspect", "rotation", "shear", "shift", "anywhere", "flip")
    return ViewDistribution(**{name: getattr(views, name) for name in kept})


@torch.no_grad()
def domain_scores(method: Method[Any], data: DomainData) -> dict[str, float]:
    """Accuracies in per cent: unseen domain, seen domains, domain probe, neighbours' domains."""
    device = next(method.parameters()).device
    known, unseen, seen = (
        encode_all(method.features, images, device).cpu()
        for images in (data.train_images, data.test_images, data.seen_images)
    )
    both = linear_probe(known, data.train_labels, torch.cat([unseen, seen]))
    domains = linear_probe(known, data.train_domains, seen)
    ids = torch.arange(len(known))
    nearest = topk_similarity(known, known, min(10, len(known) - 1), row_ids=ids, column_ids=ids)
    same = data.train_domains[nearest.indices] == data.train_domains[:, None]

    def percent(right: Tensor) -> float:
        return 100 * float(right.double().mean())

    return {
        "unseen domain": percent(both[: len(unseen)] == data.test_labels),
        "seen domains": percent(both[len(unseen) :] == data.seen_labels),
        "domain probe": percent(domains == data.seen_domains),
        "same domain": percent(same),
    }
