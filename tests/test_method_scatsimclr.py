"""ScatSimCLR as a method: the fixed front end, the puzzles, and runs that lose their memory."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from ipse import methods
from ipse.data import ImageData, load, random_view
from ipse.functional import scattering2d
from ipse.training import ConfigError, ResidualAdapter, ScatteringEncoder
from tests.method_runs import assert_resumes, build, take_steps

SMALL = {"blocks": 1, "width": 8, "angles": 4}


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load("digits", train_size=640, test_size=200)


# The encoder


def test_encoder_is_the_adapter_on_scattering() -> None:
    torch.manual_seed(0)
    encoder = ScatteringEncoder(channels=2, side=32, scales=2, angles=4, widths=(6, 6, 10))
    images = torch.rand(3, 2, 32, 32)
    assert encoder.features == 160
    maps = scattering2d(images, 2, 4).flatten(1, 2)
    assert maps.shape == (3, 2 * 25, 8, 8)
    assert torch.equal(encoder(images), encoder.adapter(maps))
    # nothing of the front end is trained
    adapter = ResidualAdapter(50, (6, 6, 10))
    assert [p.shape for p in encoder.parameters()] == [p.shape for p in adapter.parameters()]
    # identity where the width stays, a convolution where it changes
    arounds = [sum(1 for _ in block.around.parameters()) for block in encoder.adapter.blocks]
    assert arounds == [0, 0, 3]


def test_encoder_frames_odd_images_with_zeros() -> None:
    encoder = ScatteringEncoder(channels=1, side=29, scales=2, angles=2, widths=(4,)).eval()
    images = torch.rand(2, 1, 29, 30)
    framed = encoder.framed(images)
    assert framed.shape == (2, 1, 32, 32)
    assert torch.equal(framed[:, :, 1:30, 1:31], images)
    assert float(framed.sum()) == pytest.approx(float(images.sum()), rel=1e-5)
    assert torch.equal(encoder(images), encoder(framed))


# The puzzles


def puzzle_cross_entropy(method: Any, data: ImageData, seed: int) -> tuple[float, float]:
    """Loss and accuracy of the puzzle for the first batch as its step draws it."""
    images = data.batch(method.order(0)[:64], torch.device("cpu")).images
    source = torch.Generator().manual_seed(seed)
    for _ in range(2):
        random_view(images, method.views, source)
    with torch.no_grad():
        logits, answers = method.puzzle(images, source)
    right = float((logits.argmax(1) == answers).float().mean())
    return float(F.cross_entropy(logits, answers)), right


@pytest.mark.parametrize("pretext", ["rotation", "jigsaw"])
def test_loss_adds_the_puzzle(digits: ImageData, pretext: str) -> None:
    for weight in (0.0, 0.3):
        method = build("scatsimclr", digits, pretext=pretext, pretext_weight=weight, **SMALL)
        # without dropout and with the batch's own statistics the puzzle can be asked again
        for module in method.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        wanted, accuracy = puzzle_cross_entropy(method, digits, seed=5)
        batch = digits.batch(method.order(0)[:64], torch.device("cpu"))
        found = method.step(batch, torch.Generator().manual_seed(5))
        assert float(found["pretext"]) == pytest.approx(wanted, rel=1e-4)
        assert float(found["pretext_accuracy"]) == pytest.approx(accuracy)
        total = float(found["contrastive"]) + weight * wanted
        assert float(found["loss"]) == pytest.approx(total, rel=1e-5)


def test_rotation_asks_for_four_turns_of_every_image(digits: ImageData) -> None:
    method = build("scatsimclr", digits, **SMALL)
    logits, answers = method.puzzle(digits.train_images[:10], torch.Generator().manual_seed(0))
    assert logits.shape == (40, 4)
    assert answers.bincount().tolist() == [10] * 4


def test_jigsaw_head_sees_nine_tiles(digits: ImageData) -> None:
    method = build("scatsimclr", digits, pretext="jigsaw", permutations=20, **SMALL)
    assert method.pretext.permutations.shape == (20, 9)
    logits, answers = method.puzzle(digits.train_images[:30], torch.Generator().manual_seed(0))
    assert logits.shape == (30, 20)
    assert len(answers.unique()) > 5


def test_without_a_puzzle_it_is_simclr_on_scattering(digits: ImageData) -> None:
    method = build("scatsimclr", digits, pretext="none", **SMALL)
    assert not hasattr(method, "pretext")
    (row,) = take_steps(method, digits, 1)
    assert set(row) == {"loss"}
    assert list(method.tables(method, digits)) == []


# Settings


def test_turned_views_and_the_rotation_puzzle_exclude_each_other(digits: ImageData) -> None:
    config = methods.get("scatsimclr").Config
    with pytest.raises(ConfigError, match=r"view_rotation: got 5.0, must be 0 with pretext rotat"):
        config.create(view_rotation=5.0)
    assert config.create(view_rotation=5.0, pretext="jigsaw").view_rotation == 5.0
    method = build("scatsimclr", digits, **SMALL)
    assert method.views.rotation == 0
    method.views = replace(method.views, rotation=10.0)
    with pytest.raises(ValueError, match="views must not rotate with pretext rotation"):
        take_steps(method, digits, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scales": 4}, r"scales: got 4, but 2\^scales must be no more than the images' side 8"),
        ({"pretext": "rotaton"}, "pretext: got 'rotaton'.*did you mean 'rotation'"),
    ],
)
def test_settings_message(digits: ImageData, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build("scatsimclr", digits, **settings)


def test_rotation_wants_square_images(digits: ImageData) -> None:
    oblong = replace(digits, train_images=digits.train_images[:, :, :, :4])
    with pytest.raises(ConfigError, match="needs square images, but they are 8 x 4"):
        build("scatsimclr", oblong, **SMALL)
    build("scatsimclr", oblong, pretext="jigsaw", **SMALL)


def test_partial_batches_are_left_out(digits: ImageData) -> None:
    method = build("scatsimclr", digits.limited(100, None), **SMALL)
    assert method.steps_per_epoch == 1


def test_learning_rate_falls_by_the_epoch(digits: ImageData) -> None:
    method = build("scatsimclr", digits, epochs=12, constant_epochs=4, **SMALL)
    each = method.steps_per_epoch
    by_epoch = [method.learning_rate_factor(epoch * each) for epoch in range(13)]
    assert by_epoch[:5] == [1.0] * 5
    assert by_epoch[8] == pytest.approx(0.5)
    assert by_epoch[12] == pytest.approx(0.0)
    assert method.learning_rate_factor(9 * each - 1) == by_epoch[8]
    assert math.isfinite(
        build("scatsimclr", digits, epochs=2, **SMALL).learning_rate_factor(99 * each)
    )


# Whole runs


@pytest.mark.parametrize("pretext", ["rotation", "jigsaw"])
def test_resumes_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pretext: str
) -> None:
    assert_resumes("scatsimclr", tmp_path, monkeypatch, pretext=pretext, constant_epochs=1, **SMALL)


def test_learns_and_solves_its_puzzle() -> None:
    """Whether the features are of use is for bench/claims/scatsimclr.py."""
    digits = load("digits", train_size=1000)
    settings = {"epochs": 8, "hidden": 64, "learning_rate": 3e-3, **SMALL}
    method = build("scatsimclr", digits, **settings)
    untrained = build("scatsimclr", digits, **settings).eval()
    losses = [row["contrastive"] for row in take_steps(method, digits, method.total_steps)]
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])
    (table,) = method.eval().tables(untrained, digits)
    assert table.rows["trained"]["right answers %"] > 40, "guessing is right in 25 %"
    assert table.rows["untrained"]["right answers %"] < 35
