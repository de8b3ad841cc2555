"""AdvEncoder: how fragile is an encoder, and what is built on it?

An encoder is pre-trained and frozen. From it and from unrelated images alone, one perturbation is
learned that pushes the encodings of all images astray. Then classifiers are fitted on clean
features, for tasks the perturbation knows nothing of, and are shown perturbed test images; so are
the paper's four defences. A robustness test of one's own encoder, not of anybody else's.

Source: Z. Zhou, S. Hu, R. Zhao, Q. Wang, L. Y. Zhang, J. Hou and H. Jin, Downstream-agnostic
Adversarial Examples, arXiv 2307.12280, ICCV 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from ipse.data import ImageData
from ipse.evaluation import (
    PREPROCESSING,
    AttackSettings,
    Robustness,
    Table,
    UniversalPerturbation,
    encode_all,
    fine_tune_classifier,
    fit_mlp_head,
    fit_universal_perturbation,
    measure_robustness,
    prune_encoder,
    random_signs,
)
from ipse.methods._classes import parse_classes
from ipse.methods.pt_ood import unfamiliar_images
from ipse.methods.simclr import SimCLR, SimCLRConfig
from ipse.training import ConfigError, option

__all__ = ["AdvEncoder", "AdvEncoderConfig", "Task", "defend", "downstream_tasks"]


@dataclass(frozen=True, kw_only=True)
class AdvEncoderConfig(SimCLRConfig):
    """Settings of the pre-training, the attack and the defences."""

    slug: ClassVar[str] = "advencoder"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "fashion-mnist": {"epochs": 15, "train_size": 10000, "second_task": "5,7,9"}
    }

    epochs: int = option(60, "passes over the training samples", minimum=1)
    temperature: float = option(0.2, "of the contrastive pre-training", minimum=1e-3)
    epsilon: float = option(
        32 / 255, "largest change of a pixel, of 0 to 1", minimum=1e-4, maximum=1
    )
    attack: str = option(
        "perturbation",
        "what is learned: small changes of all pixels, or a patch",
        choices=("perturbation", "patch"),
    )
    source: str = option(
        "direct",
        "where it comes from: the paper's generator, or free pixels",
        choices=("generator", "direct"),
    )
    criterion: str = option(
        "info_nce",
        "what the attack drives apart: images among others, or each from itself",
        choices=("info_nce", "cosine"),
    )
    alpha: float = option(5.0, "weight of the adversarial term", minimum=0)
    radius: float = option(
        3.5, "changes of lower frequencies are punished; 8 at 64 pixels", minimum=0
    )
    attack_epochs: int = option(20, "passes over the surrogate images", minimum=1)
    attack_batch: int = option(128, "images of an attack's step", minimum=2)
    second_task: str = option("0,1,2", "classes of the second downstream task, by number")
    head_epochs: int = option(30, "passes that fit a downstream head", minimum=1)
    defence_epochs: int = option(3, "passes of fine-tuning and adversarial training", minimum=1)
    pruned: float = option(
        0.5, "part of the encoder's weights that pruning removes", minimum=0, maximum=0.99
    )


class AdvEncoder(SimCLR):
    """The protocol; see the module's text. The pre-training is SimCLR's."""

    config: AdvEncoderConfig

    title = "AdvEncoder"
    about = (
        "A small network is pre-trained without labels and frozen. Whoever has it can learn one "
        "faint pattern that, added to any image, leads the network astray, and with it every "
        "classifier that was built on the network, whatever its task. This run measures how much "
        "accuracy such a pattern takes away, and how much four defences give back."
    )
    Config = AdvEncoderConfig

    def build(self, data: ImageData) -> None:
        second_classes(self.config, len(data.classes))
        super().build(data)

    def settings(self) -> AttackSettings:
        """The attack that the configuration asks for."""
        config = self.config
        return AttackSettings(
            epsilon=config.epsilon,
            mode=config.attack,
            source=config.source,
            criterion=config.criterion,
            alpha=config.alpha,
            radius=config.radius,
            epochs=config.attack_epochs,
            batch_size=config.attack_batch,
        )

    def tables(self, untrained: Self, data: ImageData) -> Sequence[Table]:
        config, settings = self.config, self.settings()
        device = next(self.parameters()).device
        encoder = self.encoder.eval()
        surrogate = unfamiliar_images(data, config.seed).to(device)
        learned = fit_universal_perturbation(encoder, surrogate, settings, config.seed)
        aimless = fit_universal_perturbation(
            encoder, surrogate, replace(settings, alpha=0.0), config.seed
        )
        control = random_signs(tuple(data.train_images.shape[1:]), config.epsilon, config.seed)
        attacks = {"learned": learned, "without the adversarial term": aimless}
        if config.attack == "perturbation":
            attacks["random signs"] = control
        tasks = downstream_tasks(data, config)
        heads = [task.head(encoder, config) for task in tasks]
        rows = {
            f"{task.name}, {name}": asdict(task.robustness(encoder, head, perturb))
            for task, head in zip(tasks, heads, strict=True)
            for name, perturb in attacks.items()
        }
        found = defend(encoder, heads[0], tasks[0], learned, config)
        defences = {name: asdict(robustness) for name, robustness in found.items()}
        return [_attack_table(rows, config), _defence_table(defences, tasks[0].name)]


@dataclass(frozen=True)
class Task:
    """A downstream task: some classes of a data set, numbered from 0."""

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: int

    def head(self, encoder: nn.Module, config: AdvEncoderConfig) -> nn.Sequential:
        """A head fitted on the clean features of the training part."""
        device = next(encoder.parameters()).device
        features = encode_all(encoder, self.train_images, device).to(device)
        return fit_mlp_head(
            features,
            self.train_labels.to(device),
            self.classes,
            epochs=config.head_epochs,
            seed=config.seed,
        )

    def robustness(
        self,
        encoder: nn.Module,
        head: nn.Module,
        perturb: UniversalPerturbation,
        before: Callable[[Tensor], Tensor] | None = None,
    ) -> Robustness:
        """Of encoder and head on the test part; `before` is done to every image they get."""

        def classify(images: Tensor) -> Tensor:
            logits: Tensor = head(encoder(images if before is None else before(images)))
            return logits

        device = next(encoder.parameters()).device
        return measure_robustness(classify, self.test_images.to(device), self.test_labels, perturb)


def downstream_tasks(data: ImageData, config: AdvEncoderConfig) -> list[Task]:
    """All classes of the data, and those of the second task."""
    second = second_classes(config, len(data.classes))
    tasks = []
    for name, classes in (("all classes", list(range(len(data.classes)))), ("second task", second)):
        train = _only(classes, data.train_images, data.train_labels)
        test = _only(classes, data.test_images, data.test_labels)
        tasks.append(Task(name, *train, *test, len(classes)))
    return tasks


def second_classes(config: AdvEncoderConfig, count: int) -> list[int]:
    """The classes of the second task, ascending.

    Raises:
        ConfigError: Not a list of classes, or fewer than two.
    """
    classes = parse_classes("second_task", config.second_task, count)
    if len(classes) < 2:
        raise ConfigError(f"second_task: got {config.second_task!r}, must be two classes or more")
    return classes


def _only(classes: list[int], images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The images of these classes (ascending), and their labels as positions in the list."""
    chosen = torch.tensor(classes)
    inside = torch.isin(labels, chosen)
    return images[inside], torch.searchsorted(chosen, labels[inside])


