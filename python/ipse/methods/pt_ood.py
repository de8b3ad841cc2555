"""PT-OOD: finding outliers that the pre-training data already held.

A network is pre-trained on images of all classes. Then only some classes are "known": a linear
probe learns them, and test images of the other classes are outliers, though familiar ones. Scores
that ask the probe how sure it is fail on familiar outliers whose features no line separates from
the known ones; the distance to the nearest known training features does not need such a line.

Source: A. Miyai, Q. Yu, G. Irie and K. Aizawa, Can Pre-trained Networks Detect Familiar
Out-of-Distribution Data?, arXiv 2310.00847.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ipse.data import Batch, ImageData, load_digits, textures
from ipse.evaluation import (
    DetectionMetrics,
    Table,
    detection_metrics,
    encode_all,
    fit_linear_probe,
    knn_score,
    linear_probe,
    logit_scores,
    mahalanobis_score,
    react_score,
    require_disjoint,
)
from ipse.losses import BarlowTwinsLoss
from ipse.methods._classes import parse_classes
from ipse.methods._two_views import TwoViewConfig, TwoViewMethod
from ipse.training import ConfigError, option, projector
from ipse.training.randomness import Stream, generator

__all__ = ["PTOOD", "PTOODConfig", "detect", "detection_sets", "known_classes", "separability"]


@dataclass(frozen=True, kw_only=True)
class PTOODConfig(TwoViewConfig):
    """Settings of the pre-training and of the detection."""

    slug: ClassVar[str] = "pt-ood"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "fashion-mnist": {"epochs": 25, "train_size": 15000, "shots": 300}
    }

    epochs: int = option(100, "passes over the training samples", minimum=1)
    dimension: int = option(256, "size of the self-supervised embedding", minimum=1)
    backbone: str = option(
        "self-supervised",
        "how the network is pre-trained: Barlow Twins, or the labels of all classes",
        choices=("self-supervised", "supervised"),
    )
    known: str = option("0,1,2,3,4", "in-distribution classes, by number")
    shots: int = option(100, "training images of each known class for probe and bank", minimum=2)
    neighbours: int = option(10, "which nearest neighbour the kNN score measures", minimum=1)


class PTOOD(TwoViewMethod[PTOODConfig]):
    """The protocol; see the module's text."""

    title = "PT-OOD"
    about = (
        "A small network is pre-trained on images of all classes. Afterwards only some of the "
        "classes count as known, and the others must be noticed as outliers although the network "
        "has met them before. A classifier of the known classes is often sure about such "
        "outliers; asking how far away the nearest known training images are needs no classifier."
    )
    Config = PTOODConfig

    def build(self, data: ImageData) -> None:
        self.known = known_classes(self.config.known, len(data.classes))
        for label in self.known:
            found = int((data.train_labels == label).sum())
            if found < self.config.shots:
                raise ConfigError(
                    f"shots: got {self.config.shots}, but class {label} has {found} training images"
                )
        self.classes = len(data.classes)
        self.uses_labels = self.config.backbone == "supervised"
        super().build(data)

    def build_heads(self) -> None:
        config = self.config
        self.loss: nn.Module
        if config.backbone == "supervised":
            self.head: nn.Module = nn.Linear(self.encoder.features, self.classes)
            self.loss = nn.CrossEntropyLoss()
        else:
            self.head = projector(self.encoder.features, config.hidden, config.dimension)
            self.loss = BarlowTwinsLoss(lambda_param=1.0 / config.dimension)

    def step(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
        if self.config.backbone == "supervised":
            view = self.view(batch.images, generator)
            loss = self.loss(self.head(self.encoder(view)), batch.labels)
        else:
            views = self.two_views(batch.images, generator)
            loss = self.loss(*(self.head(self.encoder(view)) for view in views))
        self.minimise(loss)
        return {"loss": loss.detach()}

    def tables(self, untrained: Self, data: ImageData) -> Sequence[Table]:
        device = next(self.parameters()).device
        features = {
            name: encode_all(self.features, images, device)
            for name, images in detection_sets(data, self.known, self.config).items()
        }
        labels = torch.tensor(self.known).repeat_interleave(self.config.shots)
        train, inside = features.pop("train"), features.pop("known")
        results = detect(train, labels, inside, features, self.config.neighbours)
        rows = {
            score: {
                f"{name} {heading}": getattr(metrics[name], measure)
                for name in features
                for heading, measure in (("AUROC", "auroc"), ("FPR95", "fpr95"))
            }
            for score, metrics in results.items()
        }
        oracle = separability(inside, features["familiar"])
        truth = data.test_labels[torch.isin(data.test_labels, torch.tensor(self.known))]
        correct = 100 * float((linear_probe(train, labels, inside) == truth).double().mean())
        caption = (
            f"How well each score tells test images of the known classes "
            f"({', '.join(data.classes[label] for label in self.known)}) from outliers: familiar "
            f"ones, of classes that only the pre-training saw, and unfamiliar ones, unlike "
            f"anything seen. AUROC is the chance (in per cent) that a known image scores higher, "
            f"50 is guessing; FPR95 is the share of outliers accepted where 95 % of the known "
            f"images are, so smaller is better. The probe gets "
            f"{correct:.1f} % of the known test images right. A linear classifier that is shown "
            f"known and familiar images tells them apart in {oracle:.1f} % of cases: what it "
            f"cannot do, no score of the probe's can."
        )
        return [Table("outlier detection", "Outlier detection", caption, rows)]


def known_classes(text: str, count: int) -> list[int]:
    """The classes of a list such as `0,1,2`, ascending.

    Raises:
        ConfigError: Not such a list, fewer than two classes, or no class left to be unknown.
    """
    known = parse_classes("known", text, count)
    if not 2 <= len(known) < count:
        raise ConfigError(f"known: got {text!r}, must be two classes or more, but not all {count}")
    return known


def detection_sets(data: ImageData, known: list[int], config: PTOODConfig) -> dict[str, Tensor]:
    """Images by their part: `train` (the first `shots` of each known class, in the order of
    classes), and from the test part `known`, `familiar` and `unfamiliar`."""
    outside = sorted(set(range(len(data.classes))) - set(known))
    require_disjoint(known, outside)
    first = [(data.train_labels == label).nonzero()[: config.shots, 0] for label in known]
    inside = torch.isin(data.test_labels, torch.tensor(known))
    return {
        "train": data.train_images[torch.cat(first)],
        "known": data.test_images[inside],
        "familiar": data.test_images[~inside],
        "unfamiliar": unfamiliar_images(data, config.seed),
    }


def unfamiliar_images(data: ImageData, seed: int) -> Tensor:
    """Images unlike the data set's: scikit-learn's digits among clothes, else textures."""
    side = data.test_images.shape[-1]
    if data.name == "fashion-mnist":
        return F.interpolate(load_digits().train_images, side, mode="bilinear")
    source = generator(seed, Stream.PICTURES)
    return textures(len(data.test_images), data.channels, side, source)


def detect(
    train: Tensor, labels: Tensor, inside: Tensor, outside: Mapping[str, Tensor], k: int = 10
) -> dict[str, dict[str, DetectionMetrics]]:
    """Every score's metrics, by score and by set of outliers.

    Args:
        train: [M, D] features of known training samples: the probe's data and the kNN bank.
        labels: [M] their classes.
        inside: [N, D] features of known test samples.
        outside: Features of outliers by the name of their set.
        k: Which neighbour the kNN score measures.
    """
    probe = fit_linear_probe(train, labels)

    def scores(features: Tensor) -> dict[str, Tensor]:
        return {
            **logit_scores(probe.logits(features))._asdict(),
            "react": react_score(features, train, probe.weight, probe.bias),
            "mahalanobis": mahalanobis_score(features, train, labels),
            "knn": knn_score(features, train, k),
        }

    own = scores(inside)
    others = {name: scores(features) for name, features in outside.items()}
    return {
        score: {name: detection_metrics(own[score], others[name][score]) for name in outside}
        for score in own
    }


def separability(inside: Tensor, outside: Tensor) -> float:
    """Balanced accuracy, in per cent, of a linear classifier that is shown both sets.

    The samples, in random order, are for fitting and for testing in turn. An oracle: a detector
    never sees outliers. It says how much of the problem is linear.

    Args:
        inside: [N, D] features of known samples.
        outside: [M, D] features of outliers.
    """
    inside, outside = (
        x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))]
        for x in (inside, outside)
    )
    parts = []
    for start in (0, 1):
        features = torch.cat([inside[start::2], outside[start::2]])
        labels = torch.zeros(len(features), dtype=torch.int64)
        labels[len(inside[start::2]) :] = 1
        parts.append((features, labels))
    (train, train_labels), (test, test_labels) = parts
    right = linear_probe(train, train_labels, test) == test_labels
    rates = [right[test_labels == side].double().mean() for side in (0, 1)]
    return 50 * float(rates[0] + rates[1])
