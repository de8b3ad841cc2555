"""What SimCore is made of: the selection, its networks, and where its samples belong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ipse.data import ImageData
from ipse.functional import facility_location_coreset, kmeans
from ipse.training import ConvEncoder, projector

__all__ = ["Network", "Pools", "Selection", "select"]


class Selection(NamedTuple):
    """What was picked: positions in the open set, the value of each round, and why it ended."""

    picks: Tensor
    values: list[float]
    ending: str


def select(
    target: Tensor,
    pool: Tensor,
    *,
    clusters: int = 20,
    tau: float = 0.95,
    patience: int = 1,
    budget: int | None = None,
    seed: int = 0,
) -> Selection:
    """Picks the part of an open set that is most similar to a target set.

    Args:
        target: [X, D] features of the target set, any norm.
        pool: [U, D] features of the open set, by the same network in evaluation mode.
        clusters: Number of centroids; with X or more of them the points themselves pick.
        tau, patience, budget: As `ipse.functional.facility_location_coreset`.
        seed: Of the clustering and of the last round's random part.
    """
    points = F.normalize(target, dim=1)
    # Centroids lie inside the sphere; the coreset compares directions only.
    centroids = kmeans(points, clusters, seed=seed).centroids if clusters < len(points) else points
    coreset = facility_location_coreset(
        pool, centroids, tau=tau, patience=patience, budget=budget, seed=seed
    )
    return Selection(coreset.indices, coreset.values, coreset.ending)


class Network(nn.Module):
    """Encoder and projector; gives features [N, F] and embeddings [N, D] of images."""

    def __init__(self, data: ImageData, hidden: int, dimension: int) -> None:
        super().__init__()
        self.encoder = ConvEncoder(
            data.channels, stem_stride=1 if data.train_images.shape[-1] <= 16 else 2
        )
        self.projector = projector(self.encoder.features, hidden, dimension)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.encoder(images)
        return features, self.projector(features)


class Pools(nn.Module):
    """Which training samples belong to each arm; in buffers, so that checkpoints keep them."""

    chosen: Tensor

    def __init__(self, samples: int, arms: Sequence[str]) -> None:
        super().__init__()
        for arm in arms:
            self.register_buffer(arm, torch.zeros(samples, dtype=torch.bool))
        self.register_buffer("chosen", torch.zeros((), dtype=torch.bool))
