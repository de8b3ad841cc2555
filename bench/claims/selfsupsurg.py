"""Does SelfSupSurg's recipe do what the study claims? On procedural surgery videos, CPU minutes.

    python bench/claims/selfsupsurg.py [--epochs 20] [--seeds 2] [--out selfsupsurg.json]

Networks are pre-trained on the frames of 20 videos without labels, then fine-tuned on the labels of
2 of them (10 %; three draws a seed) or of all 20. Scores are macro F1 on 10 other videos.

(a) Pre-training with the domain recipe beats training from scratch by >= 4 points at 10 % labels.
(b) The gain is smaller at 100 %.
(c) The domain recipe is at least as good as the generic (ImageNet) one at 10 %.
(d) All four losses beat random features: frozen features, a linear probe on all labels.
(e) Splitting by frames instead of videos inflates accuracy by >= 10 points.

Every number is the mean over the seeds and draws; each run prints a line. The exit code says
whether all claims held.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from _common import Claim, conclude
from torch import Tensor, nn

from ipse.data import (
    LeakageWarning,
    VideoData,
    draw_videos,
    load_surgery,
    random_view,
    split_frames,
    standard_views,
)
from ipse.evaluation import encode_all, fine_tune, linear_probe, video_macro_f1, weighted_knn
from ipse.methods.selfsupsurg import SelfSupSurg, SelfSupSurgConfig
from ipse.training.randomness import Stream, generator

FEW, DRAWS = 2, 3
STEPS = {"10 %": 150, "100 %": 600}
VIEWS = standard_views("surgery")


def view(images: Tensor, source: torch.Generator) -> Tensor:
    """The augmentation of the fine-tuning, the same for all that are compared."""
    return random_view(images, VIEWS, source)


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


class Study:
    """Pre-trains and fine-tunes, each only once, and remembers every score."""

    def __init__(self, data: VideoData, epochs: int) -> None:
        self.data, self.epochs = data, epochs
        self.methods: dict[str, SelfSupSurg] = {}
        self.scores: dict[str, list[float]] = {}

    def pretrained(self, loss: str, recipe: str, seed: int) -> SelfSupSurg:
        """The method after training; the steps are the library's, the loop the shortest."""
        name = f"{loss}, {recipe}, seed {seed}"
        if name not in self.methods:
            begun = time.process_time()
            method = self.untrained(seed, loss, recipe).train()
            size = method.config.batch_size
            for epoch in range(method.config.epochs):
                order = method.order(epoch)
                for step in range(method.steps_per_epoch):
                    indices = order[step * size : (step + 1) * size]
                    batch = self.data.batch(indices, torch.device("cpu"))
                    scalars = method.step(batch, generator(seed, Stream.STEP, epoch, step))
            seconds = time.process_time() - begun
            print(f"{name}: loss {scalars['loss']:.3f}, {seconds:.0f} s of CPU time", flush=True)
            self.methods[name] = method.eval()
        return self.methods[name]

    def untrained(self, seed: int, loss: str = "simclr", recipe: str = "domain") -> SelfSupSurg:
        """The very network that pre-training with this seed starts from."""
        config = SelfSupSurgConfig.create(
            loss=loss, recipe=recipe, epochs=self.epochs, seed=seed, device="cpu"
        )
        return SelfSupSurg(config, self.data).eval()

    def tuned(self, name: str, share: str, method: SelfSupSurg, seed: int) -> None:
        """Fine-tunes on a share of the labels, several draws if it is small, and scores."""
        everything = len(self.data.train_videos.unique())
        encoder = method.learner.encoder
        for draw in range(DRAWS if share == "10 %" else 1):
            count = FEW if share == "10 %" else everything
            chosen = draw_videos(self.data.train_videos, count, DRAWS * seed + draw)
            classifier = fine_tune(
                encoder,
                encoder.features,
                self.data.train_images[chosen],
                self.data.train_labels[chosen],
                len(self.data.classes),
                steps=STEPS[share],
                views=view,
                seed=DRAWS * seed + draw,
            )
            self._note(f"{name}, {share}", self._f1(_classes(classifier, self.data.test_images)))

    def probed(self, name: str, method: SelfSupSurg) -> None:
        """Scores frozen features with a linear probe on all labels."""
        known = encode(method, self.data.train_images)
        predicted = linear_probe(
            known, self.data.train_labels, encode(method, self.data.test_images)
        )
        self._note(f"{name}, frozen", self._f1(predicted))

    def _f1(self, predicted: Tensor) -> float:
        return video_macro_f1(predicted, self.data.test_labels, self.data.test_videos)

    def _note(self, name: str, score: float) -> None:
        self.scores.setdefault(name, []).append(score)
        print(f"  {name:<34} F1 {score:5.1f}", flush=True)


