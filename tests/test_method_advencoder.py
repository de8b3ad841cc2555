"""AdvEncoder as a method: tasks, tables, and what survives a kill."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ipse.data import ImageData, load
from ipse.methods.advencoder import AdvEncoder, AdvEncoderConfig, downstream_tasks
from ipse.training import ConfigError
from tests.method_runs import assert_resumes

ATTACK = {
    "attack_epochs": 1,
    "attack_batch": 16,
    "head_epochs": 2,
    "defence_epochs": 1,
    "radius": 1.0,
}
TINY = {
    "train_size": 160,
    "test_size": 60,
    "batch_size": 32,
    "epochs": 2,
    "dimension": 8,
    "hidden": 16,
    "device": "cpu",
    **ATTACK,
}


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load("digits", train_size=160, test_size=60)


def test_tasks_are_numbered_from_zero(digits: ImageData) -> None:
    config = AdvEncoderConfig.create(**TINY, second_task="7,2,9")
    whole, second = downstream_tasks(digits, config)
    assert torch.equal(whole.test_labels, digits.test_labels)
    assert second.classes == 3
    inside = torch.isin(digits.test_labels, torch.tensor([2, 7, 9]))
    assert torch.equal(second.test_images, digits.test_images[inside])
    assert torch.equal(torch.tensor([2, 7, 9])[second.test_labels], digits.test_labels[inside])


def test_run_and_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = assert_resumes("advencoder", tmp_path, monkeypatch, **ATTACK)
    assert set(whole.tables) == {"universal perturbation", "defences"}
    attacks = whole.tables["universal perturbation"]
    assert len(attacks) == 6
    for row in [*attacks.values(), *whole.tables["defences"].values()]:
        assert set(row) == {"clean", "adversarial", "decline", "fooling"}
        assert all(0 <= row[name] <= 100 for name in ("clean", "adversarial", "fooling"))
    assert set(whole.tables["defences"]) == {
        "none",
        "pre-processing, eight intensities",
        "pre-processing, smoothing",
        "pre-processing, noise",
        "pruning",
        "fine-tuning",
        "adversarial training",
    }
    assert "One perturbation for all images" in whole.report.read_text()


@pytest.mark.parametrize("attack", ["perturbation", "patch"])
def test_the_generator_runs_too(attack: str, digits: ImageData) -> None:
    changes = {"source": "generator", "attack": attack, "epsilon": 0.2}
    method = AdvEncoder(AdvEncoderConfig.create(**{**TINY, **changes}), digits)
    settings = method.settings()
    assert (settings.source, settings.mode, settings.epsilon) == ("generator", attack, 0.2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"second_task": "3"}, "second_task: got '3', must be two classes or more"),
        ({"second_task": "3,11"}, "second_task: got '3,11'"),
        ({"epsilon": 0.0}, "epsilon"),
    ],
)
def test_settings_that_cannot_work(
    changes: dict[str, Any], message: str, digits: ImageData
) -> None:
    with pytest.raises(ConfigError, match=message):
        AdvEncoder(AdvEncoderConfig.create(**{**TINY, **changes}), digits)
