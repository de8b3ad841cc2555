"""Do SimCLR, MoCo v2, SwAV and DINO learn? Each against random features, on Fashion-MNIST.

    python bench/claims/baselines.py [--epochs 5] [--seeds 1] [--out baselines.json]

The first 10 000 training images without labels, every method with the defaults of `ipse run`, but
for the number of epochs; kNN and linear probe on the 10 000 test images. The claim, for each: kNN
and linear probe are higher than those of the same encoder untrained.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from _common import train

from ipse import methods
from ipse.data import ImageData, load
from ipse.evaluation import Scores, extract, score
from ipse.training import Method

BASELINES = ("simclr", "moco", "swav", "dino")


def scores_of(method: Method[Any], data: ImageData) -> Scores:
    return score(extract(method.features, data), data)


def show(name: str, seed: int, scores: Scores, seconds: float) -> None:
    print(
        f"{name:<18} seed {seed}  kNN {scores.knn:5.2f}  linear {scores.linear:5.2f}  "
        f"{seconds:4.0f} s of CPU time",
        flush=True,
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", help="folder with Fashion-MNIST's files")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--train-size", type=int, default=10000)
    parser.add_argument("--out", type=Path, help="write everything as JSON to this file")
    options = parser.parse_args(argv)

    data = load("fashion-mnist", options.root, train_size=options.train_size)
    found: dict[str, dict[str, float]] = {}
    holds = True
    for seed in range(options.seeds):
        random: Scores | None = None
        for slug in BASELINES:
            kind = methods.get(slug)
            config = kind.Config.create(
                data="fashion-mnist", epochs=options.epochs, seed=seed, device="cpu"
            )
            method, begun = kind(config, data), time.process_time()
            method.eval()
            if random is None:  # the encoder is made first, so it is the same for all four
                random = scores_of(method, data)
                show("random features", seed, random, time.process_time() - begun)
                found[f"random features, seed {seed}"] = asdict(random)
            train(method, data)
            trained = scores_of(method, data)
            show(slug, seed, trained, time.process_time() - begun)
            found[f"{slug}, seed {seed}"] = asdict(trained)
            better = trained.knn > random.knn and trained.linear > random.linear
            print(f"{'holds' if better else 'FAILS'}  {slug} beats random features", flush=True)
            holds = holds and better
    if options.out:
        options.out.write_text(json.dumps({"epochs": options.epochs, "runs": found}, indent=2))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