@torch.no_grad()
def encode(method: SelfSupSurg, images: Tensor) -> Tensor:
    return encode_all(method.features, images)


@torch.no_grad()
def _classes(classifier: nn.Module, images: Tensor) -> Tensor:
    return encode_all(classifier, images).argmax(dim=1)


def compare(study: Study, seeds: int) -> list[Claim]:
    """Scratch, generic recipe and domain recipe under SimCLR, at few and at all labels."""
    for seed in range(seeds):
        starts: dict[str, Callable[[int], SelfSupSurg]] = {
            "scratch": study.untrained,
            "generic": lambda seed: study.pretrained("simclr", "generic", seed),
            "domain": lambda seed: study.pretrained("simclr", "domain", seed),
        }
        for name, start in starts.items():
            for share in STEPS:
                study.tuned(name, share, start(seed), seed)
    few, full = (
        {name: mean(study.scores[f"{name}, {share}"]) for name in starts} for share in STEPS
    )
    gain, later = few["domain"] - few["scratch"], full["domain"] - full["scratch"]
    edge = few["domain"] - few["generic"]
    both = f"{few['scratch']:.1f} to {few['domain']:.1f}"
    return [
        Claim("(a) domain against scratch, 10 %", f"{both}: {gain:+.1f} points (>= 4)", gain >= 4),
        Claim("(b) the gain shrinks at 100 %", f"{gain:+.1f} to {later:+.1f} points", later < gain),
        Claim(
            "(c) domain against generic, 10 %",
            f"{few['generic']:.1f} to {few['domain']:.1f}: {edge:+.1f} points (>= 0)",
            edge >= 0,
        ),
    ]


def all_losses(study: Study) -> list[Claim]:
    study.probed("random", study.untrained(0))
    random = study.scores["random, frozen"][0]
    claims = []
    for loss in ("simclr", "moco", "swav", "dino"):
        study.probed(loss, study.pretrained(loss, "domain", 0))
        score = study.scores[f"{loss}, frozen"][0]
        claims.append(
            Claim(
                f"(d) {loss} against random features",
                f"{random:.1f} to {score:.1f} (higher)",
                score > random,
            )
        )
    return claims


def leakage(study: Study) -> Claim:
    """kNN on frozen features, a third of the pre-training videos held out in two ways."""
    data = study.data
    features = encode(study.pretrained("simclr", "domain", 0), data.train_images)
    accuracy: dict[str, float] = {}
    for by in ("video", "frame"):
        rates = []
        for seed in range(5):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", LeakageWarning)
                train, test = split_frames(data.train_videos, by=by, seed=seed)
            predicted = weighted_knn(features[train], data.train_labels[train], features[test])
            rates.append(100.0 * (predicted == data.train_labels[test]).float().mean().item())
        accuracy[by] = mean(rates)
    inflation = accuracy["frame"] - accuracy["video"]
    return Claim(
        "(e) splitting by frames inflates",
        f"accuracy {accuracy['video']:.1f} to {accuracy['frame']:.1f}: {inflation:+.1f} (>= 10)",
        inflation >= 10,
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=SelfSupSurgConfig.defaults()["epochs"])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, help="write everything as JSON to this file")
    options = parser.parse_args(argv)

    begun = time.process_time()
    study = Study(load_surgery(), options.epochs)
    claims = [*compare(study, options.seeds), *all_losses(study), leakage(study)]
    print()
    for name, scores in study.scores.items():
        single = ", ".join(f"{score:.1f}" for score in scores)
        print(f"{name:<20} {mean(scores):5.1f}  ({single})")
    print(f"{(time.process_time() - begun) / 60:.1f} minutes of CPU time\n")
    return conclude(claims, options, scores=study.scores)


if __name__ == "__main__":
    sys.exit(main())
