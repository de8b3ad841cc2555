"""G-SimCLR: SimCLR whose batches hold, as far as possible, one image of each cluster.

SimCLR pushes all images of a batch apart, also those that show the same kind of thing. G-SimCLR
first clusters the training images without labels, by the features of a small autoencoder, into as
many clusters as a batch has places, and then takes one image of each cluster for every batch. Loss
and networks are plain SimCLR's.

Source: S. Chakraborty, A. R. Gosthipaty and S. Paul, G-SimCLR: Self-Supervised Contrastive Learning
with Guided Projection via Pseudo Labelling, arXiv 2009.12007, ICDM 2020 workshops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from ipse.data import DataError, ImageData, OneClusterPerBatchSampler
from ipse.evaluation import Picture, spreads
from ipse.functional import kmeans
from ipse.methods.simclr import SimCLR, SimCLRConfig
from ipse.training import (
    ConfigError,
    DenoisingAutoencoder,
    option,
    train_autoencoder,
)

__all__ = ["GSimCLR", "GSimCLRConfig", "same_class_pairs"]

EMBEDDINGS = ("autoencoder-map", "autoencoder", "pca")
_PCA_DIMENSIONS = 32


@dataclass(frozen=True, kw_only=True)
class GSimCLRConfig(SimCLRConfig):
    """Settings of G-SimCLR, with defaults for small images on a CPU.

    The paper clusters the mean of the autoencoder's latent map over its positions. On small grey
    images that forgets the shape: clusters of the whole map agree better with the classes
    (docs/claims.md).

    Raises:
        ConfigError: Fewer clusters than places in a batch.
    """

    slug: ClassVar[str] = "g-simclr"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "fashion-mnist": {"epochs": 20, "train_size": 10000, "autoencoder_epochs": 5}
    }

    epochs: int = option(100, "passes over the training samples", minimum=1)
    batch_size: int = option(64, "samples per step, each from another cluster", minimum=2)
    temperature: float = option(
        0.1, "divides the similarities; smaller weighs the hardest negatives more", minimum=1e-3
    )
    learning_rate: float = option(1e-3, "Adam's base learning rate", minimum=0)
    embeddings: str = option(
        "autoencoder-map",
        "what is clustered: autoencoder-map, autoencoder (the map's mean over positions), pca, or "
        "a .npy file with one row per image",
    )
    clusters: int | None = option(None, "number of clusters (default: the batch size)", minimum=2)
    autoencoder_epochs: int = option(10, "the autoencoder's passes, at most", minimum=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.embeddings not in EMBEDDINGS and not self.embeddings.endswith(".npy"):
            raise ConfigError(
                f"embeddings: got {self.embeddings!r}, must be {', '.join(EMBEDDINGS)} "
                f"or a .npy file"
            )
        if self.clusters is not None and self.clusters < self.batch_size:
            raise ConfigError(
                f"clusters: got {self.clusters}, must be at least batch_size {self.batch_size}"
            )


class Clusters(nn.Module):
    """The cluster of every training sample, where checkpoints keep it."""

    labels: Tensor

    def __init__(self, samples: int) -> None:
        super().__init__()
        self.register_buffer("labels", torch.zeros(samples, dtype=torch.int64))


class GSimCLR(SimCLR):
    """The algorithm; see the module's text."""

    title = "G-SimCLR"
    about = (
        "A small network learns from images without labels. It sees two randomly distorted views "
        "of every image and must place them close together, and far from all other images of the "
        "batch. A clustering made beforehand sees to it that the images of a batch differ, so "
        "that images of the same kind are seldom pushed apart."
    )
    Config = GSimCLRConfig
    config: GSimCLRConfig

    def build_heads(self) -> None:
        super().build_heads()
        self.clusters = Clusters(self.samples)

    def prepare(self, data: ImageData) -> Sequence[str]:
        config = self.config
        device = next(self.parameters()).device
        found = cluster(
            embed(data, config.embeddings, device, config.autoencoder_epochs),
            config.clusters or config.batch_size,
            config.seed,
        )
        self.clusters.labels.copy_(found)
        sizes = found.bincount()
        sampler = self.sampler()
        places = len(sampler) * config.batch_size
        return [
            f"{len(sizes)} clusters of {int(sizes.min())} to {int(sizes.max())} images; "
            f"agreement with the true classes (NMI) {self.agreement(data):.2f}",
            f"in {sampler.repeats} of {places} places a cluster has to come again",
        ]

    def order(self, epoch: int) -> Tensor:
        return self.sampler().batches(epoch).flatten()

    def sampler(self) -> OneClusterPerBatchSampler:
        """The batches of every epoch."""
        return OneClusterPerBatchSampler(
            self.clusters.labels,
            self.config.batch_size,
            seed=self.config.seed,
            num_samples=self.samples,
        )

    def agreement(self, data: ImageData) -> float:
        """Normalised mutual information of clusters and true classes: 0 unrelated, 1 the same."""
        from sklearn.metrics import normalized_mutual_info_score

        labels = self.clusters.labels.cpu().numpy()
        return float(normalized_mutual_info_score(data.train_labels.numpy(), labels))

    def pictures(self, untrained: Self, data: ImageData) -> Sequence[Picture]:
        pairs = {
            "random order": same_class_pairs(self.random_batches(), data.train_labels),
            "one of each cluster": same_class_pairs(self.sampler().batches(0), data.train_labels),
        }
        means = [float(counts.double().mean()) for counts in pairs.values()]
        return [
            Picture(
                name="false-negatives",
                title="Images of the same class in one batch",
                caption="Every pair of images of the same true class in a batch is pushed apart "
                "by mistake. A box holds the middle half of the batches of one epoch, its line "
                f"the median. The mean is {means[0]:.1f} pairs in random order and {means[1]:.1f} "
                "with one image of each cluster. Clusters and classes agree by "
                f"{self.agreement(data):.2f} (normalised mutual information: 0 unrelated, 1 the "
                "same).",
                figure=spreads(pairs, "pairs of the same class"),
            )
        ]

    def random_batches(self) -> Tensor:
        """The batches [T, batch_size] that plain SimCLR would have."""
        places = self.steps_per_epoch * self.config.batch_size
        return super().order(0)[:places].view(-1, self.config.batch_size)


