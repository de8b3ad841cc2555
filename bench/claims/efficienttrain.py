"""Checks the claims of the EfficientTrain paper on Fashion-MNIST.

    OMP_NUM_THREADS=2 OMP_WAIT_POLICY=PASSIVE python bench/claims/efficienttrain.py

Sizes 20, 20, 20, 24 and 28 of 28 are the paper's 160, 160, 160, 192 and 224 of 224.

1. The operator: the crop is the spectrum's, a wave beyond it leaves nothing, one within it is kept.
2. The curriculum: the accuracy of training at the full size within half a point, for 0.67 of the
   multiplications and 1.4 times as fast; not worse than the full size at equal multiplications;
   and the stages in reverse lose.
3. Dynamics: what a network learns first, it learns from low frequencies.

Baseline and curriculum are trained alternately, an epoch of one and an epoch of the other, so that
their times are of the same minutes of the same machine.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from _common import Claim, conclude
from torch import Tensor, nn

from ipse.data import ImageData, load
from ipse.functional import fourier_crop
from ipse.methods._classifier import Classifier, ClassifierConfig
from ipse.methods.efficienttrain import EfficientTrain, EfficientTrainConfig
from ipse.schedules import EpochClock, PiecewiseConstant, Schedule, stage_magnitudes
from ipse.training import Method
from ipse.training.randomness import Stream, generator

SIZES = (20, 20, 20, 24, 28)
FULL = 28
CPU = torch.device("cpu")


@dataclass
class Arm:
    """One way of training: its accuracy, cost and time, for one seed."""

    name: str
    seed: int
    accuracy: float = math.nan
    macs: float = 0.0
    epoch_seconds: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return sum(self.epoch_seconds)


class Training:
    """A method on its way: an epoch at a time, timed."""

    def __init__(self, name: str, seed: int, method: Method, data: ImageData) -> None:
        self.method, self.data = method.train(), data
        self.arm = Arm(name, seed)
        self.step = 0
        self.macs = {size: multiplications(self.classifier, size) for size in {*SIZES, FULL}}

    @property
    def classifier(self) -> Classifier:
        return getattr(self.method, "learner", self.method)

    def epoch(self) -> None:
        """Trains for an epoch, or to the end if that is nearer."""
        method, size = self.method, self.method.config.batch_size
        epoch, first = divmod(self.step, method.steps_per_epoch)
        order = method.order(epoch)
        begun = time.perf_counter()
        for step in range(first, min(method.steps_per_epoch, method.total_steps - self.step)):
            batch = self.data.batch(order[step * size : (step + 1) * size], CPU)
            method.step(batch, generator(method.config.seed, Stream.STEP, epoch, step))
            self.arm.macs += size * self.macs[getattr(method, "size", FULL)]
        self.arm.epoch_seconds.append(time.perf_counter() - begun)
        self.step = min((epoch + 1) * method.steps_per_epoch, method.total_steps)

    @property
    def done(self) -> bool:
        return self.step == self.method.total_steps

    def accuracy(self, images: Tensor) -> float:
        """Per cent of the test images, in this form, that are classified right."""
        self.method.eval()
        accuracy = self.classifier.accuracy(images, self.data.test_labels)
        self.method.train()
        return accuracy

    def finish(self) -> Arm:
        while not self.done:
            self.epoch()
        self.arm.accuracy = self.accuracy(self.data.test_images)
        print(
            f"{self.arm.name:<12} seed {self.arm.seed}  accuracy {self.arm.accuracy:5.2f}  "
            f"{self.arm.macs:.3e} multiplications  {self.arm.seconds:6.1f} s",
            flush=True,
        )
        return self.arm


def multiplications(classifier: Classifier, size: int) -> int:
    """Multiplications of a forward pass of one image, counted layer by layer."""
    counted = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal counted
        if isinstance(module, nn.Conv2d):
            inner = module.in_channels // module.groups * math.prod(module.kernel_size)
            counted += output.numel() * inner
        elif isinstance(module, nn.Linear):
            counted += output.numel() * module.in_features

    hooks = [module.register_forward_hook(count) for module in classifier.modules()]
    classifier.eval()
    with torch.no_grad():
        classifier.logits(torch.zeros(1, 1, size, size))
    classifier.train()
    for hook in hooks:
        hook.remove()
    return counted


class Study:
    """All arms, for every seed."""

    def __init__(self, data: ImageData, epochs: int, seeds: int) -> None:
        self.data, self.epochs = data, epochs
        self.arms: dict[str, list[Arm]] = {}
        self.dynamics: dict[str, list[dict[str, float]]] = {"first epoch": [], "end": []}
        for seed in range(seeds):
            self._seed(seed)

    def _seed(self, seed: int) -> None:
        whole = self._training("baseline", seed, sizes=f"{FULL}," * 4 + f"{FULL}", magnitude=9.0)
        small = self._training("curriculum", seed)
        while not (whole.done and small.done):
            for training in (whole, small):
                training.epoch()
            if whole.step == whole.method.steps_per_epoch:
                self.dynamics["first epoch"].append(self._by_frequency(whole))
        self.dynamics["end"].append(self._by_frequency(whole))
        arms = [whole.finish(), small.finish()]
        arms.append(self._equal_cost(seed, arms[1].macs / arms[0].macs).finish())
        arms.append(self._reversed(seed).finish())
        for arm in arms:
            self.arms.setdefault(arm.name, []).append(arm)

    def _config(self, seed: int, **settings: object) -> EfficientTrainConfig:
        return EfficientTrainConfig.create(
            data="fashion-mnist", epochs=self.epochs, seed=seed, device="cpu", **settings
        )

    def _training(self, name: str, seed: int, **settings: object) -> Training:
        method = EfficientTrain(self._config(seed, **settings), self.data)
        return Training(name, seed, method, self.data)

    def _equal_cost(self, seed: int, part: float) -> Training:
        """The baseline at the curriculum's cost: fewer steps, with a whole cosine of their own."""
        settings = self._config(seed).to_dict()
        names = ClassifierConfig.defaults()
        config = ClassifierConfig(**{n: v for n, v in settings.items() if n in names})
        steps = len(self.data.train_images) // config.batch_size * self.epochs
        method = Classifier(config, self.data, total_steps=round(part * steps))
        return Training("equal cost", seed, method, self.data)

    def _reversed(self, seed: int) -> Training:
        """The same sizes, large ones first. The method refuses it, so its schedule is replaced."""
        training = self._training("reversed", seed)
        assert isinstance(training.method, EfficientTrain)
        training.method.schedule = Schedule(
            EpochClock(self.epochs, training.method.steps_per_epoch),
            size=PiecewiseConstant(SIZES[::-1]),
            magnitude=PiecewiseConstant(stage_magnitudes(len(SIZES))),
        )
        return training

    def _by_frequency(self, training: Training) -> dict[str, float]:
        """Accuracy on test images as they are, and on their low frequencies only."""
        images = self.data.test_images
        results = {
            f"low {size}": training.accuracy(low_pass(images, size)) for size in (20, 14, 10)
        }
        return {"originals": training.accuracy(images), **results}

    def mean(self, name: str) -> float:
        return statistics.mean(arm.accuracy for arm in self.arms[name])


