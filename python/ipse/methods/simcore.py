"""SimCore: from a large open set, take the images that resemble a small target set.

A few images of the classes one cares about are too few to pre-train on, and a large open set is
mostly about something else. A network trained on the target set alone is good enough to say which
open images look alike: a few centroids of the target's features each pick their most similar open
image, round after round, until the picks are no longer similar. A fresh network is then pre-trained
on target and picks together. Labels are used for the evaluation only.

Source: S. Kim, S. Bae and S.-Y. Yun, Coreset Sampling from Open-Set for Fine-Grained
Self-Supervised Learning, arXiv 2303.11101, CVPR 2023.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from ipse.data import Batch, ImageData, random_view, standard_views
from ipse.evaluation import Table, encode_all, extract, score
from ipse.losses import NTXentLoss
from ipse.methods._classes import parse_classes
from ipse.methods._simcore_parts import Network, Pools, Selection, select
from ipse.methods.simclr import SimCLRConfig
from ipse.training import ConfigError, Method, option, warmup_cosine
from ipse.training.randomness import Stream, generator

__all__ = ["Selection", "SimCore", "SimCoreConfig", "select"]

ARMS = ("coreset", "random", "target")
"""The pre-trainings that are compared, each on the target set and what its name says."""


@dataclass(frozen=True, kw_only=True)
class SimCoreConfig(SimCLRConfig):
    """Settings of retrieval, selection and pre-training.

    The paper's own are a ResNet-50, ImageNet as the open set, 1000 epochs of retrieval training,
    100 clusters and up to 5000 epochs of pre-training; the authors' code waits for round 20.
    """

    slug: ClassVar[str] = "simcore"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "fashion-mnist": {
            "epochs": 9,
            "retrieval_epochs": 3,
            "train_size": 20000,
            "target": "5,7,9",
            "target_size": 300,
            "budget": 2000,
            "batch_size": 128,
        }
    }

    epochs: int = option(
        40, "epochs in all; one has as many steps as fit into the training part", minimum=2
    )
    batch_size: int = option(64, "samples per step, at most the target set", minimum=2)
    retrieval_epochs: int = option(
        15, "how many of the epochs train the network that picks", minimum=1
    )
    target: str = option("3,5,8", "classes of the target set, by number")
    target_size: int = option(100, "images in the target set; all others are open", minimum=2)
    clusters: int = option(20, "centroids of the target set that pick", minimum=1)
    tau: float = option(
        0.95, "picking ends where similarity falls below this part of the reference", maximum=1
    )
    patience: int = option(1, "the round that sets the reference", minimum=1)
    budget: int = option(300, "at most so many picks", minimum=1)
    compare: bool = option(
        True, "also pre-train on the target alone and with random images, for the comparison"
    )


class SimCore(Method[SimCoreConfig]):
    """The algorithm; see the module's text.

    Its epochs fall into two phases. In the first the retrieval network learns from the target set.
    At their border the coreset is picked. In the second, networks that start out the same learn
    with equal steps: from target and coreset, and, for comparison, from target and as many random
    open images, and from the target alone.
    """

    title = "SimCore"
    about = (
        "There are few images of the things one cares about, and very many of anything at all. A "
        "small network first learns from the few. It then picks from the many those that look "
        "alike, and stops by itself when nothing similar is left. A new network learns from the "
        "few and the picked ones together, and describes the things one cares about better."
    )
    Config = SimCoreConfig
    applies_after_view = True

    def build(self, data: ImageData) -> None:
        config = self.config
        self.split_target(data)
        self.views = standard_views(data.name)
        self.loss = NTXentLoss(temperature=config.temperature)
        self.pools = Pools(self.samples, ARMS)
        retrieval_steps = config.retrieval_epochs * self.steps_per_epoch
        self._add_network(
            "retrieval", Network(data, config.hidden, config.dimension), retrieval_steps
        )
        fresh = Network(data, config.hidden, config.dimension)
        for arm in self.arms:
            # The same start for all, so that what differs comes from the images.
            steps = self.total_steps - retrieval_steps
            self._add_network(arm, copy.deepcopy(fresh), steps)

    @property
    def arms(self) -> tuple[str, ...]:
        """The pre-trainings of this run."""
        return ARMS if self.config.compare else ARMS[:1]

    def split_target(self, data: ImageData) -> None:
        """Divides the training part: the first images of the target's classes, and the rest."""
        config = self.config
        classes = parse_classes("target", config.target, len(data.classes))
        self.target_classes = torch.tensor(classes)
        alike = torch.isin(data.train_labels, self.target_classes)
        self.target_set = alike.nonzero()[: config.target_size, 0]
        if len(self.target_set) < config.target_size or config.target_size >= self.samples:
            raise ConfigError(
                f"target_size: got {config.target_size}, but there are {int(alike.sum())} images "
                f"of classes {config.target} among {self.samples}, and some must stay open"
            )
        if config.batch_size > config.target_size:
            raise ConfigError(
                f"batch_size: got {config.batch_size}, must be at most the target set's "
                f"{config.target_size}"
            )
        if config.retrieval_epochs >= config.epochs:
            raise ConfigError(
                f"retrieval_epochs: got {config.retrieval_epochs}, must be below the "
                f"{config.epochs} epochs in all"
            )
        outside = torch.ones(self.samples, dtype=torch.bool)
        outside[self.target_set] = False
        self.open_set = outside.nonzero()[:, 0]
        self.images = data.train_images  # for what the loop's batches do not hold

    def _add_network(self, name: str, network: Network, steps: int) -> None:
        setattr(self, name, network)
        config = self.config
        adam = torch.optim.Adam(
            network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.optimizers[name] = adam
        self.schedules[name] = warmup_cosine(adam, steps, round(config.warmup * steps))

    def network(self, name: str) -> nn.Module:
        """The network of an arm, or of the retrieval."""
        return self.get_submodule(name)

    def order(self, epoch: int) -> Tensor:
        if epoch < self.config.retrieval_epochs:
            return self.pool_order(self.target_set, epoch)
        return self.arm_order("coreset", epoch)

    def arm_order(self, arm: str, epoch: int) -> Tensor:
        """The samples of an arm in the order of an epoch's batches."""
        if not self.pools.chosen:
            self.choose()
        pool = getattr(self.pools, arm).cpu().nonzero()[:, 0]
        return self.pool_order(pool, epoch)

    def pool_order(self, pool: Tensor, epoch: int) -> Tensor:
        """Random orders of a pool, one after another, until an epoch's steps are full.

        Of each order only whole batches are taken: no batch holds an image twice, which the loss
        would push away from itself.
        """
        source = generator(self.config.seed, Stream.ORDER, epoch)
        batch = self.config.batch_size
        whole = len(pool) // batch
        orders = [
            pool[torch.randperm(len(pool), generator=source)[: whole * batch]]
            for _ in range(-(-self.steps_per_epoch // whole))
        ]
        return torch.cat(orders)

    @torch.no_grad()
    def choose(self) -> Selection:
        """Picks the coreset and as many random images; the arms' pools then hold them."""
        config = self.config
        selection = self.selection()
        shuffled = torch.randperm(
            len(self.open_set), generator=generator(config.seed, Stream.PREPARE)
        )
        extra = {
            "coreset": self.open_set[selection.picks],
            "random": self.open_set[shuffled[: len(selection.picks)]],
        }
        for arm in ARMS:
            pool = getattr(self.pools, arm)
            pool[self.target_set.to(pool.device)] = True
            if arm in extra:
                pool[extra[arm].to(pool.device)] = True
        self.pools.chosen.fill_(True)
        return selection

    def selection(self) -> Selection:
        """The coreset by the retrieval network as it is."""
        config, device = self.config, next(self.parameters()).device
        retrieval = self.network("retrieval")
        training = retrieval.training
        retrieval.eval()
        features = encode_all(lambda images: retrieval(images)[0], self.images, device)
        retrieval.train(training)
        return select(
            features[self.target_set],
            features[self.open_set],
            clusters=config.clusters,
            tau=config.tau,
            patience=config.patience,
            budget=config.budget,
            seed=config.seed,
        )

    def step(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
        done = sum(schedule.last_epoch for schedule in self._clocks())
        epoch, position = divmod(done, self.steps_per_epoch)
        if epoch < self.config.retrieval_epochs:
            return {"loss": self.learn("retrieval", batch.images, generator)}
        losses = {"loss": self.learn("coreset", batch.images, generator)}
        size = self.config.batch_size
        for arm in self.arms[1:]:
            indices = self.arm_order(arm, epoch)[position * size : (position + 1) * size]
            images = self.images[indices].to(batch.images.device)
            losses[f"loss.{arm}"] = self.learn(arm, images, generator)
        return losses

    def _clocks(self) -> Sequence[torch.optim.lr_scheduler.LRScheduler]:
        """The schedules that together have counted every step."""
        return [self.schedules["retrieval"], self.schedules["coreset"]]

    def learn(self, name: str, images: Tensor, generator: torch.Generator) -> Tensor:
        """One step of SimCLR for one of the networks; its loss."""
        network = self.network(name)
        views = [random_view(images, self.views, generator) for _ in range(2)]
        if self.after_view is not None:
            views = [self.after_view(view) for view in views]
        # Two passes, not one over both views: BatchNorm must see each view's own statistics.
        loss: Tensor = self.loss(*(network(view)[1] for view in views))
        self.minimise(loss, name)
        return loss.detach()

    def features(self, images: Tensor) -> Tensor:
        encoded: Tensor = self.network("coreset")(images)[0]
        return encoded

    def tables(self, untrained: Self, data: ImageData) -> Sequence[Table]:
        rows = {"untrained": untrained.target_scores("coreset", data)}
        labels = {
            "target": "target only",
            "random": "target + random",
            "coreset": "target + coreset",
        }
        for arm in reversed(self.arms):
            rows[labels[arm]] = self.target_scores(arm, data)
        selection = self.selection()
        caption = (
            f"Accuracies on test images of the target's classes only, with the "
            f"{len(self.target_set)} labelled target images to learn from. Every pre-training "
            f"had the same start and as many steps. Images is the size of the training set, "
            f"alike the share of its open images that belong to the target's classes "
            f"({self.share_alike(self.open_set, data):.1f} % of the open set do). Picking took "
            f"{len(selection.values)} rounds and ended by {selection.ending}."
        )
        return [Table("target classes", "On the target's classes", caption, rows)]

    def target_scores(self, arm: str, data: ImageData) -> dict[str, float]:
        """kNN and linear probe on the target's classes, and what the arm was trained on."""
        inside = torch.isin(data.test_labels, self.target_classes)
        target = replace(
            data,
            train_images=data.train_images[self.target_set],
            train_labels=data.train_labels[self.target_set],
            test_images=data.test_images[inside],
            test_labels=data.test_labels[inside],
        )
        network, device = self.network(arm), next(self.parameters()).device
        scores = score(extract(lambda images: network(images)[0], target, device), target)
        pool = getattr(self.pools, arm).cpu()
        extra = pool.clone()
        extra[self.target_set] = False
        return {
            "kNN %": scores.knn,
            "linear %": scores.linear,
            "images": float(pool.sum()),
            "alike %": self.share_alike(extra.nonzero()[:, 0], data),
        }

    def share_alike(self, indices: Tensor, data: ImageData) -> float:
        """Per cent of some training samples that belong to the target's classes; 0 for none."""
        alike = torch.isin(data.train_labels[indices], self.target_classes)
        return 100 * float(alike.double().mean()) if len(indices) else 0.0
