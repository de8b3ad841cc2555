"""The training layer's parts: settings, schedules, keyed randomness."""

from __future__ import annotations

import json
import math

import pytest
import torch

from ipse.data import ImageData
from ipse.training import (
    ConfigError,
    command_for,
    warmup_cosine_factor,
)
from ipse.training.device import launcher
from ipse.training.randomness import Stream, generator, seeded
from tests.training_cases import Line, LineConfig, made_up_data


@pytest.fixture
def data() -> ImageData:
    return made_up_data()


# Settings


def test_presets_fill_in_what_is_not_given() -> None:
    assert LineConfig.create().epochs == 3
    assert LineConfig.create(data="fashion-mnist").epochs == 7
    assert LineConfig.create(data="fashion-mnist", epochs=1).epochs == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 0}, "epochs: got 0, must be at least 1"),
        ({"epochs": 1.5}, "epochs: got 1.5, must be of type int"),
        ({"epochs": True}, "epochs: got True, must be of type int"),
        ({"rate": math.nan}, "rate: got nan, must be at least 0"),
        ({"data": "digit"}, "data: got 'digit', must be one of .*did you mean 'digits'"),
        ({"precision": "8"}, "precision: got '8', must be one of 32, bf16"),
        ({"seed": -1}, "seed: got -1"),
        ({"rate": 11.0}, "rate: got 11.0, must be at most 10"),
        ({"epoch": 3}, "epoch: unknown setting; did you mean 'epochs'"),
        ({"device": None}, "device: got None, must be of type str"),
    ],
)
def test_settings_are_checked(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LineConfig.create(**given)


def test_settings_survive_json() -> None:
    config = LineConfig.create(rate=0.1 + 0.2, root="x", shuffle_more=True, train_size=None)
    assert LineConfig.create(**json.loads(json.dumps(config.to_dict()))) == config


def test_command_names_only_what_differs() -> None:
    assert command_for(LineConfig.create()) == "ipse run line"
    assert command_for(LineConfig.create(data="fashion-mnist", out="x")) == (
        "ipse run line --data fashion-mnist"
    )
    config = LineConfig.create(rate=0.5, shuffle_more=True, root="my files")
    assert command_for(config) == "ipse run line --root 'my files' --rate 0.5 --shuffle-more"


def test_batch_larger_than_the_data_is_refused(data: ImageData) -> None:
    with pytest.raises(ConfigError, match="batch_size: got 41, must be at most the 40"):
        Line(LineConfig.create(batch_size=41), data)


@pytest.mark.parametrize("device", ["nonsense", "cuda:999", "meta"])
def test_device_that_is_not_there(device: str) -> None:
    with pytest.raises(ConfigError, match=f"device: got '{device}'"):
        launcher(LineConfig.create(device=device))


# Schedule


def test_warmup_cosine() -> None:
    factors = [warmup_cosine_factor(step, 110, 10, final=0.1) for step in range(120)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9] == factors[10] == 1.0
    assert factors[60] == pytest.approx(0.55)
    assert factors[110] == factors[119] == pytest.approx(0.1)
    assert factors[:10] == sorted(factors[:10])
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert warmup_cosine_factor(0, 5, 0) == 1.0


# Randomness


def test_generators_differ_by_every_part_of_their_key() -> None:
    keys = [
        (seed, stream, epoch, step)
        for seed in (0, 1, 2**40)
        for stream in Stream
        for epoch in (0, 1)
        for step in (0, 1)
    ]
    draws = {torch.rand(4, generator=generator(*key)).numpy().tobytes() for key in keys}
    assert len(draws) == len(keys)
    again = torch.rand(4, generator=generator(*keys[0]))
    assert again.numpy().tobytes() in draws


def test_seeded_restores_the_default_generator() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with seeded(0, Stream.MODULES):
        inside = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    assert not torch.equal(inside, expected)
