"""Every instruction set gives the similarity engine's results, each by a path of its own."""

import numpy as np
import pytest

from tests.test_isa import LEVELS, run, runs_here


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, np.ndarray]]:
    """All numbers of tests/similarity_isa_suite.py for each level that can run here."""
    collected = {}
    for isa in filter(runs_here, LEVELS):
        out = tmp_path_factory.mktemp("isa") / f"{isa}.npz"
        suite = run(isa, "-m", "tests.similarity_isa_suite", str(out))
        assert suite.returncode == 0, f"IPSE_ISA={isa}:\n{suite.stderr[-3000:]}"
        with np.load(out) as loaded:
            collected[isa] = {name: loaded[name] for name in loaded.files}
    return collected


@pytest.mark.parametrize("isa", LEVELS)
def test_level_is_used_and_right(isa: str, results: dict[str, dict[str, np.ndarray]]) -> None:
    if not runs_here(isa):
        pytest.skip(f"this processor has no {isa}")
    assert results[isa]["isa"] == isa


@pytest.mark.parametrize("isa", LEVELS[1:])
def test_levels_take_different_paths_to_the_same_numbers(
    isa: str, results: dict[str, dict[str, np.ndarray]]
) -> None:
    if not runs_here(isa):
        pytest.skip(f"this processor has no {isa}")
    baseline, mine = results["baseline"], results[isa]
    numbers = [name for name in baseline if name != "isa"]
    assert baseline.keys() == mine.keys()
    assert len(numbers) > 50
    for name in numbers:
        unit = 1e-5 if "float32" in name else 1e-12
        size = max(np.abs(baseline[name]).max(), 1.0)
        assert np.abs(mine[name] - baseline[name]).max() <= unit * size, name
    # Different registers add in different orders: bit-equal results would mean one code path.
    assert any(not np.array_equal(mine[name], baseline[name]) for name in numbers)
