"""Does mixing images guard Barlow Twins against overfitting? Digits, long training, CPU minutes.

    python bench/claims/mixed-barlow-twins.py [--epochs 300] [--seeds 3] [--out FILE]

The overfitting regime on purpose: 1200 digits (597 others to test on), an MLP 64-256-128 with a
projector 512-1024, hundreds of epochs. kNN accuracy (k = 20) of the encoder's output is taken every
20 epochs.

(a) Plain Barlow Twins ends below its own peak.
(b) Mixed Barlow Twins falls less from its peak, and ends higher (by 0.5 points, as expected).
(c) The penalty, only measured under plain Barlow Twins, is at least 3 times that under Mixed.
(d) The penalty through three Gram matrices equals the one through six correlation matrices, value
    and gradient, to 1e-5 relative in float32.

Every number is the mean over the seeds; the exit code says whether all claims held.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from _common import Claim, conclude
from torch import Tensor, nn

from ipse.data import ImageData, ViewDistribution, load, random_view
from ipse.evaluation import extract, weighted_knn
from ipse.functional import mixed_correlation_penalty
from ipse.losses import BarlowTwinsLoss, MixedBarlowTwinsLoss
from ipse.methods.barlow_twins import BarlowTwins
from ipse.methods.mixed_barlow_twins import MixedBarlowTwins, MixedBarlowTwinsConfig, mix_images
from ipse.training import warmup_cosine
from ipse.training.randomness import Stream, generator

EVERY = 20  # epochs between two looks at the accuracy
VIEWS = ViewDistribution(shift=0.12, noise=0.2)


class Mixed(MixedBarlowTwins):
    """The method with an MLP in the encoder's place, and shifts and noise for views."""

    def build(self, data: ImageData) -> None:
        config = self.config
        self.encoder = nn.Sequential(  # type: ignore[assignment]
            *(nn.Flatten(), nn.Linear(64, 256), nn.BatchNorm1d(256), nn.ReLU()),
            nn.Linear(256, 128),
        )
        self.projector = nn.Sequential(
            *(nn.Linear(128, 512, bias=False), nn.BatchNorm1d(512), nn.ReLU()),
            nn.Linear(512, config.dimension),
        )
        self.loss = MixedBarlowTwinsLoss(config.off_diagonal_weight, config.regularization)
        self.views = VIEWS
        adam = torch.optim.Adam(
            self.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.optimizers["main"] = adam
        warmup = round(config.warmup * self.total_steps)
        self.schedules["main"] = warmup_cosine(adam, self.total_steps, warmup)


class Plain(Mixed):
    """The same networks, views and optimizer under the loss of Barlow Twins alone."""

    def build(self, data: ImageData) -> None:
        super().build(data)
        self.loss = BarlowTwinsLoss(self.config.off_diagonal_weight)

    step = BarlowTwins.step


@dataclass(frozen=True)
class Outcome:
    """What one training gave: kNN accuracy every few epochs, and the penalty at the end."""

    knn: list[float]
    penalty: float
    seconds: float

    @property
    def peak(self) -> float:
        return max(self.knn)

    @property
    def final(self) -> float:
        return self.knn[-1]


def split_digits() -> ImageData:
    """All 1797 digits, 1200 of them to train on: the first ones of a fixed random order."""
    digits = load("digits")
    images = torch.cat([digits.train_images, digits.test_images])
    labels = torch.cat([digits.train_labels, digits.test_labels])
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    train, test = order[:1200], order[1200:]
    return ImageData(
        "digits", images[train], labels[train], images[test], labels[test], digits.classes
    )


def train(method: Mixed, data: ImageData) -> Outcome:
    """Trains and looks at the accuracy now and then; the steps are the library's."""
    begun, config, accuracies = time.monotonic(), method.config, []
    for epoch in range(config.epochs):
        method.train()
        order = torch.randperm(
            len(data.train_images), generator=generator(config.seed, Stream.ORDER, epoch)
        )
        for step in range(method.steps_per_epoch):
            indices = order[step * config.batch_size : (step + 1) * config.batch_size]
            batch = data.batch(indices, torch.device("cpu"))
            method.step(batch, generator(config.seed, Stream.STEP, epoch, step))
        if (epoch + 1) % EVERY == 0 or epoch + 1 == config.epochs:
            accuracies.append(knn_accuracy(method, data))
    return Outcome(accuracies, penalty_on(method, data), time.monotonic() - begun)


def knn_accuracy(method: Mixed, data: ImageData) -> float:
    method.eval()
    features = extract(method.features, data)
    predicted = weighted_knn(features.train, data.train_labels, features.test, k=20)
    return 100 * float((predicted == data.test_labels).double().mean())


@torch.no_grad()
def penalty_on(method: Mixed, data: ImageData, batches: int = 8) -> float:
    """Mean penalty on training batches, as a training step would see it."""
    method.train()
    total = 0.0
    for index in range(batches):
        source = generator(method.config.seed, Stream.PICTURES, index)
        chosen = torch.randperm(len(data.train_images), generator=source)[:256]
        view1, view2 = (random_view(data.train_images[chosen], VIEWS, source) for _ in range(2))
        mixed, permutation, weight = mix_images(view1, view2, source)
        embedded = [method.embed(images) for images in (view1, view2, mixed)]
        total += float(mixed_correlation_penalty(*embedded, permutation, weight)) / batches
    return total


def six_matrices(z1: Tensor, z2: Tensor, mixed: Tensor, order: Tensor, weight: float) -> Tensor:
    """The penalty as the paper writes it."""
    a, b, m = ((z - z.mean(0)) / (z.var(0) + 1e-5).sqrt() for z in (z1, z2, mixed))
    total = torch.zeros(())
    for view in (a, b):
        target = weight * a.T @ view / len(a) + (1 - weight) * b[order].T @ view / len(a)
        total = total + (m.T @ view / len(a) - target).square().sum()
    return total


def exactness() -> Claim:
    worst = 0.0
    for samples, size in ((64, 512), (256, 1024), (256, 100)):
        source = generator(0, Stream.STEP, samples, size)
        base = torch.randn(samples, size, generator=source)
        noise = torch.randn(3, samples, size, generator=source)
        order, weight = torch.randperm(samples, generator=source), 0.3
        mix = weight * base + (1 - weight) * base[order]
        inputs = (base + 0.5 * noise[0], base + 0.5 * noise[1], mix + 0.5 * noise[2])
        results = []
        for function in (mixed_correlation_penalty, six_matrices):
            views = [z.clone().requires_grad_() for z in inputs]
            value = function(*views, order, weight)
            results.append([value.detach(), *torch.autograd.grad(value, views)])
        for one, other in zip(*results, strict=True):
            worst = max(worst, float((one - other).norm() / other.norm()))
    return Claim("(d) Gram form exact", f"worst relative {worst:.1e} (<= 1e-5)", worst <= 1e-5)


def study(data: ImageData, epochs: int, seeds: int) -> dict[str, list[Outcome]]:
    """Both methods over all seeds."""
    runs: dict[str, list[Outcome]] = {"Barlow Twins": [], "Mixed Barlow Twins": []}
    for seed in range(seeds):
        for name, kind in (("Barlow Twins", Plain), ("Mixed Barlow Twins", Mixed)):
            config = MixedBarlowTwinsConfig.create(
                epochs=epochs, dimension=1024, seed=seed, device="cpu"
            )
            outcome = train(kind(config, data), data)
            runs[name].append(outcome)
            print(
                f"{name:<19} seed {seed}  peak {outcome.peak:.2f}  final {outcome.final:.2f}  "
                f"penalty {outcome.penalty:.2f}  {outcome.seconds:.1f} s  "
                + " ".join(f"{accuracy:.1f}" for accuracy in outcome.knn),
                flush=True,
            )
    return runs


def judge(runs: dict[str, list[Outcome]]) -> list[Claim]:
    def mean(name: str, value: str) -> float:
        return sum(getattr(outcome, value) for outcome in runs[name]) / len(runs[name])

    plain, mixed = "Barlow Twins", "Mixed Barlow Twins"
    drops = {name: mean(name, "peak") - mean(name, "final") for name in runs}
    gain = mean(mixed, "final") - mean(plain, "final")
    penalties = mean(plain, "penalty") / mean(mixed, "penalty")
    return [
        Claim("(a) plain falls from its peak", f"{drops[plain]:.2f} points", drops[plain] > 0),
        Claim(
            "(b) Mixed falls less",
            f"{drops[mixed]:.2f} against {drops[plain]:.2f} points",
            drops[mixed] < drops[plain],
        ),
        Claim("(b) Mixed ends higher", f"{gain:+.2f} points (> 0)", gain > 0),
        Claim("(b) by the size expected", f"{gain:+.2f} points (>= 0.5)", gain >= 0.5),
        Claim("(c) penalty under plain", f"{penalties:.1f} times as large (>= 3)", penalties >= 3),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check the claims of Mixed Barlow Twins.")
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write everything as JSON to this file")
    options = parser.parse_args(argv)

    runs = study(split_digits(), options.epochs, options.seeds)
    claims = [*judge(runs), exactness()]
    return conclude(claims, options, runs=runs)


if __name__ == "__main__":
    sys.exit(main())
