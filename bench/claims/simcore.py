"""Does SimCore pick what resembles the target, stop in time, and does it help? Fashion-MNIST.

    python bench/claims/simcore.py [--epochs 4] [--seeds 3] [--root DIR] [--out FILE]

The target set is 300 images of footwear (classes 5, 7, 9). The open set is 20 000 other images of
all ten classes, and 5000 that are no clothes at all: digits, resized, and random textures. A small
SimCLR encoder is trained on the target set, 20 centroids pick, at most 2000 images.

(i) At least 85 % of the picks are footwear (about 30 % of the open clothes are), and less than 1 %
    are no clothes.
(ii) Without a budget the rule tau = 0.95 ends the picking before the open footwear is used up, and
    at least 75 % of what it picked is footwear.
(iii) Encoders pre-trained with equal steps and the same start on target and coreset, target and as
    many random images, and target alone: in a linear probe of the 300 target labels on held-out
    footwear, coreset >= random >= target alone, and coreset at least 1 point above target alone.
(iv) Exactness: the lazily grown lists pick the same sets in the same rounds as fully sorted ones.

Every number is the mean over the seeds; the exit code says whether all claims held.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from _common import Claim, conclude, train
from torch import Tensor
from torch.nn import functional as F

from ipse.data import ImageData, load, load_digits, textures
from ipse.evaluation import encode_all
from ipse.functional import facility_location_coreset, kmeans
from ipse.methods.simcore import SimCore, SimCoreConfig, select

FOOTWEAR = (5, 7, 9)
NO_CLOTHES = 10  # the label of what is no clothes
TARGET, OPEN, STRANGE = 300, 20000, 5000


@dataclass(frozen=True)
class Picks:
    """A selection: its size, shares of footwear and of no clothes in per cent, and its end."""

    size: int
    footwear: float
    strange: float
    rounds: int
    ending: str
    used_up: float  # per cent of the open footwear that was picked


@dataclass(frozen=True)
class Outcome:
    """One seed: both selections and the probe's accuracy after each pre-training."""

    budgeted: Picks
    stopped: Picks
    linear: dict[str, float]
    seconds: float


def open_fashion(root: str | None) -> ImageData:
    """Fashion-MNIST with strange images among the training part."""
    data = load("fashion-mnist", root, train_size=TARGET + OPEN)
    digits = F.interpolate(load_digits().train_images, 28, mode="bilinear")
    rest = textures(STRANGE - len(digits), 1, 28, torch.Generator().manual_seed(0))
    labels = torch.full((STRANGE,), NO_CLOTHES)
    return replace(
        data,
        train_images=torch.cat([data.train_images, digits, rest]),
        train_labels=torch.cat([data.train_labels, labels]),
        classes=(*data.classes, "no clothes"),
    )


def retrieval_features(method: SimCore, data: ImageData) -> tuple[Tensor, Tensor]:
    """Of the target set and of the open set."""
    network = method.network("retrieval")
    features = encode_all(lambda images: network(images)[0], data.train_images)
    return features[method.target_set], features[method.open_set]


def picks(method: SimCore, data: ImageData, budget: int | None) -> Picks:
    config = method.config
    target, pool = retrieval_features(method, data)
    found = select(
        target,
        pool,
        clusters=config.clusters,
        tau=config.tau,
        patience=config.patience,
        budget=budget,
        seed=config.seed,
    )
    labels = data.train_labels[method.open_set]
    footwear = torch.isin(labels, torch.tensor(FOOTWEAR))
    right = footwear[found.picks]
    return Picks(
        size=len(found.picks),
        footwear=100 * float(right.double().mean()),
        strange=100 * float((labels[found.picks] == NO_CLOTHES).double().mean()),
        rounds=len(found.values),
        ending=found.ending,
        used_up=100 * float(right.sum() / footwear.sum()),
    )


