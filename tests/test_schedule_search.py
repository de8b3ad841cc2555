"""The greedy searches: which schedules they try, in which order, and that they go on."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from ipse.cli import main
from ipse.data import load
from ipse.methods.schedule_search import (
    ScheduleSearchConfig,
    search_schedule,
    split_validation,
)
from ipse.schedules import cost_factor, fixed_compute_search, greedy_search
from ipse.training import ConfigError

SIZES = (96, 128, 160, 192, 224)


def needs(*least: int) -> object:
    """An accuracy that falls once a stage is smaller than it may be."""

    def evaluate(sizes: tuple[int, ...]) -> float:
        return 80.0 - sum(max(0, low - size) for size, low in zip(sizes, least, strict=True))

    return evaluate


def test_greedy_search_finds_the_published_schedule() -> None:
    found = greedy_search(needs(160, 160, 160, 192, 224), SIZES)
    assert found.sizes == (160, 160, 160, 192, 224)
    assert found.accuracy == found.baseline == 80.0
    assert cost_factor(found.sizes, 224) == pytest.approx(0.653, abs=5e-4)


def test_greedy_search_tries_what_the_algorithm_says() -> None:
    tried: list[tuple[int, ...]] = []

    def evaluate(sizes: tuple[int, ...]) -> float:
        tried.append(sizes)
        return float(needs(14, 20, 28)(sizes))  # type: ignore[operator]

    assert greedy_search(evaluate, [28, 14, 20], 3).sizes == (14, 20, 28)
    # The baseline; stages 1 and 2 together, smallest first, until one keeps it; stage 1 below.
    assert tried == [(28, 28, 28), (14, 14, 28), (20, 20, 28), (14, 20, 28)]


def test_sizes_never_fall() -> None:
    """A stage may not be larger than the one after it, even if only that kept the accuracy."""
    found = greedy_search(needs(28, 14, 28), [14, 20, 28], 3)
    assert found.sizes == (28, 28, 28)


def test_tolerance() -> None:
    assert greedy_search(needs(16, 28), [14, 28], 2).sizes == (28, 28)
    assert greedy_search(needs(16, 28), [14, 28], 2, tolerance=2.0).sizes == (14, 28)
    assert greedy_search(needs(28), [14, 28], 1).sizes == (28,)


def test_fixed_compute_search_climbs() -> None:
    """Best where the sizes are these; every stage is chosen with later ones at the full size."""
    wanted = (96, 96, 160, 224)

    def evaluate(sizes: tuple[int, ...]) -> float:
        return -float(sum(abs(size - goal) for size, goal in zip(sizes, wanted, strict=True)))

    found = fixed_compute_search(evaluate, SIZES, 4)
    assert found.sizes == wanted
    assert found.accuracy == 0
    assert found.baseline == evaluate((224,) * 4)


def test_fixed_compute_search_keeps_the_baseline_if_nothing_is_better() -> None:
    tried: list[tuple[int, ...]] = []
    found = fixed_compute_search(lambda sizes: tried.append(sizes) or 1.0, [14, 20, 28], 4)
    assert found.sizes == (28,) * 4
    assert len(tried) == 3  # then no later stage may be smaller


def test_a_search_goes_on_from_its_file(tmp_path: Path) -> None:
    memory, lines = tmp_path / "memory.json", []
    calls: list[tuple[int, ...]] = []

    def dying(sizes: tuple[int, ...]) -> float:
        calls.append(sizes)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return float(needs(14, 20, 28)(sizes))  # type: ignore[operator]

    with pytest.raises(KeyboardInterrupt):
        greedy_search(dying, [14, 20, 28], 3, memory=memory, label="a")
    assert len(json.loads(memory.read_text())["accuracies"]) == 3
    found = greedy_search(dying, [14, 20, 28], 3, memory=memory, label="a", report=lines.append)
    assert found.sizes == (14, 20, 28)
    assert len(calls) == 5  # only the one that was broken off is tried again
    assert [line.endswith("(known)") for line in lines] == [True, True, True, False]
    with pytest.raises(ValueError, match=r"must be of this search \('b'\), got 'a'"):
        greedy_search(dying, [14, 20, 28], 3, memory=memory, label="b")
    memory.write_text("{")
    with pytest.raises(ValueError, match="is not the file of a search"):
        greedy_search(dying, [14, 20, 28], 3, memory=memory, label="a")


def test_what_searches_refuse() -> None:
    with pytest.raises(ValueError, match="greedy_search: candidates must be sizes"):
        greedy_search(lambda sizes: 1.0, [])
    with pytest.raises(ValueError, match="fixed_compute_search: stages must be at least 1, got 0"):
        fixed_compute_search(lambda sizes: 1.0, [28], 0)
    with pytest.raises(ValueError, match="evaluate: must return a finite accuracy, got nan"):
        greedy_search(lambda sizes: math.nan, [28], 2)


# The tool


def test_validation_is_apart_from_training_and_test() -> None:
    data = load("digits", train_size=100)
    split = split_validation(data, 0.2, seed=0)
    assert (len(split.train_images), len(split.test_images)) == (80, 20)
    joined = torch.cat([split.train_images, split.test_images]).flatten(1)
    assert len({tuple(row.tolist()) for row in joined}) == 100
    assert torch.equal(joined.sum(0), data.train_images.flatten(1).sum(0))
    assert not torch.equal(split_validation(data, 0.2, seed=1).test_labels, split.test_labels)


TINY = {"train_size": 120, "batch_size": 32, "epochs": 3, "device": "cpu"}


def test_tool_searches_and_goes_on(tmp_path: Path) -> None:
    memory = tmp_path / "search.json"
    config = ScheduleSearchConfig.create(
        **TINY, stages=2, candidates="4,8", memory=str(memory), tolerance=100.0
    )
    found = search_schedule(config)
    assert found.sizes == (4, 8)
    first = memory.read_bytes()
    lines: list[str] = []
    assert search_schedule(config, lines.append) == found
    assert all(line.endswith("(known)") for line in lines)
    assert memory.read_bytes() == first
    # The same trainings give the same accuracies.
    memory.unlink()
    assert search_schedule(config) == found
    other = ScheduleSearchConfig.create(**{**TINY, "epochs": 4}, stages=2, memory=str(memory))
    with pytest.raises(ConfigError, match="must be of this search"):
        search_schedule(other)


def test_tool_on_another_method(tmp_path: Path) -> None:
    config = ScheduleSearchConfig.create(
        **TINY, stages=2, candidates="4,8", memory=str(tmp_path / "search.json"),
        variant="et++", base="barlow-twins", base_settings="dimension=8,hidden=16",
    )  # fmt: skip
    found = search_schedule(config)
    assert found.sizes[-1] == 8
    assert 0 <= found.baseline <= found.accuracy <= 100


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--train-size", "120", "--batch-size", "32", "--epochs", "3", "--device", "cpu"]
    flags += ["--stages", "2", "--candidates", "4,8", "--memory", str(tmp_path / "search.json")]
    assert main(["search-schedule", *flags]) == 0
    out = capsys.readouterr().out
    assert out.startswith("8,8: ")
    assert "use it with: ipse run efficienttrain --data digits --sizes " in out


def test_command_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    memory = ["--memory", str(tmp_path / "search.json")]
    assert main(["search-schedule", *memory, "--candidates", "4,6"]) == 2
    assert "the largest the full size" in capsys.readouterr().err
    assert main(["search-schedule", *memory, "--data", "fashion-mnist", "--root", "/nowhere"]) == 1
    assert "no train-images" in capsys.readouterr().err
    for flag in ("--sizes", "--tolerence"):
        with pytest.raises(SystemExit) as stopped:
            main(["search-schedule", flag, "4,8"])
        assert stopped.value.code == 2
    assert "did you mean --tolerance?" in capsys.readouterr().err
