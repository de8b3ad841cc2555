"""What the tests of single methods share: building one small, and runs that lose their memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ipse import methods
from ipse.data import Batch, ImageData
from ipse.evaluation import Result
from ipse.training import Method, load_checkpoint
from ipse.training.randomness import Stream, generator


def build(slug: str, data: ImageData, **settings: Any) -> Any:
    """The method in training mode, with small networks."""
    kind = methods.get(slug)
    given = {"dimension": 16, "hidden": 32, "device": "cpu", "batch_size": 64, **settings}
    method = kind(kind.Config.create(**given), data)
    method.train()
    return method


def take_steps(method: Method[Any], data: ImageData, count: int) -> list[dict[str, float]]:
    """The scalars of the first steps of a run."""
    rows = []
    for number in range(count):
        epoch, step = divmod(number, method.steps_per_epoch)
        size = method.config.batch_size
        indices = method.order(epoch)[step * size : (step + 1) * size]
        batch = data.batch(indices, torch.device("cpu"))
        source = generator(method.config.seed, Stream.STEP, epoch, step)
        rows.append({name: float(v) for name, v in method.step(batch, source).items()})
    return rows


def assert_resumes(
    slug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> Result:
    """A run that breaks off after 11 of 18 steps goes on to the bytes of an undisturbed one.

    Returns the result of the undisturbed one.
    """
    kind = methods.get(slug)
    given = {"train_size": 96, "test_size": 40, "batch_size": 16, "epochs": 3, "device": "cpu"}
    given |= {"dimension": 8, "hidden": 16, "checkpoint_seconds": 0.0, **settings}

    def config(name: str) -> Any:
        return kind.Config.create(**given, out=str(tmp_path / name))

    expected = methods.run(config("undisturbed"))
    step, calls = kind.step, []

    def breaking(self: Any, batch: Batch, generator: torch.Generator) -> Any:
        calls.append(0)
        if len(calls) == 12:
            raise MemoryError
        return step(self, batch, generator)

    with monkeypatch.context() as patch:
        patch.setattr(kind, "step", breaking)
        with pytest.raises(MemoryError):
            methods.run(config("run"))
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt").step == 11
    result = methods.resume(tmp_path / "run")

    assert result.scores == expected.scores
    assert result.tables == expected.tables
    one, other = (tmp_path / name for name in ("run", "undisturbed"))
    assert (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()
    states = [load_checkpoint(path / "checkpoint.pt").state["modules"] for path in (one, other)]
    for part, tensors in states[0].items():
        for name, value in tensors.items():
            assert torch.equal(value, states[1][part][name]), (part, name)
    return expected
