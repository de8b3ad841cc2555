"""EfficientTrain: what is shown when, under any method, with any break, to the same bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ipse import methods
from ipse.data import ImageData, load
from ipse.evaluation import encode_all
from ipse.functional import fourier_crop, lanczos_crop
from ipse.methods._classifier import strength
from ipse.methods.efficienttrain import EfficientTrain, EfficientTrainConfig
from ipse.training import ConfigError, warmup_cosine_factor
from tests.method_runs import assert_resumes, take_steps

SMALL = "dimension=8,hidden=16"


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load("digits", train_size=256, test_size=64)


def build(data: ImageData, **settings: Any) -> EfficientTrain:
    given = {"device": "cpu", "batch_size": 64, "epochs": 5, **settings}
    method = EfficientTrain(EfficientTrainConfig.create(**given), data)
    method.train()
    return method


def seen_sizes(method: EfficientTrain, data: ImageData, steps: int) -> list[int]:
    """The size of the images that the encoder gets, at each call."""
    seen: list[int] = []
    method.learner.encoder.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0].shape[-1])
    )
    take_steps(method, data, steps)
    return seen


def test_sizes_and_strengths_follow_the_schedule(digits: ImageData) -> None:
    method = build(digits, epochs=10, sizes="4,6,8")
    rows = take_steps(method, digits, method.total_steps)
    # Ten epochs of four steps in thirds, ended early as in the released code: 3, 3 and 4.
    assert [row["size"] for row in rows] == [4] * 12 + [6] * 12 + [8] * 16
    assert [row["magnitude"] for row in rows] == [1] * 12 + [5] * 12 + [9] * 16
    constant = build(digits, magnitude=2.5)
    assert {row["magnitude"] for row in take_steps(constant, digits, 20)} == {2.5}


def test_the_network_sees_the_size(digits: ImageData) -> None:
    sizes = seen_sizes(build(digits, sizes="4,6,8,8,8"), digits, 20)
    assert sizes == [4] * 4 + [6] * 4 + [8] * 12


@pytest.mark.parametrize("mode", ["fourier", "lanczos"])
def test_views_are_made_whole_and_then_cropped(mode: str, digits: ImageData) -> None:
    """The first step's input: the augmented image at the full size, cropped as the mode says."""
    method, whole = build(digits, mode=mode, sizes="4,8"), build(digits, sizes="8,8")
    inputs: list[torch.Tensor] = []
    for each in (method, whole):
        each.learner.encoder.register_forward_pre_hook(lambda m, given: inputs.append(given[0]))
        take_steps(each, digits, 1)
    crop = {"fourier": fourier_crop, "lanczos": lanczos_crop}[mode]
    assert torch.equal(inputs[0], crop(inputs[1], 4))


def test_equal_to_a_plain_loop_at_the_full_size(digits: ImageData) -> None:
    """A curriculum of one size is the learner's own training, step by step."""
    method = build(digits, base="barlow-twins", base_settings=SMALL, sizes="8")
    kind = methods.get("barlow-twins")
    plain = kind(kind.Config.create(batch_size=64, epochs=5, dimension=8, hidden=16), digits)
    rows = take_steps(method, digits, 8)
    assert [row["loss"] for row in rows] == [
        row["loss"] for row in take_steps(plain.train(), digits, 8)
    ]


@pytest.mark.parametrize("base", ["barlow-twins", "simclr", "moco", "dino", "look", "isogclr"])
def test_two_view_methods_get_cropped_views(base: str, digits: ImageData) -> None:
    method = build(digits, base=base, base_settings=SMALL, sizes="4,8")
    sizes = seen_sizes(method, digits, 20)
    calls = len(sizes) // 20
    assert sizes == [4] * 8 * calls + [8] * 12 * calls


def test_simcore_gets_cropped_views(digits: ImageData) -> None:
    settings = "dimension=8,hidden=16,retrieval_epochs=2,target_size=70,budget=70"
    method = build(digits, base="simcore", base_settings=settings, sizes="4,8")
    seen: list[int] = []
    retrieval = method.learner.network("retrieval")
    retrieval.register_forward_pre_hook(lambda m, inputs: seen.append(inputs[0].shape[-1]))
    take_steps(method, digits, 8)
    assert set(seen) == {4}
    take_steps(method, digits, 1)
    assert set(seen) == {4, 8}  # the whole images, when it picks


