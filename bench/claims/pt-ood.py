"""Do familiar outliers escape self-supervised networks, and does kNN find them? Fashion-MNIST.

    python bench/claims/pt-ood.py [--epochs 8] [--seeds 3] [--root DIR] [--out FILE]

Small encoders are pre-trained on 15 000 images of all ten classes: by their labels, or by Barlow
Twins. Five classes are in-distribution (a linear probe and a kNN bank on 300 images of each); test
images of the other five are familiar outliers. Two splits of the classes are checked with the same
encoders: the first five against the last five, and one that parts look-alikes (T-shirt from shirt,
pullover from coat, sneaker from ankle boot). Digits, resized, are unfamiliar outliers, reported
only. The claims, each checked for either split:

(i) By the probe's confidence (MSP and energy), familiar outliers are found better on the
    supervised encoder: AUROC at least 3 points higher.
(ii) On the self-supervised encoder kNN's AUROC is at least 5 points above MSP's.
(iii) kNN closes at least half of the gap in MSP's AUROC between the two encoders.
(iv) A linear classifier that is shown both sets separates them better on the supervised encoder.
(v) Exactness: kNN equals brute force, AUROC the Mann-Whitney statistic with ties, and constant
    scores give 0.5.

Every number is the mean over the seeds; the exit code says whether all claims held.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from _common import Claim, conclude, train

from ipse.data import ImageData, load
from ipse.evaluation import auroc, encode_all, knn_score, linear_probe
from ipse.methods.pt_ood import (
    PTOOD,
    PTOODConfig,
    detect,
    detection_sets,
    known_classes,
    separability,
)
from ipse.training.randomness import Stream, generator

BACKBONES = ("supervised", "self-supervised")
SPLITS = {"first five": "0,1,2,3,4", "look-alikes": "0,1,2,7,8"}


@dataclass(frozen=True)
class Outcome:
    """One encoder on one split: metrics by score and outliers, separability, probe accuracy."""

    metrics: dict[str, dict[str, dict[str, float]]]
    separability: float
    probe: float
    seconds: float


# By split, then by backbone: one outcome a seed.
Runs = dict[str, dict[str, list[Outcome]]]


def measure(method: PTOOD, data: ImageData, split: str, begun: float) -> Outcome:
    known = known_classes(SPLITS[split], 10)
    features = {
        name: encode_all(method.features, images)
        for name, images in detection_sets(data, known, method.config).items()
    }
    labels = torch.tensor(known).repeat_interleave(method.config.shots)
    bank, inside = features.pop("train"), features.pop("known")
    results = detect(bank, labels, inside, features, method.config.neighbours)
    truth = data.test_labels[torch.isin(data.test_labels, torch.tensor(known))]
    return Outcome(
        metrics={
            score: {name: asdict(metrics) for name, metrics in sets.items()}
            for score, sets in results.items()
        },
        separability=separability(inside, features["familiar"]),
        probe=100 * float((linear_probe(bank, labels, inside) == truth).double().mean()),
        seconds=time.monotonic() - begun,
    )


def study(data: ImageData, epochs: int, seeds: int) -> Runs:
    """Both encoders over all seeds, each on every split."""
    runs: Runs = {split: {name: [] for name in BACKBONES} for split in SPLITS}
    for seed in range(seeds):
        for name in BACKBONES:
            begun = time.monotonic()
            config = PTOODConfig.create(
                data="fashion-mnist", epochs=epochs, seed=seed, device="cpu", backbone=name
            )
            method = PTOOD(config, data)
            train(method, data)
            for split in SPLITS:
                outcome = measure(method, data, split, begun)
                runs[split][name].append(outcome)
                shown = "  ".join(
                    f"{score} {sets['familiar']['auroc']:.2f}"
                    for score, sets in outcome.metrics.items()
                )
                print(
                    f"{split:<11} {name:<15} seed {seed}  {shown}  "
                    f"separable {outcome.separability:.2f}  probe {outcome.probe:.2f}  "
                    f"{outcome.seconds:.0f} s",
                    flush=True,
                )
    return runs


def average(outcomes: list[Outcome], score: str, outliers: str, measure: str) -> float:
    values = [outcome.metrics[score][outliers][measure] for outcome in outcomes]
    return sum(values) / len(values)


def print_means(runs: Runs) -> None:
    """AUROC and FPR95 of every score, means over the seeds."""
    for split, encoders in runs.items():
        for name, outcomes in encoders.items():
            print(f"\n{split}, {name}: AUROC / FPR95 on familiar, on unfamiliar outliers")
            for score in outcomes[0].metrics:
                cells = "   ".join(
                    f"{average(outcomes, score, outliers, 'auroc'):6.2f} / "
                    f"{average(outcomes, score, outliers, 'fpr95'):6.2f}"
                    for outliers in ("familiar", "unfamiliar")
                )
                print(f"  {score:<12} {cells}")


def judge(split: str, encoders: dict[str, list[Outcome]]) -> list[Claim]:
    def mean(backbone: str, score: str) -> float:
        return average(encoders[backbone], score, "familiar", "auroc")

    supervised, own = BACKBONES
    claims = []
    for score in ("msp", "energy"):
        gap = mean(supervised, score) - mean(own, score)
        claims.append(
            Claim(
                f"{split} (i) supervised better by {score}",
                f"{mean(supervised, score):.2f} against {mean(own, score):.2f}, "
                f"{gap:+.2f} points (>= 3)",
                gap >= 3,
            )
        )
    gain = mean(own, "knn") - mean(own, "msp")
    gap = mean(supervised, "msp") - mean(own, "msp")
    oracles = [sum(o.separability for o in encoders[b]) / len(encoders[b]) for b in BACKBONES]
    return [
        *claims,
        Claim(
            f"{split} (ii) kNN above MSP",
            f"{mean(own, 'knn'):.2f} against {mean(own, 'msp'):.2f}, {gain:+.2f} points (>= 5)",
            gain >= 5,
        ),
        Claim(
            f"{split} (iii) kNN closes half the gap",
            f"{gain:+.2f} of a gap of {gap:+.2f} points (a gap, and half of it)",
            gap > 0 and gain >= gap / 2,
        ),
        Claim(
            f"{split} (iv) supervised more separable",
            f"{oracles[0]:.2f} % against {oracles[1]:.2f} %",
            oracles[0] > oracles[1],
        ),
    ]


def exactness() -> list[Claim]:
    source = generator(0, Stream.STEP)
    features = torch.randn(1000, 64, generator=source)
    bank = torch.randn(700, 64, generator=source)
    unit = [x.double() / x.double().norm(dim=1, keepdim=True) for x in (features, bank)]
    distances = torch.cdist(*unit, compute_mode="donot_use_mm_for_euclid_dist")
    worst = 0.0
    for k in (1, 10, 700):
        brute = -distances.kthvalue(k, dim=1).values
        worst = max(worst, float((knn_score(features, bank, k) - brute).abs().max()))
    inside = torch.randint(0, 9, (500,), generator=source).float()
    outside = torch.randint(-2, 6, (400,), generator=source).float()
    wins = (inside[:, None] > outside).double() + (inside[:, None] == outside).double() / 2
    error = abs(auroc(inside, outside) - float(wins.mean()))
    constant = auroc(torch.ones(500), torch.ones(400))
    return [
        Claim("(v) kNN is brute force", f"worst {worst:.1e} (<= 1e-6)", worst <= 1e-6),
        Claim("(v) AUROC is Mann-Whitney", f"differs by {error:.1e} (<= 1e-12)", error <= 1e-12),
        Claim("(v) constant scores", f"AUROC {constant} (0.5)", constant == 0.5),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check the claims of PT-OOD.")
    parser.add_argument("--root", help="folder with Fashion-MNIST's idx files")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train-size", type=int, default=15000)
    parser.add_argument("--out", type=Path, help="write everything as JSON to this file")
    options = parser.parse_args(argv)

    data = load("fashion-mnist", options.root, train_size=options.train_size)
    runs = study(data, options.epochs, options.seeds)
    print_means(runs)
    claims = [claim for split, encoders in runs.items() for claim in judge(split, encoders)]
    claims += exactness()
    return conclude(claims, options, runs=runs)


if __name__ == "__main__":
    sys.exit(main())
