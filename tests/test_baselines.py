"""SimCLR, MoCo v2, SwAV and DINO: their mechanisms, that they learn, and that they resume."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from ipse import methods
from ipse.data import Batch, ImageData, load
from ipse.evaluation import extract, score
from ipse.training import Method, load_checkpoint
from ipse.training.randomness import Stream, generator

BASELINES = ("simclr", "moco", "swav", "dino")
SMALL = {"dimension": 16, "hidden": 32, "device": "cpu"}
# Small enough for seconds, long enough that frozen prototypes thaw and the queue goes round.
OWN: dict[str, dict[str, Any]] = {
    "simclr": {},
    "moco": {"queue": 40},
    "swav": {"prototypes": 8, "frozen": 0.2},
    "dino": {"prototypes": 8, "frozen": 0.2},
}


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load("digits")


def build(slug: str, data: ImageData, **changes: Any) -> Any:
    kind = methods.get(slug)
    given = {**SMALL, **OWN[slug], "batch_size": 64, "epochs": 2, **changes}
    method = kind(kind.Config.create(**given), data)
    method.train()
    return method


def batch_of(data: ImageData, step: int) -> Batch:
    order = torch.randperm(len(data.train_images), generator=torch.Generator().manual_seed(step))
    return data.batch(order[:64], torch.device("cpu"))


def source(step: int) -> torch.Generator:
    return generator(0, Stream.STEP, 0, step)


def steps(method: Method[Any], data: ImageData, count: int) -> list[float]:
    return [float(method.step(batch_of(data, i), source(i))["loss"]) for i in range(count)]


@pytest.mark.parametrize("slug", BASELINES)
def test_resumed_run_ends_with_the_same_bytes(
    slug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process's memory is lost in the middle; queue, average, centre and counter are not."""
    kind = methods.get(slug)
    given = {**SMALL, **OWN[slug], "train_size": 96, "test_size": 40, "batch_size": 16}
    given |= {"epochs": 3, "checkpoint_seconds": 0.0}

    def config(name: str) -> Any:
        return kind.Config.create(**given, out=str(tmp_path / name))

    expected = methods.run(config("undisturbed"))
    step = kind.step

    def dying(self: Any, batch: Batch, generator: torch.Generator) -> Any:
        if self.steps_done == 11:
            raise MemoryError
        return step(self, batch, generator)

    with monkeypatch.context() as patch:
        patch.setattr(kind, "step", dying)
        with pytest.raises(MemoryError):
            methods.run(config("run"))
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt").step == 11
    result = methods.resume(tmp_path / "run")

    assert result.scores == expected.scores
    one, other = (tmp_path / name for name in ("run", "undisturbed"))
    assert (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()
    state, wanted = (load_checkpoint(path / "checkpoint.pt").state for path in (one, other))
    assert_equal_states(state, wanted)


def assert_equal_states(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal_states(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            assert_equal_states(mine, theirs)
    else:
        assert one == other


@pytest.mark.parametrize("slug", BASELINES)
def test_learns(slug: str, digits: ImageData) -> None:
    """Some seconds of training are enough to beat the untrained encoder on digits."""
    changes = {"prototypes": 64, "frozen": 0.05} if "prototypes" in OWN[slug] else {}
    method = build(slug, digits, epochs=14, dimension=64, hidden=64, **changes)
    method.eval()
    before = score(extract(method.features, digits), digits)
    method.train()
    losses = steps(method, digits, method.total_steps)
    method.eval()
    after = score(extract(method.features, digits), digits)
    assert sum(losses[-10:]) < sum(losses[:10])
    assert after.knn > before.knn
    assert after.linear > before.linear


@pytest.mark.parametrize("slug", BASELINES)
def test_every_trained_parameter_moves(slug: str, digits: ImageData) -> None:
    method = build(slug, digits, frozen=0.0) if "frozen" in OWN[slug] else build(slug, digits)
    before = {name: p.clone() for name, p in method.named_parameters() if p.requires_grad}
    steps(method, digits, 2)
    now = dict(method.named_parameters())
    assert all(not torch.equal(old, now[name]) for name, old in before.items())


def test_moco_keys_come_from_the_average_and_are_queued_after_the_loss(digits: ImageData) -> None:
    method = build("moco", digits, momentum=0.75, queue=80)
    steps(method, digits, 1)
    queue, old = method.queue.features.clone(), [p.clone() for p in method.key_encoder.parameters()]
    keys: list[torch.Tensor] = []
    hook = method.key_projector.register_forward_hook(lambda m, inputs, out: keys.append(out))
    queries: list[torch.Tensor] = []
    method.projector.register_forward_hook(lambda m, inputs, out: queries.append(out))
    trained = [p.clone() for p in method.encoder.parameters()]
    loss = method.step(batch_of(digits, 1), source(1))["loss"]
    hook.remove()

    averaged = zip(old, trained, method.key_encoder.parameters(), strict=True)
    for before, network, after in averaged:
        torch.testing.assert_close(after, 0.75 * before + 0.25 * network)
        assert not after.requires_grad
    query, key = F.normalize(queries[0].detach(), dim=1), F.normalize(keys[0], dim=1)
    logits = torch.cat([(query * key).sum(1, keepdim=True), query @ queue.T], dim=1) / 0.2
    expected = F.cross_entropy(logits, torch.zeros(64, dtype=torch.long))
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
    # 80 places: the second 64 keys went to places 64 to 79 and then 0 to 47.
    torch.testing.assert_close(method.queue.features[64:], key[:16])
    torch.testing.assert_close(method.queue.features[:48], key[16:])
    torch.testing.assert_close(method.queue.features[48:64], queue[48:64])


@pytest.mark.parametrize("slug", ["swav", "dino"])
def test_prototypes_are_frozen_for_a_part_of_the_run(slug: str, digits: ImageData) -> None:
    method = build(slug, digits, frozen=0.1, epochs=1, batch_size=64)
    assert method.total_steps == 22
    before = method.prototypes.weight.clone()
    steps(method, digits, 3)
    torch.testing.assert_close(method.prototypes.weight, before)
    method.step(batch_of(digits, 3), source(3))
    moved = (method.prototypes.weight - before).norm(dim=1)
    assert (moved > 1e-4).all()
    # Still directions: prototypes do not compete by length.
    torch.testing.assert_close(method.prototypes.weight.norm(dim=1), torch.ones(8))


def test_swav_warns_of_more_prototypes_than_samples(digits: ImageData) -> None:
    method = build("swav", digits, prototypes=65)
    with pytest.warns(UserWarning, match="64 samples share 65 prototypes"):
        steps(method, digits, 1)


def test_dino_schedules_follow_the_run(digits: ImageData) -> None:
    method = build("dino", digits, epochs=1, momentum=0.5, teacher_warmup=0.5)
    assert method.total_steps == 22
    assert method.temperature_now() == pytest.approx(0.03)
    steps(method, digits, 11)
    assert method.temperature_now() == pytest.approx(0.05)
    before = [p.clone() for p in method.teacher_encoder.parameters()]
    method.update_teacher()
    # Half-way, the momentum is half-way between 0.5 and 1.
    for old, student, now in zip(
        before, method.encoder.parameters(), method.teacher_encoder.parameters(), strict=True
    ):
        torch.testing.assert_close(now, 0.75 * old + 0.25 * student.detach())


def test_dino_does_not_collapse(digits: ImageData) -> None:
    """The teacher is surer than a coin of 64 faces, and no prototype takes all images."""
    method = build("dino", digits, epochs=14, dimension=64, hidden=64, prototypes=64, frozen=0.05)
    steps(method, digits, 250)
    with torch.no_grad():
        scores = method.teacher_scores(digits.test_images)
    target = ((scores - method.loss.center.flatten()) / method.temperature_now()).softmax(dim=1)
    entropy = -(target * target.clamp_min(1e-30).log()).sum(1).mean()
    assert entropy < math.log(64) - 0.5
    assert target.argmax(1).bincount(minlength=64).max() < len(scores) / 4
