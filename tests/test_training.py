"""The training layer's parts: settings, schedules, files, checkpoints, keyed randomness, loop."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import signal
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ipse.data import Batch, ImageData
from ipse.training import (
    Checkpoint,
    ConfigError,
    Interrupted,
    Loop,
    Method,
    PlainProgress,
    RunConfig,
    RunError,
    RunFolder,
    SilentProgress,
    command_for,
    load_checkpoint,
    option,
    save_checkpoint,
    warmup_cosine,
    warmup_cosine_factor,
)
from ipse.training.device import launcher
from ipse.training.files import write_file
from ipse.training.interrupt import StopSignal
from ipse.training.metrics import MetricsLog, read_metrics
from ipse.training.randomness import Stream, generator, seeded


@dataclass(frozen=True, kw_only=True)
class LineConfig(RunConfig):
    slug: ClassVar[str] = "line"
    presets: ClassVar = {"fashion-mnist": {"epochs": 7}}

    epochs: int = option(3, "passes", minimum=1)
    rate: float = option(0.1, "learning rate", minimum=0, maximum=10)
    shuffle_more: bool = option(False, "a switch")


class Line(Method[LineConfig]):
    """Fits one linear layer to random projections: the smallest thing with all moving parts."""

    title = "Line"
    about = "A test."
    Config = LineConfig

    def build(self, data: ImageData) -> None:
        self.layer = torch.nn.Sequential(torch.nn.Linear(16, 4), torch.nn.Dropout(0.5))
        sgd = torch.optim.SGD(self.parameters(), lr=self.config.rate, momentum=0.9)
        self.optimizers["main"] = sgd
        self.schedules["main"] = warmup_cosine(sgd, self.total_steps, 2)

    def step(self, batch: Batch, generator: torch.Generator) -> Mapping[str, torch.Tensor]:
        noise = torch.randn(batch.images.shape, generator=generator)
        loss = self.features(batch.images + noise).square().mean()
        self.minimise(loss)
        return {"loss": loss.detach(), "first_index": batch.indices[0]}

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images.flatten(1))


@pytest.fixture
def data() -> ImageData:
    images = torch.randn(40, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(40) % 2
    return ImageData("made-up", images, labels, images[:10], labels[:10], ("even", "odd"))


def new_loop(data: ImageData, **changes: object) -> Loop:
    config = LineConfig.create(batch_size=8, device="cpu", **changes)
    return Loop(Line(config, data), data, launcher(config))


def new_folder(path: Path, loop: Loop) -> RunFolder:
    config = {"method": "line", "config": loop.method.config.to_dict()}
    return RunFolder.create(path, "line", config, loop.checkpoint())


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


# Files


def test_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, "old")

    def fail(file: object) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_file(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_metrics_are_cut_back_and_torn_lines_ignored(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.touch()
    with MetricsLog(path, 0) as log:
        log.append({"step": 1, "loss": 0.1 + 0.2})
        position = log.position()
        log.append({"step": 2, "loss": 1.0})
    with path.open("ab") as file:
        file.write(b'{"step": 3, "lo')
    assert [row["step"] for row in read_metrics(path)] == [1, 2]
    with MetricsLog(path, position) as log:
        log.append({"step": 2, "loss": 2.0})
    assert read_metrics(path) == [{"step": 1, "loss": 0.1 + 0.2}, {"step": 2, "loss": 2.0}]


def test_metrics_refuse_damage_and_lost_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\nnonsense\n{"step": 3}\n')
    with pytest.raises(RunError, match="damaged line 2"):
        read_metrics(path)
    with pytest.raises(RunError, match="the checkpoint was made at 99"):
        MetricsLog(path, 99)


# Checkpoints


@pytest.fixture(scope="module")
def checkpoint_bytes() -> bytes:
    """A real checkpoint's file content."""
    images = torch.randn(40, 1, 4, 4)
    part = ImageData("made-up", images, torch.zeros(40).long(), images, torch.zeros(40), ("a",))
    buffer = io.BytesIO()
    checkpoint = new_loop(part).checkpoint()
    content = {"format": 1, **{f.name: getattr(checkpoint, f.name) for f in _fields()}}
    torch.save(content, buffer)
    return buffer.getvalue()


def _fields() -> tuple[dataclasses.Field[object], ...]:
    return dataclasses.fields(Checkpoint)


