"""SimCore's coreset: the rounds of the full sorts, its stopping rule, budget and exclusions."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from ipse.functional import facility_location_coreset, kmeans
from tests.neighbours_cases import randn, small_integers
from tests.reference import clusters as reference


def grouped(found: Any) -> list[list[int]]:
    """Picks round by round."""
    rounds: list[list[int]] = [[] for _ in range(int(found.rounds.max()))]
    for item, number in zip(found.indices.tolist(), found.rounds.tolist(), strict=True):
        rounds[number - 1].append(item)
    return rounds


@given(
    pool=st.integers(1, 150),
    centroids=st.integers(1, 12),
    tau=st.sampled_from([0.01, 0.5, 0.8, 0.95, 1.0]),
    patience=st.integers(1, 6),
    ties=st.booleans(),
    excluded=st.sets(st.integers(0, 149), max_size=20),
    seed=st.integers(0, 1000),
)
def test_same_rounds_as_full_sorts(
    pool: int,
    centroids: int,
    tau: float,
    patience: int,
    ties: bool,
    excluded: set[int],
    seed: int,
) -> None:
    """Unit vectors along the axes have exact similarities, so that ties are equal for both."""
    if ties:
        x = torch.eye(8, dtype=torch.float64)[small_integers(pool, seed=seed).long() + 3]
        c = torch.eye(8, dtype=torch.float64)[small_integers(centroids, seed=seed + 1).long() + 3]
    else:
        x = randn(pool, 8, seed=seed, dtype=torch.float64)
        c = randn(centroids, 8, seed=seed + 1, dtype=torch.float64) + 0.5
    excluded = {item for item in excluded if item < pool}
    similarity = F.normalize(c, dim=1) @ F.normalize(x, dim=1).T
    rounds, values, ending = reference.facility_location(similarity, tau, patience, excluded)
    with pytest.warns() if patience <= len(values) and values[patience - 1] <= 0 else no_warning():
        found = facility_location_coreset(x, c, tau=tau, patience=patience, exclude=excluded)
    assert (grouped(found) if len(found.indices) else []) == rounds
    assert found.values == pytest.approx(values, rel=1e-12)
    assert found.ending == ending


class no_warning:  # noqa: N801  # reads as a context
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


def test_finds_the_part_of_the_pool_that_is_like_the_target() -> None:
    """A pool of ten kinds, a target of three of them: what is taken is of the three."""
    kinds = 4 * randn(10, 16, seed=0)
    kind = torch.arange(2000) % 10
    pool = kinds[kind] + randn(2000, 16, seed=1)
    target = kinds[torch.arange(60) % 3] + randn(60, 16, seed=2)
    centroids = kmeans(target, 6, normalize=True).centroids
    found = facility_location_coreset(pool, centroids, patience=5)
    assert found.ending == "threshold"
    assert bool((kind[found.indices] < 3).all())
    assert 50 < len(found.indices) <= 600
    assert found.values[-1] < 0.95 * found.values[4] <= found.values[-2]


def test_budget_takes_a_random_part_of_the_last_round() -> None:
    pool, centroids = randn(500, 8, seed=0), randn(20, 8, seed=1)
    whole = facility_location_coreset(pool, centroids, tau=0.01)
    size = int((whole.rounds <= 2).sum()) + 5
    parts = [
        facility_location_coreset(pool, centroids, tau=0.01, budget=size, seed=seed)
        for seed in (0, 0, 1)
    ]
    for part in parts:
        assert part.ending == "budget"
        assert len(part.indices) == size
        assert torch.equal(part.indices[:-5], whole.indices[: size - 5])
        assert set(part.indices.tolist()) <= set(whole.indices[whole.rounds <= 3].tolist())
    assert torch.equal(parts[0].indices, parts[1].indices)
    assert not torch.equal(parts[0].indices, parts[2].indices)


def test_pool_smaller_than_the_budget() -> None:
    pool = randn(30, 4, seed=0)
    found = facility_location_coreset(
        pool, randn(3, 4, seed=1), tau=0.001, budget=1000, patience=99
    )
    assert found.ending == "exhausted"
    assert sorted(found.indices.tolist()) == list(range(30))


def test_everything_excluded() -> None:
    found = facility_location_coreset(randn(4, 3, seed=0), randn(2, 3, seed=1), exclude=range(4))
    assert (found.indices.tolist(), found.values, found.ending) == ([], [], "exhausted")


def test_a_reference_that_is_not_positive_warns() -> None:
    with pytest.warns(UserWarning, match="value of round 1 is -1, not positive"):
        found = facility_location_coreset(torch.ones(5, 2), -torch.ones(1, 2), patience=1)
    assert found.ending == "exhausted"


GOOD = {"pool": torch.ones(5, 3), "centroids": torch.ones(2, 3)}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"pool": torch.ones(0, 3)}, ValueError, r"pool must be \(N, D\) with N >= 1"),
        ({"centroids": torch.ones(3)}, ValueError, r"centroids must be \(K, D\)"),
        ({"centroids": torch.ones(2, 4)}, ValueError, ".*same number of features"),
        ({"tau": 0.0}, ValueError, "tau must be above 0 and at most 1, got 0.0"),
        ({"tau": 1.5}, ValueError, "tau must be above 0 and at most 1, got 1.5"),
        ({"patience": 0}, ValueError, "patience must be at least 1, got 0"),
        ({"budget": 0}, ValueError, "budget must be at least 1, got 0"),
        ({"exclude": [5]}, ValueError, "exclude must name items from 0 to 4, got 5"),
        ({"pool": torch.full((5, 3), torch.nan)}, ValueError, "pool must be finite"),
    ],
)
def test_messages(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^facility_location_coreset: {message}"):
        facility_location_coreset(**(GOOD | change))
