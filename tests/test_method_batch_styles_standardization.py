"""BSS: styles of batches, its loss, its domains, and what survives a kill."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ipse import methods
from ipse.data import (
    DataError,
    DomainData,
    StyledViews,
    ViewDistribution,
    batch_jitter,
    load,
    styled_domains,
)
from ipse.methods.batch_styles_standardization import domain_scores, same_view_loss
from ipse.training import ConfigError
from tests.method_runs import assert_resumes, build, take_steps
from tests.process_group import run_ranks

SLUG = "batch-styles-standardization"
NOTHING = ViewDistribution()


@pytest.fixture(scope="module")
def digits() -> DomainData:
    data = load("styled-digits", train_size=300, test_size=90)
    assert isinstance(data, DomainData)
    return data


def views(**changes: object) -> StyledViews:
    given = {"geometry": NOTHING, "colours": NOTHING, **changes}
    return StyledViews(**given)  # type: ignore[arg-type]


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_domains_are_balanced_and_apart(digits: DomainData) -> None:
    assert digits.train_images.shape == (300, 3, 8, 8)
    assert digits.train_images.min() >= 0
    assert digits.train_images.max() <= 1
    pairs = digits.train_labels * 3 + digits.train_domains
    assert pairs.bincount().tolist() == [10] * 30
    tints = digits.train_images.mean((2, 3))
    means = torch.stack([tints[digits.train_domains == d].mean(0) for d in range(3)])
    nearest = torch.cdist(tints, means).argmin(1)
    assert (nearest == digits.train_domains).double().mean() > 0.8
    unseen = digits.test_images.mean((0, 2, 3))
    assert torch.cdist(unseen[None], means).min() > 0.1
    assert digits.seen_images.shape == digits.test_images.shape == (90, 3, 8, 8)


def test_domains_are_the_same_every_time() -> None:
    one, other = (load("styled-digits") for _ in range(2))
    assert torch.equal(one.train_images, other.train_images)
    assert torch.equal(one.test_images, other.test_images)
    with pytest.raises(DataError, match=r"styled_domains: needs grey images, got 3 channels"):
        styled_domains(one)


def test_all_images_of_a_view_have_one_style(digits: DomainData) -> None:
    images = digits.train_images[:40].double()
    drawn = views(least_ratio=1.0)(images, source())
    amplitude = torch.fft.rfft2(drawn).abs()
    unclamped = ((drawn > 0) & (drawn < 1)).flatten(1).all(1)
    assert unclamped.sum() >= 2
    chosen = amplitude[unclamped]
    torch.testing.assert_close(chosen, chosen[:1].expand_as(chosen), rtol=1e-4, atol=1e-4)
    # Means are amplitudes at 0; clamping moves them a little.
    means = drawn.mean((2, 3))
    assert means.std(0).max() < 0.3 * images.mean((2, 3)).std(0).max()
    each = views(exchange="image", least_ratio=1.0)(images, source())
    assert each.mean((2, 3)).std(0).max() > 0.5 * images.mean((2, 3)).std(0).max()


def test_views_without_exchange_are_the_images(digits: DomainData) -> None:
    images = digits.train_images[:20]
    drawn = views(exchange="none")(images, source())
    torch.testing.assert_close(drawn, images, rtol=0, atol=1e-5)
    fixed = views(least_ratio=0.0, largest_ratio=0.0)(images, source())
    torch.testing.assert_close(fixed, images, rtol=0, atol=1e-5)


def test_two_views_have_two_styles(digits: DomainData) -> None:
    images, generator = digits.train_images[:20], source()
    styled = views()
    assert not torch.equal(styled(images, generator), styled(images, generator))
    assert torch.equal(styled(images, source(5)), styled(images, source(5)))


def _view_of_rank(rank: int) -> Tensor:
    # Other images on every rank, and a generator in another state.
    images = 0.2 + 0.6 * torch.rand(6, 3, 8, 8, generator=source(rank)).double()
    styled = StyledViews(geometry=NOTHING, colours=NOTHING, least_ratio=0.02, largest_ratio=0.02)
    return styled(images, source(10 + rank))


def test_all_ranks_share_the_first_ones_style(tmp_path: Path) -> None:
    """The window holds the means alone: they are equal, on both ranks."""
    drawn = torch.cat(run_ranks(_view_of_rank, 2, tmp_path))
    means = drawn.mean((2, 3))
    torch.testing.assert_close(means, means[:1].expand_as(means))


def test_jitter_of_a_batch_is_one_for_all() -> None:
    images = torch.rand(6, 3, 5, 5, generator=source())
    images[3] = images[0]
    colours = ViewDistribution(contrast=0.4, brightness=0.2, saturation=0.4, hue=0.2, gamma=1.5)
    drawn = batch_jitter(images, colours, source(1))
    assert not torch.equal(drawn, images)
    assert torch.equal(drawn[0], drawn[3])
    alone = batch_jitter(images[:1], colours, source(1))
    torch.testing.assert_close(alone, drawn[:1])
    grey = batch_jitter(images[:, :1], colours, source(1))
    assert grey.shape == (6, 1, 5, 5)
    free = views(exchange="none", colours=colours, jitter="image")(images, source(1))
    assert not torch.allclose(free[0], free[3], atol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exchange": "all"}, "exchange must be one of 'batch', 'image', 'none', got 'all'"),
        ({"jitter": "none"}, "jitter must be one of 'batch', 'image', got 'none'"),
        ({"least_ratio": 0.5, "largest_ratio": 0.4}, "needs 0 <= least_ratio <= largest_ratio"),
        ({"largest_ratio": 1.5}, "needs 0 <= least_ratio <= largest_ratio <= 1"),
    ],
)
def test_views_that_make_no_sense(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"StyledViews: {message}"):
        views(**change)


def reference_loss(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """Anchor by anchor, as the definition says."""
    sides = [F.normalize(z, dim=1) for z in (z1, z2)]
    losses = []
    for view in (0, 1):
        for i in range(len(z1)):
            anchor = sides[view][i]
            positive = (anchor @ sides[1 - view][i] / temperature).exp()
            others = torch.cat([sides[view][:i], sides[view][i + 1 :]])
            negatives = (others @ anchor / temperature).exp().sum()
            losses.append(-torch.log(positive / (positive + negatives)))
    return torch.stack(losses).mean()


def test_loss_within_a_view() -> None:
    z1, z2 = torch.randn(2, 7, 5, dtype=torch.float64, generator=source())
    wanted = reference_loss(z1, z2, 0.3)
    torch.testing.assert_close(same_view_loss(z1, z2, 0.3), wanted)
    leaves = z1.requires_grad_(), z2.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: same_view_loss(a, b, 0.3), leaves)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"negatives": "all"},
        {"styles": "image", "jitter": "image"},
        {"styles": "none"},
        {"loss": "swav"},
    ],
    ids=str,
)
def test_loss_falls(digits: DomainData, settings: dict[str, object]) -> None:
    method = build(SLUG, digits, epochs=10, **settings)
    rows = take_steps(method, digits, 40)
    losses = [row["loss"] for row in rows]
    assert all(math.isfinite(value) for value in losses)
    assert sum(losses[-4:]) < sum(losses[:4])
    scores = domain_scores(method.eval(), digits)
    assert list(scores) == ["unseen domain", "seen domains", "domain probe", "same domain"]
    assert all(0 <= value <= 100 for value in scores.values())


def test_features_of_the_domain_alone_score_so(digits: DomainData) -> None:
    """The measures on features that are known: the domain, written down."""
    method = build(SLUG, digits)
    table = dict(
        zip(map(float, digits.train_images.sum((1, 2, 3))), digits.train_domains, strict=True)
    )
    table |= dict(
        zip(map(float, digits.seen_images.sum((1, 2, 3))), digits.seen_domains, strict=True)
    )

    def features(images: Tensor) -> Tensor:
        found = torch.stack(
            [torch.as_tensor(table.get(float(s), 0)) for s in images.sum((1, 2, 3))]
        )
        return F.one_hot(found, 3).float() + 0.1

    method.features = features
    scores = domain_scores(method, replace(digits, test_images=digits.train_images[:90]))
    assert scores["domain probe"] == 100
    assert scores["same domain"] == 100
    assert scores["seen domains"] < 30


def test_settings_that_make_no_sense() -> None:
    config = methods.get(SLUG).Config
    with pytest.raises(ConfigError, match=r"least_ratio: got 0\.5, must be at most largest_ratio"):
        config.create(least_ratio=0.5, largest_ratio=0.2)


@pytest.mark.parametrize("loss", ["simclr", "swav"])
def test_resumes(loss: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_resumes(SLUG, tmp_path, monkeypatch, loss=loss)
