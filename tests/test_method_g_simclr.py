"""G-SimCLR as a method: clusters found once, batches that avoid them, and the autoencoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ipse.data import DataError, ImageData, load
from ipse.methods.g_simclr import GSimCLRConfig, cluster, embed, same_class_pairs
from ipse.training import ConfigError, DenoisingAutoencoder, train_autoencoder
from tests.method_runs import assert_resumes, build, take_steps

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load("digits", train_size=480, test_size=64)


@pytest.mark.parametrize("embeddings", ["pca", "autoencoder-map"])
def test_clusters_survive_a_broken_run(
    embeddings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_resumes("g-simclr", tmp_path, monkeypatch, embeddings=embeddings, autoencoder_epochs=2)


def prepared(digits: ImageData, **settings: Any) -> tuple[Any, list[str]]:
    method = build("g-simclr", digits, batch_size=16, embeddings="pca", **settings)
    return method, list(method.prepare(digits))


def test_batches_hold_different_clusters(digits: ImageData) -> None:
    method, lines = prepared(digits, clusters=64)
    clusters = method.clusters.labels
    assert clusters.bincount().max() <= method.steps_per_epoch, "or this test shows nothing"
    for epoch in range(3):
        batches = method.order(epoch).view(-1, 16)
        assert len(batches) == method.steps_per_epoch == 30
        assert all(len(set(clusters[row].tolist())) == 16 for row in batches)
    assert not torch.equal(method.order(0), method.order(1))
    assert lines[0].startswith("64 clusters of ")
    assert lines[1] == "in 0 of 480 places a cluster has to come again"


def test_fewer_false_negatives_than_in_random_order(digits: ImageData) -> None:
    method, lines = prepared(digits)
    guided = same_class_pairs(method.order(0).view(-1, 16), digits.train_labels)
    random = same_class_pairs(method.random_batches(), digits.train_labels)
    assert float(guided.double().mean()) < 0.8 * float(random.double().mean())
    assert 0.6 < method.agreement(digits) < 1
    assert f"(NMI) {method.agreement(digits):.2f}" in lines[0]


def test_steps_follow_the_order_and_learn(digits: ImageData) -> None:
    method, _ = prepared(digits, epochs=4)
    losses = [row["loss"] for row in take_steps(method, digits, method.total_steps)]
    assert sum(losses[-10:]) < sum(losses[:10])


def test_same_class_pairs() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    batches = torch.tensor([[0, 1, 2], [0, 3, 5], [3, 4, 0]])
    assert same_class_pairs(batches, labels).tolist() == [3, 0, 1]


def test_picture_compares_the_orders(digits: ImageData) -> None:
    method, _ = prepared(digits)
    (picture,) = method.pictures(method, digits)
    assert "normalised mutual information" in picture.caption
    (axes,) = picture.figure.axes
    names = [text.get_text() for text in axes.get_xticklabels()]
    assert names == ["random order", "one of each cluster"]


def test_given_embeddings(digits: ImageData, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(480, 3))
    path = tmp_path / "rows.npy"
    np.save(path, rows)
    torch.testing.assert_close(embed(digits, str(path), CPU), torch.from_numpy(rows).float())
    np.save(path, rows[:-1])
    with pytest.raises(DataError, match=r"must hold floats of shape \[480, D\].*got float64"):
        embed(digits, str(path), CPU)
    rows[3, 1] = np.nan
    np.save(path, rows)
    with pytest.raises(DataError, match="not finite"):
        embed(digits, str(path), CPU)
    with pytest.raises(DataError, match=r"absent\.npy cannot be read"):
        embed(digits, str(tmp_path / "absent.npy"), CPU)


def test_clusters_that_stay_empty() -> None:
    rows = torch.arange(5.0).repeat(20)[:, None]
    assert len(cluster(rows, 5, seed=0).unique()) == 5
    with pytest.raises(DataError, match="enough for 6 clusters, but only 5 have images"):
        cluster(rows, 6, seed=0)


def test_principal_components_keep_the_variance(digits: ImageData) -> None:
    pixels = digits.train_images.flatten(1).double()
    pixels = pixels - pixels.mean(0)
    kept = torch.linalg.svdvals(pixels)[:32].square().sum()
    found = embed(digits, "pca", CPU)
    assert found.shape == (480, 32)
    torch.testing.assert_close(found.double().square().sum(), kept, rtol=1e-4, atol=0)


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match="clusters: got 32, must be at least batch_size 64"):
        GSimCLRConfig.create(clusters=32)
    with pytest.raises(
        ConfigError, match=r"embeddings: got 'umap', must be autoencoder-map, .* or a \.npy"
    ):
        GSimCLRConfig.create(embeddings="umap")


# The autoencoder


@pytest.mark.parametrize("side", [8, 9, 28])
def test_autoencoder_draws_images_of_any_size(side: int) -> None:
    network = DenoisingAutoencoder(channels=2, widths=(4, 6, 8))
    images = torch.rand(3, 2, side, side)
    drawn = network(images)
    assert drawn.shape == images.shape
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    pooled, whole = network.embed(images), network.embed(images, pooled=False)
    assert pooled.shape == (3, 8)
    torch.testing.assert_close(whole.view(3, 8, -1).mean(dim=2), pooled)


def test_autoencoder_learns_and_stops(digits: ImageData) -> None:
    torch.manual_seed(0)
    network = DenoisingAutoencoder()
    images = digits.train_images
    error = train_autoencoder(network, images, epochs=20, batch_size=32)
    assert not network.training
    assert error < 0.7 * float((images - images.mean(0)).square().mean())
    # With a rate of 0 nothing gets better after the first epoch, and patience runs out.
    calls: list[int] = []
    network.register_forward_hook(lambda *_: calls.append(0))
    train_autoencoder(network, images[:100], epochs=50, learning_rate=0.0, patience=3)
    assert len(calls) <= 3 * 8, "one pass is two batches and a check"


def test_autoencoder_ends_with_its_best_weights(digits: ImageData) -> None:
    torch.manual_seed(0)
    network = DenoisingAutoencoder(widths=(4, 4, 4))
    images = digits.train_images[:100]
    best = train_autoencoder(network, images, epochs=6, learning_rate=0.3, patience=6)
    torch.manual_seed(0)
    DenoisingAutoencoder(widths=(4, 4, 4))  # draws what the first one drew
    held_out = images[torch.randperm(100)[:10]]
    again = torch.nn.functional.mse_loss(network(held_out), held_out)
    assert float(again.detach()) == pytest.approx(best, rel=1e-5)


def test_autoencoder_needs_images() -> None:
    with pytest.raises(ValueError, match="images must be at least 2, got 1"):
        train_autoencoder(DenoisingAutoencoder(), torch.rand(1, 1, 8, 8))