def test_checkpoint_round_trip(tmp_path: Path, data: ImageData) -> None:
    saved = new_loop(data).checkpoint()
    save_checkpoint(tmp_path / "c.pt", saved)
    loaded = load_checkpoint(tmp_path / "c.pt")
    assert torch.equal(
        loaded.state["modules"]["layer"]["0.weight"], saved.state["modules"]["layer"]["0.weight"]
    )
    assert loaded.config == saved.config
    assert loaded.versions["torch"] == saved.versions["torch"]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_truncated_checkpoint_is_refused(
    checkpoint_bytes: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(checkpoint_bytes) - 1))
    path = tmp_path_factory.mktemp("cut") / "c.pt"
    path.write_bytes(checkpoint_bytes[:cut])
    with pytest.raises(RunError, match=r"c\.pt: corrupt or truncated checkpoint"):
        load_checkpoint(path)


def test_flipped_bit_in_any_tensor_is_noticed(checkpoint_bytes: bytes, tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    with zipfile.ZipFile(io.BytesIO(checkpoint_bytes)) as archive:
        entries = [item for item in archive.infolist() if "/data/" in item.filename]
        contents = [archive.read(item) for item in entries]
    assert len(entries) >= 2
    for item, content in zip(entries, contents, strict=True):
        at = checkpoint_bytes.index(content, item.header_offset)
        damaged = bytearray(checkpoint_bytes)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(RunError, match=f"wrong checksum in {item.filename}"):
            load_checkpoint(path)


class _Trap:
    """Runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_checkpoint_that_is_something_else(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    torch.save({"weights": torch.zeros(2)}, path)
    with pytest.raises(RunError, match="not a checkpoint of format 1"):
        load_checkpoint(path)
    torch.save({"format": 1, "step": 3}, path)
    with pytest.raises(RunError, match="damaged checkpoint: no config"):
        load_checkpoint(path)
    torch.save(_Trap(tmp_path / "sprung"), path)
    with pytest.raises(RunError, match="not a readable checkpoint"):
        load_checkpoint(path)
    assert not (tmp_path / "sprung").exists()
    with pytest.raises(RunError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "absent.pt")


def test_checkpoint_of_other_networks_does_not_fit(data: ImageData) -> None:
    loop = new_loop(data)
    other = dataclasses.replace(loop.checkpoint(), state={"modules": {}})
    with pytest.raises(RunError, match="checkpoint does not fit line"):
        loop.restore(other)


# The run folder


def test_folder_appears_whole_or_not_at_all(tmp_path: Path, data: ImageData) -> None:
    loop = new_loop(data)
    folder = new_folder(tmp_path / "deep" / "run", loop)
    names = {path.name for path in folder.path.iterdir()}
    assert names == {"config.json", "metrics.jsonl", "checkpoint.pt"}
    assert RunFolder.open(folder.path).config()["method"] == "line"
    with pytest.raises(RunError, match="already exists; continue it with --resume"):
        new_folder(folder.path, loop)
    assert {path.name for path in folder.path.parent.iterdir()} == {"run"}

    def unsavable(number: int) -> Checkpoint:
        return dataclasses.replace(loop.checkpoint(), state={"bad": lambda: number})

    with pytest.raises(Exception, match="pickle"):
        RunFolder.create(tmp_path / "other", "line", {}, unsavable(1))
    assert {path.name for path in tmp_path.iterdir()} == {"deep"}


def test_folder_takes_the_next_free_number(
    tmp_path: Path, data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loop = new_loop(data)
    made = [RunFolder.create(None, "line", {}, loop.checkpoint()).path for _ in range(3)]
    assert made == [Path("runs/line-1"), Path("runs/line-2"), Path("runs/line-3")]


def test_folder_has_one_user_at_a_time(tmp_path: Path, data: ImageData) -> None:
    folder = new_folder(tmp_path / "run", new_loop(data))
    with (
        folder.locked(),
        pytest.raises(RunError, match="another process is at work"),
        RunFolder(folder.path).locked(),
    ):
        pass
    with folder.locked():  # let go
        pass


def test_folder_that_cannot_be_written(tmp_path: Path, data: ImageData) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"out: cannot write to .*file/run: "):
        new_folder(tmp_path / "file" / "run", new_loop(data))


def test_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="resume: no folder"):
        RunFolder.open(tmp_path / "absent")
    with pytest.raises(RunError, match=r"is not a run folder: it has no config\.json"):
        RunFolder.open(tmp_path)


# The loop


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
