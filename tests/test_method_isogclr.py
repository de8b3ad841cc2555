"""iSogCLR as a method: every image finds its own temperature and keeps it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from ipse.data import ImageData, load
from ipse.methods.isogclr import ISogCLRConfig
from ipse.training import ConfigError
from tests.method_runs import assert_resumes, build, take_steps


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load("digits", train_size=200, test_size=64)


def test_temperatures_survive_a_broken_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_resumes("isogclr", tmp_path, monkeypatch)


def test_a_step_moves_the_temperatures_of_its_images_only(digits: ImageData) -> None:
    method = build("isogclr", digits, eta=0.05)
    (scalars,) = take_steps(method, digits, 1)
    seen = method.order(0)[:64]
    moved = method.loss.tau != 0.2
    assert set(torch.nonzero(moved).flatten().tolist()) == set(seen.tolist())
    assert scalars["temperature"] == pytest.approx(float(method.loss.tau[seen].mean()), rel=1e-5)
    assert len(method.loss.tau) == 200


def test_rho_sets_how_far_the_weights_are_from_uniform(digits: ImageData) -> None:
    """A larger divergence takes a lower temperature, whatever the features are."""
    means = []
    for rho in (0.05, 1.0):
        method = build("isogclr", digits, rho=rho, eta=0.1)
        take_steps(method, digits, 10)
        means.append(float(method.loss.tau.mean()))
    assert means[0] > 0.2 > means[1]


def test_picture_groups_temperatures_by_class(digits: ImageData) -> None:
    method = build("isogclr", digits)
    (picture,) = method.pictures(method, digits)
    (axes,) = picture.figure.axes
    assert [text.get_text() for text in axes.get_xticklabels()] == list(digits.classes)


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"rho: got 5.0, must be below .* = 4.84"):
        ISogCLRConfig.create(batch_size=64, rho=5.0)
    with pytest.raises(ConfigError, match=r"tau_init: got 0.01, must be from tau_min 0.05"):
        ISogCLRConfig.create(tau_init=0.01)
    assert dataclasses.asdict(ISogCLRConfig.create())["rho"] == 0.4