def same_class_pairs(batches: Tensor, labels: Tensor) -> Tensor:
    """How many pairs of the same class each batch holds.

    Args:
        batches: int64 tensor [T, B] of samples.
        labels: int64 tensor [N], each sample's class.

    Returns:
        int64 tensor [T].
    """
    counts = nn.functional.one_hot(labels[batches]).sum(dim=1)
    return (counts * (counts - 1) // 2).sum(dim=1)


def embed(data: ImageData, embeddings: str, device: torch.device, epochs: int = 10) -> Tensor:
    """What is clustered: float tensor [N, D] on the CPU, one row for each training image.

    Args:
        data: The data set.
        embeddings: One of `EMBEDDINGS`, or the path of a .npy file.
        device: Where the autoencoder is trained.
        epochs: Of the autoencoder, at most.

    Raises:
        DataError: The file cannot be read, or does not hold one row of finite numbers per image.
    """
    if embeddings in ("autoencoder", "autoencoder-map"):
        images = data.train_images.to(device)
        network = DenoisingAutoencoder(data.channels).to(device)
        train_autoencoder(network, images, epochs=epochs)
        return network.embed(images, pooled=embeddings == "autoencoder").cpu()
    if embeddings == "pca":
        pixels = data.train_images.flatten(1)
        pixels = pixels - pixels.mean(dim=0)
        kept = min(_PCA_DIMENSIONS, *pixels.shape)
        directions = torch.linalg.eigh(pixels.T @ pixels).eigenvectors[:, -kept:]
        return pixels @ directions
    return _read(Path(embeddings), len(data.train_images))


def _read(path: Path, samples: int) -> Tensor:
    try:
        rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"embeddings: {path} cannot be read: {error}") from error
    if rows.ndim != 2 or len(rows) != samples or not np.issubdtype(rows.dtype, np.floating):
        raise DataError(
            f"embeddings: {path} must hold floats of shape [{samples}, D], one row for each "
            f"training image, got {rows.dtype} {list(rows.shape)}"
        )
    if not np.isfinite(rows).all():
        raise DataError(f"embeddings: {path} holds numbers that are not finite")
    return torch.from_numpy(rows).float()


def cluster(embeddings: Tensor, count: int, seed: int) -> Tensor:
    """k-means clusters of embeddings [N, D]: int64 tensor [N] of labels below `count`.

    Raises:
        DataError: Some clusters stay empty, since too many images have the same embedding.
    """
    labels = kmeans(embeddings, count, seed=seed).labels
    found = len(labels.unique())
    if found < count:
        raise DataError(
            f"embeddings: must differ enough for {count} clusters, but only {found} have images"
        )
    return labels
