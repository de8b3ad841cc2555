"""Evaluation against plain definitions and scikit-learn, and a report that stands alone."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier

from ipse.data import ImageData
from ipse.evaluation import (
    Features,
    Picture,
    Result,
    Scores,
    Table,
    embedding,
    extract,
    linear_probe,
    loss_curve,
    matrices,
    png,
    raw_pixels,
    render_report,
    score,
    weighted_knn,
)


def features(count: int, size: int, seed: int) -> torch.Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


def plain_knn(
    train: torch.Tensor, labels: torch.Tensor, test: torch.Tensor, k: int, temperature: float
) -> list[list[float]]:
    """Votes per test sample and class, straight from the definition, in float64."""
    votes = []
    for sample in test.double():
        similarities = [
            float(sample @ other / (sample.norm() * other.norm())) for other in train.double()
        ]
        nearest = sorted(range(len(train)), key=lambda i: -similarities[i])[:k]
        row = [0.0] * (int(labels.max()) + 1)
        for i in nearest:
            row[int(labels[i])] += math.exp(similarities[i] / temperature)
        votes.append(row)
    return votes


@given(
    count=st.integers(1, 30),
    size=st.integers(2, 9),
    classes=st.integers(1, 5),
    k=st.integers(1, 40),
    temperature=st.sampled_from([0.05, 0.07, 1.0]),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=60, deadline=None)
def test_knn_matches_the_definition(
    count: int, size: int, classes: int, k: int, temperature: float, seed: int
) -> None:
    train, test = features(count, size, seed), features(12, size, seed + 1)
    labels = torch.randint(classes, (count,), generator=torch.Generator().manual_seed(seed + 2))
    predicted = weighted_knn(train, labels, test, k, temperature)
    for votes, choice in zip(
        plain_knn(train, labels, test, k, temperature), predicted, strict=True
    ):
        # Whatever is chosen must have the most votes, up to float32 rounding.
        assert votes[choice] >= max(votes) * (1 - 1e-4)


def test_knn_matches_scikit_learn_across_blocks() -> None:
    train, test = features(300, 16, 0), features(2500, 16, 1)
    labels = torch.randint(7, (300,), generator=torch.Generator().manual_seed(2))
    reference = KNeighborsClassifier(
        20, metric="cosine", weights=lambda distance: np.exp((1 - distance) / 0.07)
    )
    reference.fit(train.numpy(), labels.numpy())
    agreement = weighted_knn(train, labels, test).numpy() == reference.predict(test.numpy())
    assert agreement.mean() > 0.999  # a tie in float32 may fall the other way


def test_knn_votes_are_weighted() -> None:
    """One very near neighbour outvotes two distant ones at a small temperature, not at a large."""
    train = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    labels, test = torch.tensor([0, 1, 1]), torch.tensor([[1.0, 0.5]])
    assert weighted_knn(train, labels, test, k=3, temperature=0.07).tolist() == [0]
    assert weighted_knn(train, labels, test, k=3, temperature=100.0).tolist() == [1]


def test_knn_survives_a_tiny_temperature_and_zero_features() -> None:
    train, labels = features(20, 4, 0), torch.arange(20)
    assert weighted_knn(train, labels, train, temperature=1e-6).tolist() == list(range(20))
    assert len(weighted_knn(train, labels, torch.zeros(3, 4))) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, "k must be at least 1, got 0"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"temperature": math.nan}, "temperature must be positive"),
        ({"test_features": torch.zeros(2, 5)}, "size 4, got 5"),
        ({"train_labels": torch.zeros(9, dtype=torch.long)}, r"got \[9\] for 10 features"),
        ({"train_features": torch.zeros(0, 4), "train_labels": torch.zeros(0)}, "N = "),
    ],
)
def test_knn_refuses(change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {
        "train_features": features(10, 4, 0),
        "train_labels": torch.zeros(10, dtype=torch.long),
        "test_features": features(2, 4, 1),
        **change,
    }
    with pytest.raises(ValueError, match=message):
        weighted_knn(**arguments)  # type: ignore[arg-type]


def two_classes(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points whose class is the sign of one coordinate, which is tiny beside another."""
    points = features(count, 3, seed) * torch.tensor([1000.0, 0.01, 1.0])
    return points, (points[:, 1] > 0).long()


def test_linear_probe_standardises_and_separates() -> None:
    train, labels = two_classes(400, 0)
    test, truth = two_classes(200, 1)
    assert (linear_probe(train, labels, test) == truth).float().mean() > 0.97
    assert torch.equal(linear_probe(train, labels, test), linear_probe(train, labels, test))


def test_linear_probe_stops_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    train, labels = two_classes(400, 0)
    linear_probe(train, labels, train, max_iterations=1)
    assert not recwarn.list


@pytest.fixture
def data() -> ImageData:
    images = features(64, 16, 0).reshape(64, 1, 4, 4)
    labels = (images[:, 0, 0, 0] > 0).long()
    return ImageData("made-up", images[:40], labels[:40], images[40:], labels[40:], ("no", "yes"))