def defend(
    encoder: nn.Module,
    head: nn.Module,
    task: Task,
    perturb: UniversalPerturbation,
    config: AdvEncoderConfig,
) -> dict[str, Robustness]:
    """The task's robustness without a defence and with each of the paper's four.

    Args:
        encoder, head: What is defended; the head as `task.head` fits it.
        perturb: Fitted to this encoder; the defended ones get it too.
    """
    device = next(encoder.parameters()).device
    images, labels = task.train_images.to(device), task.train_labels.to(device)
    result = {"none": task.robustness(encoder, head, perturb)}
    for name, before in PREPROCESSING.items():
        result[f"pre-processing, {name}"] = task.robustness(encoder, head, perturb, before)
    pruned = prune_encoder(encoder, config.pruned)
    result["pruning"] = task.robustness(pruned, task.head(pruned, config), perturb)
    for name, seen in (("fine-tuning", None), ("adversarial training", perturb)):
        tuned = fine_tune_classifier(
            encoder,
            head,
            images,
            labels,
            perturb=seen,
            epochs=config.defence_epochs,
            seed=config.seed,
        )
        result[name] = task.robustness(tuned, nn.Identity(), perturb)
    return result


def _attack_table(rows: Mapping[str, Mapping[str, float]], config: AdvEncoderConfig) -> Table:
    what = (
        f"One pattern that changes no pixel by more than {config.epsilon:.3f} (of 1)"
        if config.attack == "perturbation"
        else "One small patch"
    )
    caption = (
        f"{what} was learned from the frozen encoder and from images unlike the data set's. Heads "
        f"were fitted on clean features of the training part; the numbers are per cent of the "
        f"test part: accuracy before and after, the part of it that is lost, and how many "
        f"predictions change. Without the adversarial term the pattern has no aim; a good attack "
        f"does far more harm than that, and than signs drawn by chance."
    )
    return Table("universal perturbation", "One perturbation for all images", caption, rows)


def _defence_table(rows: Mapping[str, Mapping[str, float]], task: str) -> Table:
    caption = (
        f"The task of {task} with each defence, under the same perturbation. A defence may cost "
        f"clean accuracy; only one that has seen the perturbation is fitted to it, and a new "
        f"attack may get round any of them."
    )
    return Table("defences", "Four defences", caption, rows)
