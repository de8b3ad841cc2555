"""Does one perturbation break everything that is built on an encoder? Fashion-MNIST.

    python bench/claims/advencoder.py [--epochs 8] [--seeds 3] [--root DIR] [--out FILE]

Small encoders are pre-trained by SimCLR on 10 000 images and frozen. Surrogate images are digits,
resized: nothing like clothes. One perturbation of at most 32/255 is learned by projected sign
steps (the direct source). Downstream task A is all ten classes, B the three kinds of shoes; heads
are the paper's MLPs on clean features, accuracies are those of held-out test images.

(i) The perturbation costs at least 20 points on A and on B, signs drawn by chance of the same size
    at most 5.
(ii) Without the adversarial term (alpha 0) at most half of the effect is left, on A and on B.
(iii) Exactness: the same seed gives the same perturbation bit by bit, nothing changes by more than
    epsilon, perturbed images stay in [0, 1], and the image terms by their low-frequency energy
    equal the two terms by torch.fft within 1e-5.
(iv) Adversarial training, three epochs, wins back at least half of what was lost on A.

Points are means over the seeds; the exit code says whether all claims held. The paper's generator,
its patch, the cosine criterion and the other defences are reported only.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from _common import Claim, conclude, train
from torch import Tensor

from ipse.data import ImageData, load
from ipse.evaluation import (
    Robustness,
    UniversalPerturbation,
    fit_universal_perturbation,
    random_signs,
)
from ipse.functional import band_energy
from ipse.methods.advencoder import AdvEncoder, AdvEncoderConfig, defend, downstream_tasks
from ipse.methods.pt_ood import unfamiliar_images

EXTRA = ("generator", "patch", "cosine")


@dataclass(frozen=True)
class Outcome:
    """One encoder: robustness by attack and task, by defence, and whether the attack is exact."""

    attacks: dict[str, list[Robustness]]
    defences: dict[str, Robustness]
    repeats: bool
    largest: float
    inside: bool
    parseval: float
    seconds: float


def image_terms(change: Tensor, radius: float) -> Tensor:
    """mean(change^2) - mean(H(change)^2) as the reference computes it, by two FFTs."""
    height, width = change.shape[-2:]
    rows = torch.fft.fftfreq(height, 1 / height)[:, None]
    columns = torch.fft.fftfreq(width, 1 / width)
    keep = (rows.square() + columns.square()).sqrt() >= radius
    high = torch.fft.ifft2(torch.fft.fft2(change) * keep).real
    return change.square().mean() - high.square().mean()


def study(data: ImageData, epochs: int, seed: int, extra: bool) -> Outcome:
    begun = time.monotonic()
    config = AdvEncoderConfig.create(data="fashion-mnist", epochs=epochs, seed=seed, device="cpu")
    method = AdvEncoder(config, data)
    train(method, data)
    encoder, settings = method.encoder, method.settings()
    surrogate = unfamiliar_images(data, seed)

    def fit(**changes: object) -> UniversalPerturbation:
        return fit_universal_perturbation(encoder, surrogate, replace(settings, **changes), seed)

    learned = fit()
    shape = tuple(data.train_images.shape[1:])
    perturbations = {
        "learned": learned,
        "random signs": random_signs(shape, config.epsilon, seed),
        "alpha 0": fit(alpha=0.0),
    }
    if extra:
        perturbations["generator"] = fit(source="generator", width=256)
        perturbations["patch"] = fit(mode="patch")
        perturbations["cosine"] = fit(criterion="cosine")
    tasks = downstream_tasks(data, config)
    heads = [task.head(encoder, config) for task in tasks]
    change = learned(data.test_images) - data.test_images
    by_energy = band_energy(change, config.radius).mean() / change[0, 0].numel()
    by_fft = image_terms(change, config.radius)
    return Outcome(
        attacks={
            name: [
                task.robustness(encoder, head, perturb)
                for task, head in zip(tasks, heads, strict=True)
            ]
            for name, perturb in perturbations.items()
        },
        defences=defend(encoder, heads[0], tasks[0], learned, config),
        repeats=torch.equal(fit(epochs=2).delta, fit(epochs=2).delta),
        # Of epsilon as float32 has it.
        largest=float(learned.delta.abs().max() / torch.tensor(config.epsilon)),
        inside=bool(((change + data.test_images).clamp(0, 1) == learned(data.test_images)).all()),
        parseval=float((by_energy - by_fft).abs() / by_fft),
        seconds=time.monotonic() - begun,
    )


def lost(outcomes: list[Outcome], attack: str, task: int) -> float:
    """Points of accuracy, the mean over the seeds that ran this attack."""
    values = [o.attacks[attack][task] for o in outcomes if attack in o.attacks]
    return sum(r.clean - r.adversarial for r in values) / len(values)


def judge(outcomes: list[Outcome]) -> list[Claim]:
    learned = [lost(outcomes, "learned", task) for task in (0, 1)]
    signs = [lost(outcomes, "random signs", task) for task in (0, 1)]
    aimless = [lost(outcomes, "alpha 0", task) for task in (0, 1)]
    undefended = [o.defences["none"] for o in outcomes]
    trained = [o.defences["adversarial training"] for o in outcomes]
    gap = sum(r.clean - r.adversarial for r in undefended)
    won = sum(
        after.adversarial - before.adversarial
        for after, before in zip(trained, undefended, strict=True)
    )
    largest = max(o.largest for o in outcomes)
    parseval = max(o.parseval for o in outcomes)
    return [
        Claim(
            "(i) the learned perturbation costs at least 20 points on A and B",
            f"{learned[0]:.1f} and {learned[1]:.1f} points",
            min(learned) >= 20,
        ),
        Claim(
            "(i) random signs of the same size cost at most 5",
            f"{signs[0]:.1f} and {signs[1]:.1f} points",
            max(signs) <= 5,
        ),
        Claim(
            "(ii) without the adversarial term at most half is left",
            f"{aimless[0]:.1f} and {aimless[1]:.1f} points",
            all(a <= b / 2 for a, b in zip(aimless, learned, strict=True)),
        ),
        Claim(
            "(iii) deterministic, bounded, image terms exact",
            f"repeats {all(o.repeats for o in outcomes)}, largest {largest:.4f} epsilon, "
            f"inside {all(o.inside for o in outcomes)}, image terms {parseval:.1e}",
            all(o.repeats and o.inside for o in outcomes) and largest <= 1 and parseval <= 1e-5,
        ),
        Claim(
            "(iv) adversarial training wins back at least half",
            f"{100 * won / gap:.0f} % of {gap / len(outcomes):.1f} points",
            won >= gap / 2,
        ),
    ]


def show(outcomes: list[Outcome]) -> None:
    print("\nattack: clean -> adversarial % (fooled %), on A; on B; the seeds' means")
    for name in (*outcomes[0].attacks,):
        ran = [o.attacks[name] for o in outcomes if name in o.attacks]
        cells = []
        for task in (0, 1):
            clean, adversarial, fooling = (
                sum(getattr(r[task], field) for r in ran) / len(ran)
                for field in ("clean", "adversarial", "fooling")
            )
            cells.append(f"{clean:5.1f} -> {adversarial:5.1f} ({fooling:5.1f})")
        print(f"  {name:16s} {'   '.join(cells)}   {len(ran)} seed(s)")
    print("defence, on A: clean -> adversarial %")
    for name in outcomes[0].defences:
        clean, adversarial = (
            sum(getattr(o.defences[name], field) for o in outcomes) / len(outcomes)
            for field in ("clean", "adversarial")
        )
        print(f"  {name:34s} {clean:5.1f} -> {adversarial:5.1f}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Check the claims of AdvEncoder.")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--root", type=Path, default=None, help="folder with Fashion-MNIST")
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    data = load("fashion-mnist", root=arguments.root, train_size=10_000)
    outcomes = []
    for seed in range(arguments.seeds):
        outcomes.append(study(data, arguments.epochs, seed, extra=seed == 0))
        print(f"seed {seed}: {outcomes[-1].seconds:.0f} s", flush=True)
    show(outcomes)
    claims = judge(outcomes)
    return conclude(claims, arguments, runs=outcomes)


if __name__ == "__main__":
    sys.exit(main())
