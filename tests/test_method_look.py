"""LOOK as a method: who is a neighbour, and a memory that never answers with the image itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from ipse.data import Batch, ImageData, load
from ipse.evaluation import extract, score
from tests.method_runs import assert_resumes, build, take_steps


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load("digits", train_size=640, test_size=200)


def test_queue_survives_a_broken_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_resumes("look", tmp_path, monkeypatch, queue=40, k=5)


def vote_by_vote(
    z: torch.Tensor, batch: Batch, memory: tuple[torch.Tensor, ...], k: int, temperature: float
) -> float:
    """The loss as its definition reads, one image at a time."""
    keys, labels, ids = memory
    losses = []
    for row, label, own in zip(z, batch.labels, batch.indices, strict=True):
        others = [j for j in range(len(keys)) if ids[j] != own]
        near = sorted(others, key=lambda j: -float(row @ keys[j]))
        same = [j for j in near if labels[j] == label]
        voters = set(near[:k]) | set(same[:1])
        votes = {j: float(torch.exp(row @ keys[j] / temperature)) for j in voters}
        right = sum(vote for j, vote in votes.items() if labels[j] == label)
        losses.append(-torch.tensor(right / sum(votes.values())).log())
    return float(torch.stack(losses).mean())


def test_loss_is_the_leave_one_out_vote(digits: ImageData) -> None:
    method = build("look", digits, k=7, queue=100)
    take_steps(method, digits, 3)
    # The same images again: their earlier encodings are in the queue and must not vote on them.
    indices = method.order(0)[2 * 64 : 3 * 64]
    batch = digits.batch(indices, torch.device("cpu"))
    seen: dict[str, torch.Tensor] = {}
    for name in ("projector", "key_projector"):
        network = getattr(method, name)
        network.register_forward_hook(lambda m, i, out, name=name: seen.update({name: out}))
    queue = [method.loss.features.clone(), method.loss.labels.clone(), method.loss.ids.clone()]
    loss = method.step(batch, torch.Generator().manual_seed(0))["loss"]
    z, keys = (F.normalize(seen[name].detach(), dim=1) for name in ("projector", "key_projector"))
    new = (keys, batch.labels, batch.indices)
    memory = tuple(torch.cat(parts) for parts in zip(new, queue, strict=True))
    assert all(int((memory[2] == index).sum()) == 2 for index in indices)
    expected = vote_by_vote(z, batch, memory, k=7, temperature=0.1)
    assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_first_steps_have_fewer_neighbours_than_k(digits: ImageData) -> None:
    method = build("look", digits, k=500, queue=1000)
    losses = [row["loss"] for row in take_steps(method, digits, 10)]
    assert all(loss > 0 for loss in losses)
    assert int((method.loss.labels >= 0).sum()) == 640


def test_queue_holds_the_average_networks_keys(digits: ImageData) -> None:
    method = build("look", digits, queue=64, momentum=0.75)
    before = [p.clone() for p in method.key_encoder.parameters()]
    trained = [p.clone() for p in method.encoder.parameters()]
    take_steps(method, digits, 1)
    for old, network, now in zip(before, trained, method.key_encoder.parameters(), strict=True):
        torch.testing.assert_close(now, 0.75 * old + 0.25 * network)
        assert not now.requires_grad
    indices = method.order(0)[:64]
    assert torch.equal(method.loss.ids, indices)
    assert torch.equal(method.loss.labels, digits.train_labels[indices])
    torch.testing.assert_close(method.loss.features.norm(dim=1), torch.ones(64))


def test_learns_the_classes() -> None:
    digits = load("digits")
    method = build("look", digits, epochs=10, batch_size=128, dimension=64, hidden=64)
    before = score(extract(method.eval().features, digits), digits)
    take_steps(method.train(), digits, method.total_steps)
    after = score(extract(method.eval().features, digits), digits)
    assert after.knn > before.knn
    assert after.linear > before.linear
