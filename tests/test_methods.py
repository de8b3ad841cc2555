"""The catalogue, and Barlow Twins against its paper's definition."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from ipse import methods
from ipse.data import Batch, ImageData, load
from ipse.methods import UnknownMethodError
from ipse.methods.barlow_twins import BarlowTwins, BarlowTwinsConfig, cross_correlation

TINY = {"train_size": 64, "test_size": 40, "batch_size": 16, "epochs": 2, "device": "cpu"}


def test_catalogue_is_complete_and_well_formed() -> None:
    entries = methods.CATALOGUE
    baselines = {entry.slug for entry in entries if entry.family == "baseline"}
    assert baselines == {"simclr", "moco", "swav", "dino"}
    assert len(entries) == len({entry.slug for entry in entries}) == 78 + len(baselines)
    for entry in entries:
        assert entry.slug == entry.slug.lower().strip()
        assert entry.title
        assert entry.family
        assert 10 < len(entry.summary) < 90
        assert not entry.summary.endswith(".")


def test_every_ready_method_can_be_got() -> None:
    ready = [entry.slug for entry in methods.CATALOGUE if entry.ready]
    assert "barlow-twins" in ready
    for slug in ready:
        method = methods.get(slug)
        assert method.Config.slug == slug
        assert method.title
        assert method.about
        method.Config.create()
        for data in method.Config.presets:
            method.Config.create(data=data)
        for field in dataclasses.fields(method.Config):
            assert field.metadata["help"]


def test_unknown_methods() -> None:
    with pytest.raises(UnknownMethodError, match="did you mean 'barlow-twins'"):
        methods.get("barlow_twins")
    with pytest.raises(UnknownMethodError, match="not ready yet"):
        methods.get("sslrec")


def test_run_and_resume_as_a_library(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    config = methods.get("barlow-twins").Config.create(**TINY, dimension=8, out=str(out))
    result = methods.run(config)
    assert result.folder == out
    assert result.report.exists()
    assert result.steps == 8
    assert methods.resume(out) == result
    assert capfd.readouterr().out == ""


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load("digits", train_size=256, test_size=64)


def build(digits: ImageData, **changes: object) -> BarlowTwins:
    config = BarlowTwinsConfig.create(batch_size=64, dimension=16, hidden=32, **changes)
    return BarlowTwins(config, digits)


def test_cross_correlation_is_numpys() -> None:
    import numpy as np

    z1, z2 = torch.randn(50, 3).double(), torch.randn(50, 4).double() * 1e-6
    expected = np.corrcoef(z1.T.numpy(), z2.T.numpy())[:3, 3:]
    torch.testing.assert_close(cross_correlation(z1, z2), torch.from_numpy(expected))
    assert (cross_correlation(torch.ones(5, 2), torch.randn(5, 2)) == 0).all()


def test_step_is_the_papers(digits: ImageData) -> None:
    """One step's loss, from the correlation matrix, and two passes with their own statistics."""
    method = build(digits)
    method.train()
    passes: list[torch.Tensor] = []
    method.projector.register_forward_hook(lambda module, inputs, output: passes.append(output))
    indices = torch.arange(64)
    batch = Batch(digits.train_images[:64], digits.train_labels[:64], indices)
    before = [parameter.clone() for parameter in method.parameters()]
    scalars = method.step(batch, torch.Generator().manual_seed(0))

    assert [tuple(z.shape) for z in passes] == [(64, 16), (64, 16)]
    correlation = cross_correlation(*(z.detach().double() for z in passes))
    diagonal = correlation.diagonal()
    expected = ((diagonal - 1) ** 2).sum()
    expected += (correlation.square().sum() - diagonal.square().sum()) / 16
    # The loss adds 1e-5 to the variances; the matrix here does not.
    torch.testing.assert_close(scalars["loss"].double(), expected, rtol=2e-2, atol=0)
    changed = [
        not torch.equal(old, new) for old, new in zip(before, method.parameters(), strict=True)
    ]
    assert all(changed)


def test_lambda_defaults_to_one_over_dimension(digits: ImageData) -> None:
    assert build(digits).loss.lambda_param == 1 / 16
    assert build(digits, lambda_param=0.0).loss.lambda_param == 0.0


def test_same_seed_same_network(digits: ImageData) -> None:
    first, second, other = build(digits), build(digits), build(digits, seed=1)
    images = digits.test_images
    assert torch.equal(first.features(images), second.features(images))
    assert not torch.equal(first.features(images), other.features(images))
    assert first.features(images).shape == (64, 128)


def test_training_aligns_and_lambda_decorrelates(digits: ImageData) -> None:
    """What the method is for, in a few seconds, seen on test images."""

    def train(**changes: object) -> tuple[float, float]:
        method = build(digits, epochs=20, learning_rate=3e-3, **changes)
        method.train()
        for step in range(method.total_steps if changes else 0):
            indices = torch.arange(64) + 64 * (step % 4)
            batch = Batch(digits.train_images[indices], digits.train_labels[indices], indices)
            method.step(batch, torch.Generator().manual_seed(step))
        method.eval()
        correlation = method.correlation_on(digits.test_images)
        diagonal = correlation.diagonal()
        rest = correlation - torch.diag(diagonal)
        return float(diagonal.mean()), float(rest.square().mean())

    untrained_diagonal, _ = train()
    invariant_diagonal, redundant = train(lambda_param=0.0)
    diagonal, rest = train(lambda_param=1 / 16)
    assert untrained_diagonal < 0.4 < diagonal
    assert untrained_diagonal < 0.4 < invariant_diagonal
    assert rest < redundant / 2
