"""PT-OOD as a method: sets, scores, table, and what survives a kill."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ipse import methods
from ipse.data import ImageData, load, textures
from ipse.evaluation import fit_linear_probe, linear_probe
from ipse.methods.pt_ood import PTOOD, PTOODConfig, detect, detection_sets, separability
from ipse.training import ConfigError

TINY = {
    "train_size": 240,
    "test_size": 80,
    "batch_size": 32,
    "epochs": 2,
    "shots": 10,
    "neighbours": 3,
    "dimension": 8,
    "hidden": 16,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load("digits", train_size=240, test_size=80)


def build(digits: ImageData, **changes: Any) -> PTOOD:
    return PTOOD(PTOODConfig.create(**{**TINY, **changes}), digits)


def test_sets_are_what_they_are_called(digits: ImageData) -> None:
    method = build(digits, known="7,2,9")
    assert method.known == [2, 7, 9]
    sets = detection_sets(digits, method.known, method.config)
    assert len(sets["train"]) == 30
    labels = digits.train_labels
    for position, label in enumerate(method.known):
        first = digits.train_images[labels == label][:10]
        assert torch.equal(sets["train"][position * 10 : position * 10 + 10], first)
    inside = torch.isin(digits.test_labels, torch.tensor([2, 7, 9]))
    assert torch.equal(sets["known"], digits.test_images[inside])
    assert torch.equal(sets["familiar"], digits.test_images[~inside])
    assert sets["unfamiliar"].shape == digits.test_images.shape


def test_clouds_apart_are_told_apart() -> None:
    source = torch.Generator().manual_seed(0)
    centres = 6 * torch.eye(3, 8)
    labels = torch.randint(0, 2, (150,), generator=source)

    def around(which: torch.Tensor) -> torch.Tensor:
        return centres[which] + torch.randn(len(which), 8, generator=source)

    outside = {"far": around(torch.full((100,), 2)), "same": around(labels)}
    results = detect(around(labels), labels, around(labels), outside, k=3)
    assert list(results) == ["msp", "max_logit", "energy", "react", "mahalanobis", "knn"]
    for score in ("mahalanobis", "knn"):
        assert results[score]["far"].auroc > 95
        assert results[score]["far"].fpr95 < 20
    for metrics in results.values():
        assert 35 < metrics["same"].auroc < 65
    assert separability(around(labels), outside["far"]) > 95
    assert 35 < separability(around(labels), outside["same"]) < 65


@pytest.mark.parametrize("classes", [2, 4])
def test_logits_of_the_probe_are_scikit_learns(classes: int) -> None:
    source = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % classes + 3
    features = torch.randn(200, 6, generator=source) * 5 + labels[:, None]
    probe = fit_linear_probe(features, labels)
    assert probe.classes.tolist() == list(range(3, 3 + classes))
    predicted = probe.classes[probe.logits(features).argmax(1)]
    assert torch.equal(predicted, linear_probe(features, labels, features))


@pytest.mark.parametrize("backbone", ["self-supervised", "supervised"])
def test_run_and_resume(backbone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def config(out: str) -> PTOODConfig:
        changes = {"backbone": backbone, "checkpoint_seconds": 0, "out": str(tmp_path / out)}
        return PTOODConfig.create(**TINY, **changes)

    whole = methods.run(config("whole"))
    table = whole.tables["outlier detection"]
    assert set(table) == {"msp", "max_logit", "energy", "react", "mahalanobis", "knn"}
    for row in table.values():
        assert set(row) == {
            f"{name} {measure}"
            for name in ("familiar", "unfamiliar")
            for measure in ("AUROC", "FPR95")
        }
        assert all(0 <= value <= 100 for value in row.values())
    page = whole.report.read_text()
    assert "Outlier detection" in page
    assert f"By training {'with' if backbone == 'supervised' else 'without'} labels" in page

    original, calls = PTOOD.step, []

    def dying(self: PTOOD, *arguments: Any) -> Any:
        calls.append(0)
        if len(calls) > 11:
            raise MemoryError
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(PTOOD, "step", dying)
        with pytest.raises(MemoryError):
            methods.run(config("killed"))
    resumed = methods.resume(tmp_path / "killed")
    assert resumed.scores == whole.scores
    assert resumed.tables == whole.tables
    metrics = [(tmp_path / run / "metrics.jsonl").read_bytes() for run in ("whole", "killed")]
    assert metrics[0] == metrics[1]
    assert methods.resume(tmp_path / "killed") == resumed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"known": "3"}, "known: got '3', must be two classes or more, but not all 10"),
        ({"known": "0,1,2,3,4,5,6,7,8,9"}, "must be two classes or more, but not all 10"),
        ({"known": "3,11"}, "known: got '3,11'"),
        ({"known": "a,b"}, "known: got 'a,b'"),
        ({"shots": 100}, "shots: got 100, but class 0 has 17 training images"),
    ],
)
def test_settings_that_cannot_work(
    changes: dict[str, Any], message: str, digits: ImageData
) -> None:
    with pytest.raises(ConfigError, match=message):
        build(digits, **changes)


def test_textures() -> None:
    images = textures(20, 3, 28, torch.Generator().manual_seed(0))
    assert images.shape == (20, 3, 28, 28)
    assert 0 <= images.min() < 0.1
    assert 0.9 < images.max() <= 1
    assert torch.equal(images[:, 0], images[:, 2])
    assert len({tuple(image.flatten().tolist()) for image in images}) == 20
    assert torch.equal(images, textures(20, 3, 28, torch.Generator().manual_seed(0)))
    with pytest.raises(ValueError, match="textures: count, channels and side must be at least 1"):
        textures(0, 1, 8, torch.Generator())
