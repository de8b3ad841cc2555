"""Does Barlow Twins do what its paper claims? Four claims on Fashion-MNIST, a few CPU minutes.

    python bench/claims/barlow-twins.py [--epochs 8] [--seeds 2] [--out barlow-twins.json]

(a) The redundancy term works: against lambda = 0 the mean squared off-diagonal correlation falls
    at least 5 times, the effective rank of the embedding rises at least 3 times, and the linear
    probe gains (3 points are expected).
(b) Accuracy does not fall as the embedding grows from 32 to 512 dimensions.
(c) Batch 32 is within 3 points of batch 256; InfoNCE (NT-Xent) loses more.
(d) The loss through Gram matrices equals the one through the correlation matrix, value and
    gradient, to 1e-5 relative in float32.

Every number is the mean over the seeds; each run prints a line. The exit code says whether all
claims held.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from _common import Claim, conclude, train
from torch import Tensor, nn
from torch.nn import functional as F

from ipse import functional
from ipse.data import ImageData, load
from ipse.evaluation import extract, score
from ipse.methods.barlow_twins import BarlowTwins, BarlowTwinsConfig
from ipse.training.randomness import Stream, generator


class NTXent(nn.Module):
    """SimCLR's InfoNCE over both views, temperature 0.5, written plainly."""

    def forward(self, z1: Tensor, z2: Tensor) -> Tensor:
        z = F.normalize(torch.cat([z1, z2]), dim=1)
        similarity = z @ z.T / 0.5
        similarity.fill_diagonal_(-torch.inf)
        count = len(z1)
        positives = torch.arange(2 * count).roll(count)
        return F.cross_entropy(similarity, positives)


class Contrastive(BarlowTwins):
    """The same networks, views and optimizer with the contrastive loss in place."""

    def build(self, data: ImageData) -> None:
        super().build(data)
        self.loss = NTXent()  # type: ignore[assignment]


@dataclass(frozen=True)
class Outcome:
    """What one training gave, measured on the test images."""

    linear: float
    knn: float
    off_diagonal: float
    effective_rank: float
    seconds: float


def run(method: BarlowTwins, data: ImageData) -> Outcome:
    """Trains and measures."""
    begun = time.monotonic()
    train(method, data)
    scores = score(extract(method.features, data), data)
    correlation = method.correlation_on(data.test_images).double()
    off = correlation - torch.diag(correlation.diagonal())
    size = len(correlation)
    with torch.no_grad():
        embedding = method.embed(data.test_images[:2000])
    return Outcome(
        linear=scores.linear,
        knn=scores.knn,
        off_diagonal=float(off.square().sum()) / (size * (size - 1)),
        effective_rank=effective_rank(embedding),
        seconds=time.monotonic() - begun,
    )


def effective_rank(embedding: Tensor) -> float:
    """exp of the entropy of the normalised singular values of the standardised embedding."""
    centred = embedding.double() - embedding.double().mean(0)
    values = torch.linalg.svdvals(centred / centred.std(0).clamp_min(1e-12))
    shares = values / values.sum()
    return float(torch.exp(-(shares * shares.clamp_min(1e-30).log()).sum()))


class Study:
    """Runs settings over the seeds, each only once."""

    def __init__(self, data: ImageData, epochs: int, seeds: int) -> None:
        self.data, self.epochs, self.seeds = data, epochs, seeds
        self.runs: dict[str, list[Outcome]] = {}

    def mean(self, name: str, kind: type[BarlowTwins] = BarlowTwins, **changes: Any) -> Outcome:
        """Mean outcome of one setting, trained under `name` unless it already is."""
        if name not in self.runs:
            self.runs[name] = [self._one(name, kind, seed, changes) for seed in range(self.seeds)]
        outcomes = [asdict(outcome) for outcome in self.runs[name]]
        return Outcome(
            **{key: sum(o[key] for o in outcomes) / len(outcomes) for key in outcomes[0]}
        )

    def _one(
        self, name: str, kind: type[BarlowTwins], seed: int, changes: dict[str, Any]
    ) -> Outcome:
        config = BarlowTwinsConfig.create(
            data="fashion-mnist", epochs=self.epochs, seed=seed, device="cpu", **changes
        )
        outcome = run(kind(config, self.data), self.data)
        print(
            f"{name:<26} seed {seed}  linear {outcome.linear:5.2f}  kNN {outcome.knn:5.2f}  "
            f"off-diagonal {outcome.off_diagonal:.5f}  rank {outcome.effective_rank:6.1f}  "
            f"{outcome.seconds:5.1f} s",
            flush=True,
        )
        return outcome