def low_pass(images: Tensor, size: int) -> Tensor:
    """Images [N, C, H, W] with only the frequencies of their crop to `size`, in their own size."""
    side = images.shape[-1]
    spectrum = torch.fft.fftshift(torch.fft.fft2(images.double()), dim=(-2, -1))
    # A frequency and its negative together, so that the result is real: below size / 2.
    distance = (torch.arange(side) - side // 2).abs()
    kept = (distance < size / 2).double()
    spectrum = torch.fft.ifftshift(spectrum * kept[:, None] * kept, dim=(-2, -1))
    return torch.fft.ifft2(spectrum).real.float()


def exactness() -> list[Claim]:
    worst = 0.0
    for side, size in ((224, 160), (224, 96), (28, 20), (32, 16), (225, 160), (27, 20)):
        x = torch.randn(2, 3, side, side, generator=generator(0, Stream.STEP, side, size))
        half = size // 2
        spectrum = torch.fft.fft2(x.double())
        rows = torch.cat([torch.arange(half), torch.arange(side - half, side)])
        crop = spectrum[..., rows, :][..., rows] * (size / side) ** 2
        wanted = torch.fft.ifft2(crop).real
        error = (fourier_crop(x, size).double() - wanted).norm() / wanted.norm()
        worst = max(worst, float(error))
    place = torch.arange(28, dtype=torch.float64) / 28
    wave = lambda k, at: torch.cos(2 * math.pi * k * at).float().expand(1, 1, len(at), -1)  # noqa: E731
    beyond, within = fourier_crop(wave(12, place), 16), fourier_crop(wave(3, place), 16)
    left = float(beyond.abs().max())
    folded = float(nn.functional.interpolate(wave(12, place), 16, mode="bilinear").square().mean())
    moved = float((within - wave(3, torch.arange(16, dtype=torch.float64) / 16)).abs().max())
    return [
        Claim("1 crop against torch.fft", f"relative {worst:.1e} (<= 1e-5)", worst <= 1e-5),
        Claim("1 wave k = 12, 28 to 16", f"leaves {left:.1e} (<= 1e-6)", left <= 1e-6),
        Claim("1 bilinear folds it in", f"mean square {folded:.3f} (>= 0.01)", folded >= 0.01),
        Claim("1 wave k = 3 is kept", f"off by {moved:.1e} (<= 1e-6)", moved <= 1e-6),
    ]


def curriculum(study: Study) -> list[Claim]:
    base, small = study.arms["baseline"], study.arms["curriculum"]
    gain = study.mean("curriculum") - study.mean("baseline")
    cost = sum(arm.macs for arm in small) / sum(arm.macs for arm in base)
    total = sum(arm.seconds for arm in base) / sum(arm.seconds for arm in small)
    typical = typical_speed(study)
    equal = study.mean("curriculum") - study.mean("equal cost")
    lost = study.mean("curriculum") - study.mean("reversed")
    return [
        Claim("2 accuracy kept", f"{gain:+.2f} points (>= -0.5)", gain >= -0.5),
        Claim("2 multiplications", f"x {cost:.4f} (<= 0.67)", cost <= 0.67),
        Claim("2 total time", f"{total:.2f} times as fast (>= 1.4)", total >= 1.4),
        Claim("2 time by medians of epochs", f"{typical:.2f} times (>= 1.4)", typical >= 1.4),
        Claim("2 at equal multiplications", f"{equal:+.2f} points (>= 0)", equal >= 0),
        Claim("2 reversed loses clearly", f"{-lost:+.2f} points (<= -1)", lost >= 1),
    ]


def typical_speed(study: Study) -> float:
    """Time of the baseline over that of the curriculum, from the median epoch of each stage.

    Both of a pair of epochs were trained one after the other, so their ratio is free of what the
    machine did in other minutes.
    """
    base, small = study.arms["baseline"], study.arms["curriculum"]
    parts: dict[int, list[float]] = {}
    for one, other in zip(base, small, strict=True):
        pairs = zip(one.epoch_seconds, other.epoch_seconds, strict=True)
        for epoch, (long, short) in enumerate(pairs):
            parts.setdefault(epoch * len(SIZES) // study.epochs, []).append(short / long)
    return len(SIZES) / sum(statistics.median(ratios) for ratios in parts.values())


def dynamics(study: Study) -> list[Claim]:
    gaps = {
        when: statistics.mean(row["originals"] - row["low 14"] for row in rows)
        for when, rows in study.dynamics.items()
    }
    first, end = gaps["first epoch"], gaps["end"]
    later = f"{end:+.2f} points (>= 2, more than first)"
    return [
        Claim("3 low frequencies first", f"{first:+.2f} points (|x| <= 2)", abs(first) <= 2),
        Claim("3 then the others", later, end >= 2 and end > first),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check the claims of the EfficientTrain paper.")
    parser.add_argument("--root", help="folder with Fashion-MNIST's idx files")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train-size", type=int, default=10000)
    parser.add_argument("--out", type=Path, help="write everything as JSON to this file")
    options = parser.parse_args(argv)

    data = load("fashion-mnist", options.root, train_size=options.train_size)
    study = Study(data, options.epochs, options.seeds)
    print()
    for when, rows in study.dynamics.items():
        means = {key: statistics.mean(row[key] for row in rows) for key in rows[0]}
        print(when, "  ".join(f"{key} {value:.2f}" for key, value in means.items()))
    claims = [*exactness(), *curriculum(study), *dynamics(study)]
    return conclude(claims, options, dynamics=study.dynamics, arms=study.arms)


if __name__ == "__main__":
    sys.exit(main())
