"""Does BSS do what its paper claims? Fashion-MNIST under coloured light, some CPU minutes.

    python bench/claims/batch-styles-standardization.py [--epochs 4] [--seeds 3] [--out bss.json]

Three domains to learn from, 2000 images each, and a fourth, under another light, that is only
tested on. SimCLR on three kinds of views, everything else alike: styles left alone (none), every
image given the style of another drawn for it (FA), every view of the batch given the style of one
image (BSS). Geometry is drawn for each image, changes of colour once for each view in all three.

(1) Under the unseen light a linear probe is right more often with BSS than with FA, and with FA
    than with none; BSS gains at least 8 points on none, and 1 on FA.
(2) The features say less about the domain: a linear probe for it is at least 15 points worse with
    BSS than with none, and fewer of the ten nearest neighbours are of an image's own domain.
(3) That costs nothing where the light is known: within 3 points of none on other images of the
    training domains.

Every figure is the mean over the seeds. The exit code says whether all claims held.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from _common import Claim, conclude, train

from ipse.data import DomainData, load
from ipse.methods.batch_styles_standardization import (
    BatchStylesStandardization,
    BSSConfig,
    domain_scores,
)

ARMS = {"none": "none", "FA": "image", "BSS": "batch"}


def run(data: DomainData, arm: str, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Trains and measures."""
    begun = time.process_time()
    config = BSSConfig.create(
        data=data.name,
        train_size=None,
        batch_size=128,
        epochs=options.epochs,
        styles=ARMS[arm],
        negatives=options.negatives,
        jitter=options.jitter,
        seed=seed,
        device="cpu",
    )
    method = BatchStylesStandardization(config, data)
    train(method, data)
    scores = domain_scores(method, data)
    seconds = time.process_time() - begun
    figures = "  ".join(f"{name} {value:5.2f}" for name, value in scores.items())
    print(f"{arm:<5} seed {seed}  {figures}  {seconds:5.1f} CPU s", flush=True)
    return {**scores, "seconds": seconds}


def claims_of(runs: dict[str, list[dict[str, float]]]) -> list[Claim]:
    def average(arm: str, name: str) -> float:
        return mean(run[name] for run in runs[arm])

    unseen, seen, probe, same = (
        {arm: average(arm, name) for arm in ARMS}
        for name in ("unseen domain", "seen domains", "domain probe", "same domain")
    )
    over_none, over_fa = unseen["BSS"] - unseen["none"], unseen["BSS"] - unseen["FA"]
    drop, cost = probe["none"] - probe["BSS"], seen["none"] - seen["BSS"]
    ordered = unseen["BSS"] > unseen["FA"] > unseen["none"]
    values = ", ".join(f"{arm} {value:.2f}" for arm, value in unseen.items())
    neighbours = f"{same['none']:.1f} to {same['BSS']:.1f} %"
    return [
        Claim("(1) unseen domain: BSS > FA > none", values, ordered),
        Claim("(1) BSS over none", f"{over_none:+.2f} points (>= 8)", over_none >= 8),
        Claim("(1) BSS over FA", f"{over_fa:+.2f} points (>= 1)", over_fa >= 1),
        Claim("(2) domain probe", f"{-drop:+.2f} points (<= -15)", drop >= 15),
        Claim("(2) neighbours of the same domain", neighbours, same["BSS"] < same["none"]),
        Claim("(3) seen domains", f"{-cost:+.2f} points (>= -3)", cost <= 3),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check the claims of the BSS paper.")
    parser.add_argument("--root", help="folder with Fashion-MNIST's idx files")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--negatives", default="same_view", choices=("same_view", "all"))
    parser.add_argument("--jitter", default="batch", choices=("batch", "image"))
    parser.add_argument("--out", type=Path, help="write everything as JSON to this file")
    options = parser.parse_args(argv)

    data = load("styled-fashion-mnist", options.root)
    assert isinstance(data, DomainData)
    runs: dict[str, list[dict[str, float]]] = {arm: [] for arm in ARMS}
    for seed in range(options.seeds):
        for arm in ARMS:
            runs[arm].append(run(data, arm, seed, options))
    claims = claims_of(runs)
    return conclude(claims, options, runs=runs)


if __name__ == "__main__":
    sys.exit(main())
