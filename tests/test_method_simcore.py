"""SimCore: selection against the full sort, phases, arms, and what survives a kill."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ipse import methods
from ipse.data import ImageData, load
from ipse.methods.simcore import ARMS, SimCore, SimCoreConfig, select
from ipse.training import ConfigError, load_checkpoint

TINY = {
    "train_size": 240,
    "test_size": 80,
    "batch_size": 16,
    "epochs": 3,
    "retrieval_epochs": 1,
    "target_size": 40,
    "clusters": 6,
    "budget": 30,
    "dimension": 8,
    "hidden": 16,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load("digits", train_size=240, test_size=80)


def build(digits: ImageData, **changes: Any) -> SimCore:
    return SimCore(SimCoreConfig.create(**{**TINY, **changes}), digits)


def rounds_by_full_sort(pool: Tensor, centroids: Tensor, tau: float) -> list[set[int]]:
    """The reference: every centroid's whole pool in order, ties by the lower index."""
    similarity = F.normalize(centroids, dim=1) @ F.normalize(pool, dim=1).T
    queues = [row.argsort(stable=True, descending=True).tolist() for row in similarity]
    taken: set[int] = set()
    rounds: list[set[int]] = []
    reference = None
    while len(taken) < len(pool):
        best = [next(u for u in queue if u not in taken) for queue in queues]
        value = sum(float(similarity[q, u]) for q, u in enumerate(best)) / len(best)
        reference = value if reference is None else reference
        if value < tau * reference:
            break
        rounds.append(set(best))
        taken |= set(best)
    return rounds


def test_selection_is_the_full_sorts() -> None:
    source = torch.Generator().manual_seed(0)
    target = torch.randn(9, 5, generator=source, dtype=torch.float64) + 1
    pool = torch.randn(200, 5, generator=source, dtype=torch.float64) + 0.5
    expected = rounds_by_full_sort(pool, target, 0.9)
    found = select(target, pool, clusters=9, tau=0.9)
    assert found.ending == "threshold"
    assert found.picks.tolist() == [*dict.fromkeys(found.picks.tolist())]
    assert set(found.picks.tolist()) == set().union(*expected)
    assert len(found.values) == len(expected) + 1


def test_selection_prefers_what_is_alike() -> None:
    source = torch.Generator().manual_seed(0)
    directions = F.normalize(torch.randn(2, 16, generator=source), dim=1)
    noise = 0.1 * torch.randn(360, 16, generator=source)
    target = directions[0] + noise[:60]
    pool = torch.cat([directions[0] + noise[60:160], directions[1] + noise[160:]])
    found = select(target, pool, clusters=5, tau=0.8)
    assert found.ending == "threshold"
    assert (found.picks < 100).all()
    assert len(found.picks) > 80


def test_target_and_open_set_share_nothing(digits: ImageData) -> None:
    method = build(digits)
    assert len(method.target_set) == 40
    assert set(digits.train_labels[method.target_set].tolist()) == {3, 5, 8}
    together = torch.cat([method.target_set, method.open_set])
    assert torch.equal(together.sort().values, torch.arange(240))


def test_phases_and_pools(digits: ImageData) -> None:
    method = build(digits)
    assert set(method.order(0).tolist()) <= set(method.target_set.tolist())
    assert not method.pools.chosen
    coreset = method.order(1)
    assert method.pools.chosen
    pools = {arm: set(getattr(method.pools, arm).nonzero()[:, 0].tolist()) for arm in ARMS}
    assert pools["target"] == set(method.target_set.tolist())
    assert pools["target"] < pools["coreset"]
    assert pools["target"] < pools["random"]
    assert len(pools["coreset"]) == len(pools["random"]) <= 70
    assert set(coreset.tolist()) <= pools["coreset"]
    assert len(coreset) >= method.steps_per_epoch * 16


def test_no_batch_holds_an_image_twice(digits: ImageData) -> None:
    method = build(digits)
    for epoch in range(3):
        batches = method.order(epoch)[: method.steps_per_epoch * 16].reshape(-1, 16)
        assert all(len(batch.unique()) == 16 for batch in batches)
    assert not torch.equal(method.order(1), method.order(2))
    assert torch.equal(method.order(1), method.order(1))


def test_arms_start_alike(digits: ImageData) -> None:
    method = build(digits)
    features = [method.network(arm)(digits.test_images)[0] for arm in ARMS]
    assert torch.equal(features[0], features[1])
    assert torch.equal(features[0], features[2])
    assert not torch.equal(features[0], method.network("retrieval")(digits.test_images)[0])


def test_comparison_does_not_change_the_coreset(tmp_path: Path) -> None:
    both = [
        methods.run(SimCoreConfig.create(**TINY, compare=compare, out=str(tmp_path / str(compare))))
        for compare in (True, False)
    ]
    rows = [result.tables["target classes"] for result in both]
    assert rows[0]["target + coreset"] == rows[1]["target + coreset"]
    assert set(rows[1]) == {"untrained", "target + coreset"}
    assert both[0].scores == both[1].scores


@pytest.mark.parametrize("step", [7, 15, 16, 29])
def test_killed_and_resumed(step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the retrieval, at the border before the first and the second step, and afterwards."""

    def config(out: str) -> SimCoreConfig:
        return SimCoreConfig.create(**TINY, checkpoint_seconds=0, out=str(tmp_path / out))

    whole = methods.run(config("whole"))
    original, calls = SimCore.step, []

    def dying(self: SimCore, *arguments: Any) -> Any:
        calls.append(0)
        if len(calls) > step:
            raise MemoryError
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(SimCore, "step", dying)
        with pytest.raises(MemoryError):
            methods.run(config("killed"))
    assert load_checkpoint(tmp_path / "killed" / "checkpoint.pt").step == step
    result = methods.resume(tmp_path / "killed")
    assert result.scores == whole.scores
    assert result.tables == whole.tables
    metrics = [(tmp_path / run / "metrics.jsonl").read_bytes() for run in ("whole", "killed")]
    assert metrics[0] == metrics[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "3,x"}, "target: got '3,x', must be classes from 0 to 9, such as 3,5,8"),
        ({"target": "10"}, "target: got '10', must be classes"),
        ({"target_size": 200}, "target_size: got 200, but there are 7"),
        ({"target": "0,1,2,3,4,5,6,7,8,9", "target_size": 240}, "some must stay open"),
        ({"batch_size": 64}, "batch_size: got 64, must be at most the target set's 40"),
        ({"retrieval_epochs": 3}, "retrieval_epochs: got 3, must be below the 3 epochs in all"),
    ],
)
def test_settings_that_cannot_work(
    changes: dict[str, Any], message: str, digits: ImageData
) -> None:
    with pytest.raises(ConfigError, match=message):
        build(digits, **changes)