def redundancy(study: Study) -> list[Claim]:
    full = study.mean("D=512, batch 256", dimension=512)
    without = study.mean("D=512, lambda 0", dimension=512, lambda_param=0.0)
    decorrelation = without.off_diagonal / full.off_diagonal
    rank = full.effective_rank / without.effective_rank
    gain = full.linear - without.linear
    return [
        Claim(
            "(a) lambda = 1/D against 0",
            f"off-diagonal / {decorrelation:.1f} (>= 5), rank x {rank:.1f} (>= 3)",
            decorrelation >= 5 and rank >= 3,
        ),
        Claim("(a) linear probe higher", f"linear {gain:+.2f} points (> 0)", gain > 0),
        Claim("(a) by the size expected", f"linear {gain:+.2f} points (>= 3)", gain >= 3),
    ]


def dimension(study: Study) -> Claim:
    small = study.mean("D=32, batch 256", dimension=32)
    large = study.mean("D=512, batch 256", dimension=512)
    gain = large.linear - small.linear
    return Claim(
        "(b) D = 512 against 32",
        f"linear {small.linear:.2f} to {large.linear:.2f}, {gain:+.2f} points (>= 0)",
        gain >= 0,
    )


def small_batch(study: Study) -> list[Claim]:
    # Fewer samples per step make a noisier gradient: the rate follows the root of the batch.
    rate = study_rate() * (32 / 256) ** 0.5
    small = {"batch_size": 32, "learning_rate": rate}
    own = study.mean("D=512, batch 256", dimension=512).linear
    own -= study.mean("D=512, batch 32", dimension=512, **small).linear
    other = study.mean("NT-Xent, batch 256", Contrastive, dimension=128).linear
    other -= study.mean("NT-Xent, batch 32", Contrastive, dimension=128, **small).linear
    return [
        Claim("(c) batch 32 against 256", f"linear {-own:+.2f} points (>= -3)", own <= 3),
        Claim(
            "(c) NT-Xent loses more",
            f"NT-Xent {-other:+.2f} points, Barlow Twins {-own:+.2f}",
            other > own,
        ),
    ]


def study_rate() -> float:
    """The learning rate that all settings share."""
    return float(BarlowTwinsConfig.create(data="fashion-mnist").learning_rate)


def exactness() -> Claim:
    worst = 0.0
    for samples, size in ((64, 512), (256, 128), (100, 333)):
        source = generator(0, Stream.STEP, samples, size)
        # Two related views, as in training: independent ones would leave little to compare.
        base = torch.randn(samples, size, generator=source)
        views = [base + 0.5 * torch.randn(samples, size, generator=source) for _ in range(2)]
        results = []
        for side in ("samples", "features"):
            z1, z2 = (view.clone().requires_grad_() for view in views)
            loss = functional.barlow_twins_loss(z1, z2, 1 / size, side=side)
            loss.backward()
            results.append([loss.detach(), z1.grad, z2.grad])
        for one, other in zip(*results, strict=True):
            assert one is not None
            assert other is not None
            worst = max(worst, float((one - other).norm() / other.norm()))
    return Claim(
        "(d) Gram side against C side", f"worst relative {worst:.1e} (<= 1e-5)", worst <= 1e-5
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check the claims of the Barlow Twins paper.")
    parser.add_argument("--root", help="folder with Fashion-MNIST's idx files")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--train-size", type=int, default=10000)
    parser.add_argument("--out", type=Path, help="write everything as JSON to this file")
    options = parser.parse_args(argv)

    study = Study(
        load("fashion-mnist", options.root, train_size=options.train_size),
        options.epochs,
        options.seeds,
    )
    claims = [*redundancy(study), dimension(study), *small_batch(study), exactness()]
    return conclude(claims, options, runs=study.runs)


if __name__ == "__main__":
    sys.exit(main())
