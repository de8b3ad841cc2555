"""A run that is killed at any moment and resumed ends with the numbers of an undisturbed one.

Real processes, really killed (SIGKILL leaves no time to tidy up). What is compared is exact: the
bytes of metrics.jsonl, the accuracies, every tensor of the last checkpoint.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from ipse.training import load_checkpoint

SETTINGS = [
    *("--train-size", "96", "--test-size", "40", "--batch-size", "16", "--epochs", "5"),
    *("--dimension", "16", "--hidden", "16", "--device", "cpu"),
]
STEPS = 30

# Runs the command line with one function replaced, so that the process dies at a chosen place.
DRIVER = """
import os, signal, sys
def die(): os.kill(os.getpid(), {signal})
{plan}
from ipse.cli import main
sys.exit(main(sys.argv[1:]))
"""

IN_A_STEP = """
from ipse.methods.barlow_twins import BarlowTwins
calls, step = [], BarlowTwins.step
def dying(self, batch, generator):
    calls.append(0)
    if len(calls) == {at}: die()
    return step(self, batch, generator)
BarlowTwins.step = dying
"""

WHILE_SAVING = """
import os
replace, calls = os.replace, []
def dying(source, target):
    calls.append(0)
    if "checkpoint" in str(target) and len(calls) >= {at}: die()
    replace(source, target)
os.replace = dying
"""

BEFORE_THE_FOLDER_HAS_ITS_NAME = """
import os
os.rename = lambda source, target: die()
"""

IN_THE_EVALUATION = """
import ipse.training.conclude as conclude
score, calls = conclude.score, []
def dying(features, data):
    calls.append(0)
    if len(calls) == 2: die()
    return score(features, data)
conclude.score = dying
"""

BEFORE_THE_LAST_FILE = """
from ipse.training.folder import RunFolder
write = RunFolder.write
def dying(self, name, content):
    if name == "result.json": die()
    write(self, name, content)
RunFolder.write = dying
"""


def start(
    arguments: list[str], plan: str = "", number: int = signal.SIGKILL
) -> subprocess.Popen[str]:
    code = DRIVER.format(plan=plan, signal=int(number))
    # Two threads, so that the promise covers parallel sums; passive, so that waiting costs nothing.
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=240)
    return process.returncode, out + err


def begin(out: Path, *more: str) -> list[str]:
    return ["run", "barlow-twins", *SETTINGS, "--out", str(out), *more]


def resume(out: Path) -> list[str]:
    return ["run", "barlow-twins", "--resume", str(out)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    code, text = finish(start(begin(out)))
    assert code == 0, text
    assert len((out / "metrics.jsonl").read_text().splitlines()) == STEPS
    return out


def assert_same_numbers(run: Path, expected: Path) -> None:
    assert (run / "metrics.jsonl").read_bytes() == (expected / "metrics.jsonl").read_bytes()
    one, other = (json.loads((path / "result.json").read_text()) for path in (run, expected))
    for key in ("scores", "final_loss", "steps"):
        assert one[key] == other[key]
    for part, tensors in load_checkpoint(run / "checkpoint.pt").state["modules"].items():
        for name, value in tensors.items():
            other_part = load_checkpoint(expected / "checkpoint.pt").state["modules"][part]
            assert torch.equal(value, other_part[name]), (part, name)
    assert not list(run.glob(".*.partial")), "a resumed run tidies up after the killed one"


def test_killed_at_random_moments(undisturbed: Path, tmp_path: Path) -> None:
    """Kills from outside: again and again, after a random number of further steps."""
    seed = random.SystemRandom().getrandbits(32)
    choose = random.Random(seed)
    out = tmp_path / "run"
    process = start(begin(out, "--checkpoint-seconds", "0.02"))
    for kill in range(2):
        lines, delay = choose.randrange(STEPS - 4), choose.random() * 0.05
        print(f"seed {seed}, kill {kill}: after {lines} lines and {delay:.3f} s")
        while process.poll() is None and _lines(out) < lines:
            time.sleep(0.002)
        time.sleep(delay)
        process.kill()
        finish(process)
        process = start(resume(out) if out.exists() else begin(out, "--checkpoint-seconds", "0.02"))
    code, text = finish(process)
    assert code == 0, text
    assert_same_numbers(out, undisturbed)


def _lines(out: Path) -> int:
    try:
        return (out / "metrics.jsonl").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


@pytest.mark.parametrize(
    ("plan", "more"),
    [
        # No checkpoint but the very first: everything behind it is computed again.
        (IN_A_STEP.format(at=17), ()),
        (WHILE_SAVING.format(at=12), ("--checkpoint-seconds", "0")),
        (IN_THE_EVALUATION, ()),
        (BEFORE_THE_LAST_FILE, ()),
    ],
    ids=["in a step", "while saving", "in the evaluation", "before the last file"],
)
def test_killed_at(plan: str, more: tuple[str, ...], undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    code, text = finish(start(begin(out, *more), plan))
    assert code == -signal.SIGKILL, text
    assert not (out / "result.json").exists()
    code, text = finish(start(resume(out)))
    assert code == 0, text
    assert_same_numbers(out, undisturbed)


def test_killed_before_the_folder_has_its_name(undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    code, text = finish(start(begin(out), BEFORE_THE_FOLDER_HAS_ITS_NAME))
    assert code == -signal.SIGKILL, text
    assert not out.exists()
    code, text = finish(start(resume(out)))
    assert code == 1
    assert text == f"ipse: resume: no folder {out}\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop(number: signal.Signals, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    code, text = finish(start(begin(out), IN_A_STEP.format(at=13), number))
    assert code == 128 + number, text
    assert f"ipse run barlow-twins --resume {out}" in text
    assert "Traceback" not in text
    assert load_checkpoint(out / "checkpoint.pt").step == 13
    assert (out / "metrics.jsonl").read_bytes().count(b"\n") == 13
    code, text = finish(start(resume(out)))
    assert code == 0, text
    assert_same_numbers(out, undisturbed)