def test_extract_covers_every_image_in_order(data: ImageData) -> None:
    def encode(images: torch.Tensor) -> torch.Tensor:
        assert not torch.is_grad_enabled()
        return images.flatten(1) * 2

    # More images than one block holds.
    big = dataclasses.replace(data, train_images=features(1203, 16, 5).reshape(-1, 1, 4, 4))
    extracted = extract(encode, big)
    assert torch.equal(extracted.train, big.train_images.flatten(1) * 2)
    assert torch.equal(extracted.test, data.test_images.flatten(1) * 2)
    assert torch.equal(raw_pixels(data).test, data.test_images.flatten(1))


def test_score_counts_correct_predictions(data: ImageData) -> None:
    answer = Features(
        torch.nn.functional.one_hot(data.train_labels).float(),
        torch.nn.functional.one_hot(data.test_labels).float(),
    )
    assert score(answer, data) == Scores(knn=100.0, linear=100.0)
    swapped = Features(answer.train, answer.test.flip(1))
    assert score(swapped, data) == Scores(knn=0.0, linear=0.0)


def make_result(folder: Path, trained: Scores) -> Result:
    return Result(
        slug="some-method",
        data="made-up",
        scores={
            "raw pixels": Scores(80.0, 81.0),
            "untrained encoder": Scores(70.0, 75.0),
            "trained encoder": trained,
        },
        final_loss=1.5,
        steps=10,
        train_seconds=1.0,
        evaluation_seconds=0.5,
        folder=folder,
        report=folder / "report.html",
    )


def test_result_round_trip(tmp_path: Path) -> None:
    result = make_result(tmp_path, Scores(90.0, 91.0))
    assert Result.from_dict(result.to_dict(), result.folder, result.report) == result


def render(data: ImageData, result: Result, tables: Sequence[Table] = ()) -> str:
    rows = [{"step": i, "epoch": i // 4, "loss": 10.0 / (i + 1)} for i in range(12)]
    figure = loss_curve(rows)
    return render_report(
        title="A <method>",
        about="How & why.",
        result=result,
        data=data,
        images=[(Picture("loss", "Loss", "It <falls>.", figure), png(figure))],
        tables=tables,
        settings=[("epochs", "3", "passes & such")],
        described={
            "command": "ipse run some-method --epochs 3",
            "versions": {"ipse": "1", "torch": "2"},
            "threads": 2,
        },
    )


def test_report_is_self_contained_and_escaped(data: ImageData, tmp_path: Path) -> None:
    page = render(data, make_result(tmp_path, Scores(90.0, 91.0)))
    assert "://" not in page
    assert "<script" not in page
    assert re.findall(r'src="([^,"]*)', page) == ["data:image/png;base64"]
    assert "A &lt;method&gt;" in page
    assert "It &lt;falls&gt;." in page
    assert "ipse run some-method --epochs 3" in page
    assert str(tmp_path) not in page


@pytest.mark.parametrize(
    ("trained", "words"),
    [
        (
            Scores(90.0, 75.0),
            ["kNN accuracy rose from 70.0 % to 90.0 % (+20.0", "stayed at 75.0 %"],
        ),
        (Scores(60.0, 74.0), ["kNN accuracy fell from 70.0 % to 60.0 % (-10.0", "accuracy fell"]),
    ],
)
def test_report_says_what_happened(
    data: ImageData, tmp_path: Path, trained: Scores, words: list[str]
) -> None:
    page = render(data, make_result(tmp_path, trained))
    for expected in words:
        assert expected in page


def test_tables_are_shown_and_escaped(data: ImageData, tmp_path: Path) -> None:
    table = Table("x", "What <else>", "Read & understand.", {"<row>": {"a": 1.0, "b": 2.344}})
    assert table.columns == ("a", "b")
    result = make_result(tmp_path, Scores(90.0, 91.0))
    page = render(data, result, [table])
    for part in ("What &lt;else&gt;", "Read &amp; understand.", "&lt;row&gt;", ">2.34<"):
        assert part in page
    assert "What &lt;else&gt;" not in render(data, result)


@pytest.mark.parametrize("rows", [{}, {"one": {"a": 1.0}, "two": {"b": 1.0}}])
def test_tables_have_the_same_columns_in_every_row(rows: dict[str, dict[str, float]]) -> None:
    with pytest.raises(ValueError, match="Table: rows must be at least one, all with the same"):
        Table("x", "X", "", rows)


def test_pictures_are_png(data: ImageData) -> None:
    panels = {"before": features(24, 5, 0), "after": features(24, 5, 1)}
    for figure in (
        embedding(panels, data.test_labels, data.classes, seed=0),
        matrices({"one": torch.eye(4)}),
        loss_curve([{"step": 1, "epoch": 1, "loss": -2.0}, {"step": 2, "epoch": 1, "loss": 1.0}]),
    ):
        content = png(figure)
        assert content.startswith(b"\x89PNG")
        assert len(content) > 5000
