"""SelfSupSurg: the recipe goes to the chosen loss, frames keep their distance, runs resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ipse import methods
from ipse.data import GENERIC_VIEWS, ImageData, VideoData, load, load_surgery, standard_views
from ipse.methods.selfsupsurg import SelfSupSurg, SelfSupSurgConfig
from ipse.training import ConfigError, load_checkpoint

LOSSES = ("simclr", "moco", "swav", "dino")
SMALL = {"device": "cpu", "dimension": 16, "hidden": 16, "batch_size": 32}


@pytest.fixture(scope="module")
def surgery() -> VideoData:
    return load_surgery(train_videos=3, test_videos=1)


def build(data: ImageData, **changes: Any) -> SelfSupSurg:
    return SelfSupSurg(SelfSupSurgConfig.create(**{**SMALL, **changes}), data)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_learner_has_the_recipe(loss: str, surgery: VideoData) -> None:
    method = build(surgery, loss=loss, learning_rate=0.125)
    assert method.learner.config.slug == loss
    assert method.learner.config.learning_rate == 0.125
    assert method.learner.views == standard_views("surgery")
    assert build(surgery, loss=loss, recipe="generic").learner.views == GENERIC_VIEWS


def test_the_domain_recipe_is_the_studys() -> None:
    """Crops of half the picture and more, erasing, and no change of hue, no gray, no blur."""
    views = standard_views("surgery")
    assert views.zoom == (1.0, pytest.approx(2**0.5))
    assert views.anywhere
    assert views.hue == views.grayscale == views.blur == 0.0
    assert views.erase == 0.8
    assert GENERIC_VIEWS.zoom == (1.0, pytest.approx(0.08**-0.5))
    assert GENERIC_VIEWS.hue > 0


def test_batches_keep_frames_of_a_video_apart(surgery: VideoData) -> None:
    method = build(surgery, min_gap=4)
    order = method.order(1)
    assert torch.equal(order, method.order(1))
    assert not torch.equal(order, method.order(2))
    for batch in order.view(-1, 32):
        near = (batch[:, None] - batch).abs() < 4
        same = surgery.train_videos[batch][:, None] == surgery.train_videos[batch]
        assert int((near & same).sum()) == 32, "only with itself"


def test_what_it_refuses(surgery: VideoData) -> None:
    with pytest.raises(ConfigError, match="data: selfsupsurg needs videos, got digits"):
        build(load("digits"))
    with pytest.raises(ConfigError, match="data: got 'digits', must be one of surgery"):
        SelfSupSurgConfig.create(data="digits")
    with pytest.raises(ConfigError, match="min_gap: got 50, must be at most the"):
        build(surgery, min_gap=50)


@pytest.mark.parametrize("loss", LOSSES)
def test_runs_end_to_end_and_resumes(
    loss: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, surgery: VideoData
) -> None:
    monkeypatch.setattr("ipse.data.load_surgery", lambda: surgery)

    def config(name: str) -> SelfSupSurgConfig:
        return SelfSupSurgConfig.create(
            **{**SMALL, "batch_size": 64}, loss=loss, epochs=2, min_gap=3, test_size=40,
            checkpoint_seconds=0.0, out=str(tmp_path / name),
        )  # fmt: skip

    expected = methods.run(config("undisturbed"))
    assert expected.slug == "selfsupsurg"
    table = json.loads((tmp_path / "undisturbed" / "result.json").read_text())["tables"]
    assert set(table["phase_f1"]) == {"untrained encoder", "trained encoder"}
    assert "Phases recognised" in expected.report.read_text()

    step, calls = SelfSupSurg.step, []

    def dying(self: SelfSupSurg, *arguments: Any) -> Any:
        calls.append(0)
        if len(calls) == 4:
            raise MemoryError
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(SelfSupSurg, "step", dying)
        with pytest.raises(MemoryError):
            methods.run(config("run"))
    result = methods.resume(tmp_path / "run")
    assert result.scores == expected.scores
    assert result.tables == expected.tables
    one, other = (tmp_path / name for name in ("run", "undisturbed"))
    assert (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()
    mine, theirs = (
        load_checkpoint(path / "checkpoint.pt").state["modules"] for path in (one, other)
    )
    for part, tensors in mine.items():
        for name, value in tensors.items():
            assert torch.equal(value, theirs[part][name]), (part, name)
