"""The training loop: what it does with a method, a signal, a bad loss."""

from __future__ import annotations

import io
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from ipse.data import Batch, ImageData
from ipse.training import (
    Interrupted,
    Loop,
    PlainProgress,
    RunError,
    RunFolder,
    SilentProgress,
)
from ipse.training.device import launcher
from ipse.training.interrupt import StopSignal
from tests.training_cases import Line, LineConfig, made_up_data, new_folder, new_loop


@pytest.fixture
def data() -> ImageData:
    return made_up_data()


def run_loop(loop: Loop, folder: RunFolder) -> list[dict[str, float]]:
    with StopSignal() as stop:
        loop.run(folder, stop, SilentProgress())
    return folder.metrics()


def test_loop_sees_every_sample_at_most_once_an_epoch(tmp_path: Path, data: ImageData) -> None:
    loop = new_loop(data)
    seen: list[torch.Tensor] = []
    step = loop.method.step

    def watched(batch: Batch, generator: torch.Generator) -> Mapping[str, torch.Tensor]:
        assert torch.equal(batch.images, data.train_images[batch.indices])
        assert torch.equal(batch.labels, data.train_labels[batch.indices])
        seen.append(batch.indices)
        return step(batch, generator)

    loop.method.step = watched  # type: ignore[method-assign]
    rows = run_loop(loop, new_folder(tmp_path / "run", loop))
    epochs = torch.cat(seen).reshape(3, 40)
    assert (epochs.sort(dim=1).values == torch.arange(40)).all()
    assert not torch.equal(epochs[0], epochs[1])
    assert [row["step"] for row in rows] == list(range(1, 16))
    assert [row["epoch"] for row in rows] == [1] * 5 + [2] * 5 + [3] * 5
    assert rows[0]["learning_rate.main"] == pytest.approx(0.05)


def test_loop_does_the_steps_that_a_method_is_built_for(tmp_path: Path, data: ImageData) -> None:
    """Thirteen steps of five an epoch, though three epochs are configured as ever."""
    config = LineConfig.create(batch_size=8, device="cpu")
    method = Line(config, data, total_steps=13)
    assert (method.total_steps, method.epochs) == (13, 3)
    assert (Line(config, data).total_steps, Line(config, data).epochs) == (15, 3)
    loop = Loop(method, data, launcher(config))
    folder = new_folder(tmp_path / "run", loop)
    with StopSignal() as stop:
        loop.run(folder, stop, SilentProgress())
    assert loop.step == 13
    assert [row["epoch"] for row in folder.metrics()] == [1] * 5 + [2] * 5 + [3] * 3


def test_loop_ignores_the_default_generators(tmp_path: Path, data: ImageData) -> None:
    torch.manual_seed(1)
    first = new_loop(data)
    one = run_loop(first, new_folder(tmp_path / "one", first))
    torch.manual_seed(2)
    second = new_loop(data)
    assert run_loop(second, new_folder(tmp_path / "two", second)) == one
    third = new_loop(data, seed=1)
    assert run_loop(third, new_folder(tmp_path / "three", third)) != one


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_saves_at_the_step_boundary_and_resumes_bit_for_bit(
    tmp_path: Path, data: ImageData, number: int
) -> None:
    whole = new_loop(data)
    expected = run_loop(whole, new_folder(tmp_path / "whole", whole))

    loop = new_loop(data)
    folder = new_folder(tmp_path / "run", loop)
    step = loop.method.step

    def interrupting(batch: Batch, generator: torch.Generator) -> Mapping[str, torch.Tensor]:
        if loop.step == 6:
            signal.raise_signal(number)
        return step(batch, generator)

    loop.method.step = interrupting  # type: ignore[method-assign]
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as stopped:
        run_loop(loop, folder)
    assert stopped.value.signal == number
    assert signal.getsignal(number) is before
    checkpoint = folder.checkpoint()
    assert (checkpoint.step, checkpoint.epoch, checkpoint.step_in_epoch) == (7, 1, 2)
    assert checkpoint.metrics_bytes == folder.metrics_file.stat().st_size

    resumed = new_loop(data)
    resumed.restore(checkpoint)
    assert run_loop(resumed, folder) == expected
    for name, value in whole.method.state()["modules"]["layer"].items():
        assert torch.equal(value, resumed.method.state()["modules"]["layer"][name])


class Sorted(Line):
    """Orders the samples by a number that it finds before the first step."""

    def build(self, data: ImageData) -> None:
        super().build(data)
        self.found = torch.nn.Module()
        self.found.register_buffer("keys", torch.zeros(self.samples))

    def prepare(self, data: ImageData) -> list[str]:
        self.found.keys.copy_(torch.rand(self.samples))
        return ["prepared"]

    def order(self, epoch: int) -> torch.Tensor:
        return self.found.keys.roll(epoch).argsort()


def test_a_method_may_prepare_and_choose_its_order(tmp_path: Path, data: ImageData) -> None:
    def sorted_loop() -> Loop:
        config = LineConfig.create(batch_size=8, device="cpu")
        return Loop(Sorted(config, data), data, launcher(config))

    whole = sorted_loop()
    expected = run_loop(whole, new_folder(tmp_path / "whole", whole))
    keys = whole.method.found.keys
    firsts = [keys.roll(epoch).argsort()[8 * step] for epoch in range(3) for step in range(5)]
    assert [row["first_index"] for row in expected] == firsts
    assert whole.seconds > 0

    loop = sorted_loop()
    folder = new_folder(tmp_path / "run", loop)
    step = loop.method.step

    def interrupting(batch: Batch, generator: torch.Generator) -> Mapping[str, torch.Tensor]:
        if loop.step == 6:
            signal.raise_signal(signal.SIGINT)
        return step(batch, generator)

    loop.method.step = interrupting  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        run_loop(loop, folder)
    resumed = sorted_loop()
    resumed.restore(folder.checkpoint())
    resumed.method.prepare = lambda data: pytest.fail("prepared twice")  # type: ignore[method-assign]
    assert run_loop(resumed, folder) == expected


def test_a_signal_while_preparing_stops_at_once(tmp_path: Path, data: ImageData) -> None:
    loop = new_loop(data)
    loop.method.prepare = lambda data: signal.raise_signal(signal.SIGINT)  # type: ignore[method-assign]
    folder = new_folder(tmp_path / "run", loop)
    with pytest.raises(Interrupted):
        run_loop(loop, folder)
    assert folder.checkpoint().step == 0
    assert len(run_loop(new_loop(data), folder)) == 15


def test_loss_that_is_not_finite_stops_the_run(tmp_path: Path, data: ImageData) -> None:
    loop = new_loop(data, rate=10.0, epochs=200)
    folder = new_folder(tmp_path / "run", loop)
    with pytest.raises(RunError, match=r"loss is (nan|inf) at step \d+"):
        run_loop(loop, folder)
    assert folder.checkpoint().step == 0


def test_plain_progress_writes_lines_without_escapes(tmp_path: Path, data: ImageData) -> None:
    loop = new_loop(data, checkpoint_seconds=0.0)
    stream = io.StringIO()
    with StopSignal() as stop:
        loop.run(new_folder(tmp_path / "run", loop), stop, PlainProgress(stream, seconds=0.0))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 15
    assert "\x1b" not in stream.getvalue()
    assert lines[-1].startswith("epoch 3/3  step 15/15  loss ")
    assert "images/s" in lines[-1]
    assert lines[-1].endswith("0:00 left")
