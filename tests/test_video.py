"""Video data: whole videos are split and drawn, batches keep frames apart, scores go by video."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ipse.data import (
    DataError,
    LeakageWarning,
    VideoData,
    draw_videos,
    load,
    load_surgery,
    spaced_order,
    split_frames,
)
from ipse.evaluation import balanced_weights, fine_tune, video_macro_f1


@pytest.fixture(scope="module")
def surgery() -> VideoData:
    return load_surgery(train_videos=4, test_videos=2)


VIDEOS = torch.arange(6).repeat_interleave(torch.tensor([80, 95, 120, 60, 100, 110]))


def test_surgery_is_what_it_says(surgery: VideoData) -> None:
    assert surgery.train_images.shape[1:] == (3, 48, 48)
    assert surgery.train_images.min() >= 0
    assert surgery.train_images.max() <= 1
    assert not set(surgery.train_videos.tolist()) & set(surgery.test_videos.tolist())
    for videos, labels in (
        (surgery.train_videos, surgery.train_labels),
        (surgery.test_videos, surgery.test_labels),
    ):
        for video in videos.unique():
            phases = labels[videos == video]
            assert 80 <= len(phases) <= 150
            assert phases[0] == 0, "every video begins with the first phase"
            assert (phases.diff() >= 0).all(), "phases come in their order"


def test_surgery_is_the_same_every_time(surgery: VideoData) -> None:
    again = load_surgery(train_videos=4, test_videos=1)
    assert torch.equal(again.train_images, surgery.train_images)
    assert torch.equal(again.train_labels, surgery.train_labels)


def test_neighbouring_frames_are_alike_and_videos_are_not(surgery: VideoData) -> None:
    images, videos = surgery.train_images.flatten(1), surgery.train_videos
    same = videos[1:] == videos[:-1]
    near = (images[1:] - images[:-1]).abs().mean(1)[same].mean()
    firsts = torch.stack([images[videos == video][0] for video in videos.unique()])
    apart = (firsts[:, None] - firsts).abs().mean(2)
    assert near < apart[apart > 0].min() / 2


def test_limited_keeps_videos_in_step(surgery: VideoData) -> None:
    cut = surgery.limited(50, 20)
    assert isinstance(cut, VideoData)
    assert len(cut.train_videos) == len(cut.train_images) == 50
    assert len(cut.test_videos) == 20
    with pytest.raises(DataError, match="train_size"):
        surgery.limited(100000, None)
    with pytest.raises(DataError, match="root"):
        load("surgery", root="somewhere")


def test_split_is_by_video_unless_asked_and_then_it_warns() -> None:
    train, test = split_frames(VIDEOS)
    assert not set(VIDEOS[train].tolist()) & set(VIDEOS[test].tolist())
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(len(VIDEOS)))
    assert len(VIDEOS[test].unique()) == 2
    with pytest.warns(LeakageWarning, match="near-duplicates"):
        train, test = split_frames(VIDEOS, by="frame")
    assert len(VIDEOS[test].unique()) == len(VIDEOS[train].unique()) == 6
    assert len(test) == round(len(VIDEOS) / 3)


def test_split_errors() -> None:
    with pytest.raises(ValueError, match="by must be 'video' or 'frame', got 'day'"):
        split_frames(VIDEOS, by="day")
    with pytest.raises(ValueError, match="test_fraction"):
        split_frames(VIDEOS, 0.01)


def test_draw_videos_takes_whole_ones() -> None:
    chosen = draw_videos(VIDEOS, 2, seed=3)
    drawn = VIDEOS[chosen].unique()
    assert len(drawn) == 2
    assert len(chosen) == int(torch.isin(VIDEOS, drawn).sum())
    assert torch.equal(chosen, draw_videos(VIDEOS, 2, seed=3))
    assert len({tuple(VIDEOS[draw_videos(VIDEOS, 2, seed=s)].unique().tolist()) for s in range(9)})
    for count in (0, 7):
        with pytest.raises(DataError, match="count must be from 1 to 6"):
            draw_videos(VIDEOS, count)


@pytest.mark.parametrize(("batch_size", "gap"), [(64, 1), (64, 5), (64, 8), (30, 15), (113, 5)])
def test_spaced_order_keeps_frames_of_a_video_apart(batch_size: int, gap: int) -> None:
    order = spaced_order(VIDEOS, batch_size, gap, torch.Generator().manual_seed(0))
    batches = order.view(len(VIDEOS) // batch_size, batch_size)
    for batch in batches:
        near = (batch[:, None] - batch).abs() < gap
        same = (VIDEOS[batch][:, None] == VIDEOS[batch]) & ~torch.eye(batch_size, dtype=torch.bool)
        assert not (near & same).any()
    seen = order.bincount(minlength=len(VIDEOS))
    assert seen.max() <= 2
    # What is left out is little more than the part of a batch that never fits.
    assert (seen == 0).sum() <= len(VIDEOS) % batch_size + len(VIDEOS) // 10


def test_spaced_order_is_random_and_repeatable() -> None:
    one, again = (spaced_order(VIDEOS, 64, 5, torch.Generator().manual_seed(1)) for _ in range(2))
    other = spaced_order(VIDEOS, 64, 5, torch.Generator().manual_seed(2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("gap", [0, 9])
def test_spaced_order_refuses_impossible_gaps(gap: int) -> None:
    with pytest.raises(ValueError, match="min_gap must be from 1 to the 8 batches"):
        spaced_order(VIDEOS, 64, gap, torch.Generator())


def test_macro_f1_is_scikit_learns_on_the_phases_of_each_video() -> None:
    from sklearn.metrics import f1_score

    source = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (90,), generator=source)
    predicted = torch.where(
        torch.rand(90, generator=source) < 0.6, labels, torch.randint(4, (90,), generator=source)
    )
    videos = torch.arange(3).repeat_interleave(30)
    labels[:30][labels[:30] == 2] = 3  # the first video has no phase 2, but it is predicted
    assert (predicted[:30] == 2).any()
    expected = [
        f1_score(
            labels[videos == v], predicted[videos == v], labels=labels[videos == v].unique(),
            average="macro", zero_division=0.0,
        )
        for v in range(3)
    ]  # fmt: skip
    score = video_macro_f1(predicted, labels, videos)
    assert score == pytest.approx(100 * sum(expected) / 3)


def test_macro_f1_of_extremes() -> None:
    labels, videos = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 0, 1])
    assert video_macro_f1(labels, labels, videos) == 100.0
    assert video_macro_f1(1 - labels, labels, videos) == 0.0
    with pytest.raises(ValueError, match="video_macro_f1"):
        video_macro_f1(labels[:2], labels, videos)


def test_balanced_weights() -> None:
    labels = torch.tensor([0, 0, 0, 2])
    weights = balanced_weights(labels, 4)
    torch.testing.assert_close(weights, torch.tensor([2 / 3, 0.0, 2.0, 0.0]))
    torch.testing.assert_close(weights[labels].mean(), torch.tensor(1.0))


def test_fine_tune_learns_and_leaves_the_encoder_alone() -> None:
    source = torch.Generator().manual_seed(0)
    labels = torch.randint(2, (60,), generator=source) * 2  # class 1 does not occur
    images = torch.rand(60, 1, 4, 4, generator=source) + 0.5 * labels[:, None, None, None]
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU())
    before = encoder[1].weight.clone()
    classifier = fine_tune(encoder, 8, images, labels, 3, steps=200, learning_rate=1e-2)
    assert torch.equal(encoder[1].weight, before)
    assert (classifier(images).argmax(1) == labels).all()
    again = fine_tune(encoder, 8, images, labels, 3, steps=200, learning_rate=1e-2)
    assert torch.equal(again(images), classifier(images))
