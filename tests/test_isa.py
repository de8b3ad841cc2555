"""Every instruction set that is compiled in computes the same, on one machine."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ipse import _core

ROOT = Path(__file__).parents[1]
LEVELS = _core.build_info()["isas_compiled"].split(",")


def run(isa: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        env=os.environ | {"IPSE_ISA": isa},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@cache
def runs_here(isa: str) -> bool:
    """Whether this processor has the level, by what Linux says of it, not by the core's word."""
    if isa == "baseline" or not Path("/proc/cpuinfo").exists():
        return isa == "baseline"
    flags = Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0].split()
    wanted = {"avx2": ["avx2", "fma", "bmi2"], "avx512": ["avx512f", "avx512bw", "avx512dq"]}
    return set(wanted[isa] + ["avx2", "fma"]) <= set(flags)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, np.ndarray]]:
    """All numbers of tests/isa_suite.py for each level that can run here."""
    collected = {}
    for isa in filter(runs_here, LEVELS):
        out = tmp_path_factory.mktemp("isa") / f"{isa}.npz"
        suite = run(isa, "-m", "tests.isa_suite", str(out))
        assert suite.returncode == 0, f"IPSE_ISA={isa}:\n{suite.stderr[-3000:]}"
        with np.load(out) as loaded:
            collected[isa] = {name: loaded[name] for name in loaded.files}
    return collected


def test_baseline_is_compiled() -> None:
    assert LEVELS[0] == "baseline"


@pytest.mark.parametrize("isa", LEVELS)
def test_level_is_used_and_right(isa: str, results: dict[str, dict[str, np.ndarray]]) -> None:
    if not runs_here(isa):
        pytest.skip(f"this processor has no {isa}")
    assert results[isa]["isa"] == isa


@pytest.mark.parametrize("isa", LEVELS[1:])
def test_levels_agree(isa: str, results: dict[str, dict[str, np.ndarray]]) -> None:
    """Results come in units of the tolerance that each has met against the reference."""
    if not runs_here(isa):
        pytest.skip(f"this processor has no {isa}")
    baseline, mine = results["baseline"], results[isa]
    assert baseline.keys() == mine.keys()
    numbers = [name for name in baseline if name != "isa"]
    assert len(numbers) > 50
    for name in numbers:
        assert (np.abs(mine[name] - baseline[name]) <= 1).all(), name
    # Different registers add in different orders: bit-equal results would mean one code path.
    assert any(not np.array_equal(mine[name], baseline[name]) for name in numbers)


@pytest.mark.parametrize("isa", ["sse", "AVX2", " avx2", "avx1024"])
def test_unknown_level(isa: str) -> None:
    outcome = run(isa, "-c", "from ipse import _core; _core.build_info()")
    assert outcome.returncode == 1
    assert f"ValueError: IPSE_ISA must be baseline, avx2 or avx512, got {isa}" in outcome.stderr


def test_unknown_level_stops_the_losses_too() -> None:
    code = "import torch, ipse.functional as f; f.vicreg_loss(torch.ones(2, 2), torch.ones(2, 2))"
    outcome = run("sse", "-c", code)
    assert "ValueError: IPSE_ISA must be" in outcome.stderr


def test_empty_means_the_best_level() -> None:
    code = "from ipse import _core; print(_core.build_info()['isa'])"
    best = [isa for isa in LEVELS if runs_here(isa)][-1]
    outcome = run("", "-c", code)
    assert outcome.stdout.split()[-1] == best, outcome.stderr