def test_methods_without_the_hook_get_cropped_images(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(methods.get("simclr"), "applies_after_view", False)
    method = build(digits, base="simclr", base_settings=SMALL, sizes="4,8")
    given: list[torch.Tensor] = []
    monkeypatch.setattr(
        type(method.learner), "step", lambda self, batch, g: given.append(batch.images) or {}
    )
    take_steps(method, digits, 1)
    assert torch.equal(given[0], fourier_crop(digits.train_images[method.order(0)[:64]], 4))


def test_wrapped_pt_ood_is_supervised(digits: ImageData) -> None:
    settings = f"{SMALL},backbone=supervised,shots=10"
    method = build(digits, base="pt-ood", base_settings=settings, sizes="4,8")
    assert method.uses_labels
    assert seen_sizes(method, digits, 10) == [4] * 8 + [8] * 2
    assert not build(digits, base="barlow-twins", base_settings=SMALL).uses_labels


def test_plus_spends_the_compute_of_its_epochs(digits: ImageData) -> None:
    method = build(digits, variant="et++", epochs=12)
    table = method.curriculum().rows
    assert len(table) == 10
    spent = sum(row["cost"] for row in table.values())
    assert 12 <= spent < 12 + 1 / 4  # at most one step more
    assert method.total_steps == sum(row["steps"] for row in table.values()) > 12 * 4
    assert method.learner.total_steps == method.total_steps
    assert method.epochs == -(-method.total_steps // 4)


def test_plus_learning_rate_follows_the_compute(digits: ImageData) -> None:
    """One cosine over the compute: half of the compute, not of the steps, is half-way down."""
    method = build(digits, variant="et++", epochs=12)
    total = method.total_steps
    for step, rate in enumerate(learning_rates(method)):
        done = round(method.schedule.clock.progress(step) * total)
        factor = warmup_cosine_factor(done, total, round(0.1 * total))
        assert rate == pytest.approx(3e-3 * factor)


def learning_rates(method: EfficientTrain) -> list[float]:
    rates = []
    for _ in range(method.total_steps):
        rates.append(method.optimizers["main"].param_groups[0]["lr"])
        method.optimizers["main"].step()
        method.schedules["main"].step()
    return rates


def test_rate_never_restarts(digits: ImageData) -> None:
    rates = learning_rates(build(digits, epochs=10))
    top = rates.index(max(rates))
    assert top == 3  # the warm-up's four steps
    assert rates[top:] == sorted(rates[top:], reverse=True)


def test_strength_grows_with_the_magnitude() -> None:
    weak, strong = strength(1, mirrored=True), strength(9, mirrored=True)
    assert weak.rotation < strong.rotation
    assert weak.shift < strong.shift
    assert weak.erase < strong.erase
    assert weak.flip == strong.flip == 0.5
    assert strength(0, mirrored=False) == strength(0, False)
    assert strength(0, mirrored=False).rotation == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sizes": "5,8"}, "sizes must be multiples of 2, got 5"),
        ({"sizes": "10,8"}, "sizes must be from 2 to the full size 8, got 10"),
        ({"sizes": "4,6"}, "sizes must end with the full size 8, got 6"),
        ({"sizes": "4,x"}, "sizes: got '4,x', must be numbers such as 14,20,28"),
        ({"multiple_of": 3}, "base_size must be a multiple of 3, got 8"),
        ({"epochs": 4}, "epochs must be at least the 5 stages, got 4"),
        ({"base": "barlow"}, "base: method: got 'barlow', which does not exist; did you mean"),
        ({"base": "efficienttrain"}, "base: got 'efficienttrain', must be another method"),
        ({"base": "simclr", "base_settings": "width=3"}, "width: unknown setting"),
        ({"base": "simclr", "base_settings": "dimension"}, "must be of the form name=value"),
        ({"base": "simclr", "base_settings": "dimension=x"}, "must be of type int"),
        ({"base": "simclr", "base_settings": "seed=3"}, "got seed, which the run itself sets"),
    ],
)
def test_what_it_refuses(settings: dict[str, Any], message: str, digits: ImageData) -> None:
    with pytest.raises(ConfigError) as caught:
        build(digits, **settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sizes_that_the_network_cannot_take(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = methods.get("barlow-twins")

    def patches(self: Any, images: torch.Tensor) -> torch.Tensor:
        if images.shape[-1] % 4:
            raise ValueError("not whole patches")
        return images.flatten(1)

    monkeypatch.setattr(kind, "features", patches)
    with pytest.raises(ConfigError, match="cannot take 6 x 6 images: not whole patches"):
        build(digits, base="barlow-twins", base_settings=SMALL, sizes="6,8")


def test_images_must_be_square() -> None:
    images = torch.rand(64, 1, 8, 6)
    labels = torch.arange(64) % 2
    data = ImageData("digits", images, labels, images[:8], labels[:8], ("a", "b"))
    with pytest.raises(ConfigError, match="needs square images, got 8 x 6"):
        build(data)


@pytest.mark.parametrize(
    "settings",
    [
        {"sizes": "4,6,8"},
        {"variant": "et++", "sizes": "4,8", "epochs": 2},
        {"base": "moco", "base_settings": f"{SMALL},queue=32", "sizes": "4,6,8"},
    ],
    ids=["supervised", "et++", "moco"],
)
def test_resumes_to_the_same_bytes(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The helper's settings for two-view methods are not this method's own.
    def create(**given: Any) -> EfficientTrainConfig:
        own = {name: value for name, value in given.items() if name not in ("dimension", "hidden")}
        return EfficientTrainConfig(**own)

    monkeypatch.setattr(EfficientTrainConfig, "create", create)
    assert_resumes("efficienttrain", tmp_path, monkeypatch, **settings)


def test_report_tells_the_curriculum(tmp_path: Path) -> None:
    config = EfficientTrainConfig.create(
        train_size=64, test_size=40, batch_size=16, epochs=5, device="cpu",
        out=str(tmp_path / "run"),
    )  # fmt: skip
    result = methods.run(config)
    stored = json.loads((tmp_path / "run" / "result.json").read_text())["tables"]
    assert [row["size"] for row in stored["curriculum"].values()] == [6, 6, 6, 6, 8]
    assert stored["curriculum"]["stage 1"]["cost"] == pytest.approx((6 / 8) ** 2)
    assert set(stored["classifier"]) == {"untrained", "trained"}
    assert "What was shown when" in result.report.read_text()
    again = methods.resume(tmp_path / "run")
    assert again.tables == result.tables


def test_learns_at_the_small_size_and_answers_at_the_full_one() -> None:
    data = load("digits")
    method = build(data, epochs=10, sizes="6,6,8")
    before = method.learner.accuracy(data.test_images, data.test_labels)
    take_steps(method, data, method.total_steps)
    method.eval()
    after = method.learner.accuracy(data.test_images, data.test_labels)
    assert before < 30
    assert after > 85
    logits = encode_all(method.learner.logits, data.test_images, torch.device("cpu"))
    right = (logits.argmax(1) == data.test_labels).float().mean()
    assert after == pytest.approx(100 * float(right))