def study(data: ImageData, epochs: int, seeds: int) -> tuple[list[Outcome], SimCore]:
    """All seeds; also the last method, for the check of exactness."""
    outcomes = []
    for seed in range(seeds):
        begun = time.monotonic()
        config = SimCoreConfig.create(
            data="fashion-mnist",
            device="cpu",
            batch_size=64,
            epochs=epochs,
            retrieval_epochs=1,
            seed=seed,
        )
        method = SimCore(config, data)
        train(method, data)
        outcome = Outcome(
            budgeted=picks(method, data, config.budget),
            stopped=picks(method, data, None),
            linear={arm: method.target_scores(arm, data)["linear %"] for arm in method.arms},
            seconds=time.monotonic() - begun,
        )
        outcomes.append(outcome)
        shown = "  ".join(f"{arm} {value:.2f}" for arm, value in outcome.linear.items())
        print(f"seed {seed}  {shown}  {outcome.seconds:.0f} s", flush=True)
        for name, found in (("budget", outcome.budgeted), ("no budget", outcome.stopped)):
            print(
                f"  {name:<9} {found.size} picks in {found.rounds} rounds, ended by "
                f"{found.ending}; footwear {found.footwear:.1f} %, no clothes "
                f"{found.strange:.2f} %; {found.used_up:.1f} % of the open footwear used",
                flush=True,
            )
    return outcomes, method


def judge(outcomes: list[Outcome]) -> list[Claim]:
    def mean(values: Sequence[float]) -> float:
        return sum(values) / len(values)

    footwear = mean([o.budgeted.footwear for o in outcomes])
    strange = mean([o.budgeted.strange for o in outcomes])
    at_stop = mean([o.stopped.footwear for o in outcomes])
    used = max(o.stopped.used_up for o in outcomes)
    in_time = all(o.stopped.ending == "threshold" for o in outcomes) and used < 100
    linear = {arm: mean([o.linear[arm] for o in outcomes]) for arm in outcomes[0].linear}
    order = linear["coreset"] >= linear["random"] >= linear["target"]
    shown = ", ".join(f"{arm} {value:.2f}" for arm, value in linear.items())
    gain = linear["coreset"] - linear["target"]
    return [
        Claim("(i) picks are footwear", f"{footwear:.1f} % (>= 85)", footwear >= 85),
        Claim("(i) picks are clothes", f"{strange:.2f} % are not (< 1)", strange < 1),
        Claim(
            "(ii) stops in time",
            f"at most {used:.1f} % of the open footwear used, by the threshold every time"
            if in_time
            else f"up to {used:.1f} % of the open footwear used, ended by "
            + ", ".join(o.stopped.ending for o in outcomes),
            in_time,
        ),
        Claim("(ii) precision at the stop", f"{at_stop:.1f} % (>= 75)", at_stop >= 75),
        Claim("(iii) coreset >= random >= target", shown, order),
        Claim("(iii) by the size expected", f"{gain:+.2f} points (>= 1)", gain >= 1),
    ]


def exactness(method: SimCore, data: ImageData) -> Claim:
    """In float64, where no two similarities are equal by rounding."""
    target, pool = (x.double() for x in retrieval_features(method, data))
    points = F.normalize(target, dim=1)
    centroids = kmeans(points, method.config.clusters, seed=0).centroids
    found = facility_location_coreset(pool, centroids, tau=0.95, patience=1, budget=2000)
    lazy = [
        set(found.indices[found.rounds == number].tolist())
        for number in range(1, int(found.rounds.max()) + 1)
    ]
    similarity = F.normalize(centroids, dim=1) @ F.normalize(pool, dim=1).T
    queues = [iter(row.argsort(stable=True, descending=True).tolist()) for row in similarity]
    heads = [next(queue) for queue in queues]
    taken: set[int] = set()
    different = 0
    # The last round may be cut to the budget: there the lazy picks are a part.
    for number, mine in enumerate(lazy):
        for index, queue in enumerate(queues):
            while heads[index] in taken:
                heads[index] = next(queue)
        full = set(heads)
        taken |= full
        last = number == len(lazy) - 1 and found.ending == "budget"
        different += not (mine <= full if last else mine == full)
    return Claim(
        "(iv) lazy lists are exact",
        f"{different} of {len(lazy)} rounds differ from the full sort (0)",
        different == 0,
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check the claims of SimCore.")
    parser.add_argument("--root", help="folder with Fashion-MNIST's idx files")
    parser.add_argument("--epochs", type=int, default=4, help="the first trains the retrieval")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write everything as JSON to this file")
    options = parser.parse_args(argv)

    data = open_fashion(options.root)
    outcomes, method = study(data, options.epochs, options.seeds)
    claims = [*judge(outcomes), exactness(method, data)]
    return conclude(claims, options, runs=outcomes)


if __name__ == "__main__":
    sys.exit(main())
