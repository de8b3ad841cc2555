"""Does LOOK do what its paper claims? Coarse labels, fine test: some CPU minutes.

    python bench/claims/look.py [--epochs 30] [--seeds 3] [--out look.json]

A network is pre-trained on Fashion-MNIST with four coarse labels (tops; dress and trouser; shoes;
bag) and then frozen. A linear probe and kNN on its features try to tell all ten classes apart:
what the pre-training did not have to know, but could have kept.

(a) LOOK with k = 20 is at least 3 points above cross-entropy on the ten classes (linear probe), and
    above SupCon.
(b) On the coarse labels (kNN) it is within 2 points of cross-entropy.
(c) It keeps more of the variance within the coarse classes than cross-entropy does.
(d) The freedom comes from looking at few neighbours: as k grows to the whole memory, the advantage
    over cross-entropy shrinks.

All methods have the same encoder, views, optimizer, batches of 256 and epochs; LOOK looks among the
batch and a queue of 2048. Few images, many epochs and views that only shift let cross-entropy come
near its end, where it is said to collapse the classes. (a) to (c) are means over all seeds, the
rest of the sweep in (d) over the first `--sweep-seeds`. The exit code says whether all claims held.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from _common import Claim, conclude
from torch import Tensor, nn
from torch.nn import functional as F

from ipse.data import Batch, ImageData, ViewDistribution, load
from ipse.evaluation import extract, score, weighted_knn
from ipse.losses import SupConLoss
from ipse.methods.look import LOOK, LOOKConfig
from ipse.training.randomness import Stream, generator

# T-shirt, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle boot.
COARSE = torch.tensor([0, 1, 0, 1, 0, 2, 0, 2, 3, 2])
VIEWS = ViewDistribution(shift=0.04)
QUEUE = 2048
BATCH = 256


class CrossEntropy(LOOK):
    """The same network with a linear classifier on the encoder: the usual training."""

    def build_heads(self) -> None:
        super().build_heads()
        self.classifier = nn.Linear(self.encoder.features, 4)

    def step(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
        view, _ = self.two_views(batch.images, generator)
        loss = F.cross_entropy(self.classifier(self.encoder(view)), batch.labels)
        self.minimise(loss)
        return {"loss": loss.detach()}


class SupCon(LOOK):
    """The same network with SupCon: all members of a class in the batch attract each other."""

    def build_heads(self) -> None:
        super().build_heads()
        self.supcon = SupConLoss(temperature=0.1)

    def step(self, batch: Batch, generator: torch.Generator) -> Mapping[str, Tensor]:
        views = self.two_views(batch.images, generator)
        z = torch.stack([F.normalize(self.embed(view), dim=1) for view in views], dim=1)
        loss = self.supcon(z, batch.labels)
        self.minimise(loss)
        return {"loss": loss.detach()}


@dataclass(frozen=True)
class Outcome:
    """What one training gave: test accuracies in per cent, and the share of variance kept."""

    fine_linear: float
    fine_knn: float
    coarse_knn: float
    within: float
    last_loss: float
    seconds: float


class Study:
    """Runs every setting with its seeds, each only once."""

    def __init__(self, data: ImageData, epochs: int) -> None:
        self.data, self.epochs = data, epochs
        self.coarse = replace(
            data, train_labels=COARSE[data.train_labels], test_labels=COARSE[data.test_labels]
        )
        self.runs: dict[str, list[Outcome]] = {}

    def run(self, name: str, kind: type[LOOK], seeds: int, **changes: Any) -> None:
        known = self.runs.setdefault(name, [])
        for seed in range(len(known), seeds):
            config = LOOKConfig.create(
                data="fashion-mnist",
                train_size=None,
                batch_size=BATCH,
                queue=QUEUE,
                epochs=self.epochs,
                seed=seed,
                device="cpu",
                **changes,
            )
            outcome = self._train(kind(config, self.coarse))
            known.append(outcome)
            print(
                f"{name:<14} seed {seed}  fine linear {outcome.fine_linear:5.2f} kNN "
                f"{outcome.fine_knn:5.2f}  coarse kNN {outcome.coarse_knn:5.2f}  within "
                f"{outcome.within:.3f}  loss {outcome.last_loss:.3f}  {outcome.seconds:5.1f} CPU s",
                flush=True,
            )

    def mean(self, name: str, quantity: str, seeds: int | None = None) -> float:
        values = [getattr(outcome, quantity) for outcome in self.runs[name][:seeds]]
        return sum(values) / len(values)

    def _train(self, method: LOOK) -> Outcome:
        """Trains and measures; the steps are the library's, the loop is the shortest possible."""
        begun, config = time.process_time(), method.config
        method.views = VIEWS
        method.train()
        losses = []
        for epoch in range(config.epochs):
            order = method.order(epoch)
            for step in range(method.steps_per_epoch):
                batch = self.coarse.batch(order[step * BATCH : (step + 1) * BATCH], CPU)
                source = generator(config.seed, Stream.STEP, epoch, step)
                losses.append(float(method.step(batch, source)["loss"]))
        method.eval()
        features = extract(method.features, self.data)
        fine = score(features, self.data)
        coarse = weighted_knn(features.train, self.coarse.train_labels, features.test)
        return Outcome(
            fine_linear=fine.linear,
            fine_knn=fine.knn,
            coarse_knn=100 * float((coarse == self.coarse.test_labels).double().mean()),
            within=within_share(features.test, self.coarse.test_labels),
            last_loss=sum(losses[-method.steps_per_epoch :]) / method.steps_per_epoch,
            seconds=time.process_time() - begun,
        )


