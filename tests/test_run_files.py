"""What a run leaves on disk: files, checkpoints, its folder, and what damage does to them."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ipse.data import ImageData
from ipse.training import (
    Checkpoint,
    RunError,
    RunFolder,
    load_checkpoint,
    save_checkpoint,
)
from ipse.training.files import write_file
from ipse.training.metrics import MetricsLog, read_metrics
from tests.training_cases import made_up_data, new_folder, new_loop


@pytest.fixture
def data() -> ImageData:
    return made_up_data()


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