CPU = torch.device("cpu")


def within_share(features: Tensor, labels: Tensor) -> float:
    """The part of the total variance of unit-length features that lies within the classes."""
    z = F.normalize(features.double(), dim=1)
    total = (z - z.mean(0)).square().sum()
    groups = [z[labels == label] for label in labels.unique()]
    within = sum(float((group - group.mean(0)).square().sum()) for group in groups)
    return within / float(total)


def transfer(study: Study, seeds: int) -> list[Claim]:
    study.run("cross-entropy", CrossEntropy, seeds)
    study.run("LOOK k=20", LOOK, seeds, k=20)
    study.run("SupCon", SupCon, seeds)
    look, entropy, supcon = (
        {quantity: study.mean(name, quantity) for quantity in Outcome.__dataclass_fields__}
        for name in ("LOOK k=20", "cross-entropy", "SupCon")
    )
    gain = look["fine_linear"] - entropy["fine_linear"]
    other = look["fine_linear"] - supcon["fine_linear"]
    coarse = look["coarse_knn"] - entropy["coarse_knn"]
    return [
        Claim("(a) fine labels, against CE", f"{gain:+.2f} points (>= 3)", gain >= 3),
        Claim("(a) fine labels, against SupCon", f"{other:+.2f} points (> 0)", other > 0),
        Claim("(b) coarse labels, against CE", f"{coarse:+.2f} points (within 2)", coarse >= -2),
        Claim(
            "(c) variance within coarse classes",
            f"{look['within']:.3f} of the total, CE {entropy['within']:.3f}",
            look["within"] > entropy["within"],
        ),
    ]


def sweep(study: Study, seeds: int) -> Claim:
    sizes = {"10": 10, "20": 20, "50": 50, "500": 500, "all": QUEUE + BATCH}
    gains = {}
    for name, k in sizes.items():
        study.run(f"LOOK k={name}", LOOK, seeds, k=k)
        gains[name] = study.mean(f"LOOK k={name}", "fine_linear", seeds)
        gains[name] -= study.mean("cross-entropy", "fine_linear", seeds)
    few, many = max(gains["10"], gains["20"]), gains["all"]
    return Claim(
        "(d) the advantage shrinks as k grows",
        ", ".join(f"k={name} {gain:+.2f}" for name, gain in gains.items()),
        few > gains["500"] and few > many,
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check the claims of the LOOK paper.")
    parser.add_argument("--root", help="folder with Fashion-MNIST's idx files")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sweep-seeds", type=int, default=1, help="seeds for claim (d)")
    parser.add_argument("--train-size", type=int, default=2560)
    parser.add_argument("--out", type=Path, help="write everything as JSON to this file")
    options = parser.parse_args(argv)

    study = Study(
        load("fashion-mnist", options.root, train_size=options.train_size), options.epochs
    )
    claims = [*transfer(study, options.seeds), sweep(study, options.sweep_seeds)]
    return conclude(claims, options, runs=study.runs)


if __name__ == "__main__":
    sys.exit(main())
