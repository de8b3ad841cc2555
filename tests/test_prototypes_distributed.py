"""SwAV's codes and DINO's centre over several processes: those of one with the whole batch."""

import time
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from lightly.loss.swav_loss import sinkhorn as lightly_sinkhorn

from ipse.functional import dino_loss, sinkhorn
from ipse.losses import DINOLoss, SwaVLoss
from tests.prototype_cases import make_views

K = 7
# Rows of each rank: even (all that lightly allows), uneven, and a rank without any.
SPLITS = [(6, 6), (3, 9), (8, 0)]


def work_of_one_rank(split: tuple[int, ...], rank: int) -> dict[str, Any]:
    """Everything that rank computes; runs inside the process group."""
    parts = [view.split(split)[rank] for view in make_views(3, sum(split), K)]
    found: dict[str, Any] = {
        "codes": sinkhorn(parts[0], 0.05, 4, gather_distributed=True),
        "huge": sinkhorn(1e4 * parts[0], gather_distributed=True),
        "own codes": sinkhorn(parts[0], 0.05, 4),
    }
    if len(set(split)) == 1:
        found["lightly"] = lightly_sinkhorn(parts[0], 4, 0.05, True)
        dino = DINOLoss(K).double()
        dino(parts[:2], parts)
        found["center"] = dino.center
    if min(split) > 0:
        leaves = [part.requires_grad_() for part in parts]
        loss = SwaVLoss(sinkhorn_gather_distributed=True)(leaves[:2], leaves[2:])
        loss.backward()
        found["loss"] = loss.detach()
        found["gradients"] = [leaf.grad for leaf in leaves]
    return found


def process(rank: int, split: tuple[int, ...], folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=len(split)
    )
    try:
        torch.save(work_of_one_rank(split, rank), f"{folder}/rank{rank}.pt")
    finally:
        dist.destroy_process_group()


Ranks = tuple[tuple[int, ...], list[dict[str, Any]]]


@pytest.fixture(scope="module", params=SPLITS, ids=str)
def ranks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ranks:
    """The split, and what each rank of a real process group found."""
    split: tuple[int, ...] = request.param
    folder = tmp_path_factory.mktemp("prototypes")
    context = mp.spawn(process, (split, str(folder)), nprocs=len(split), join=False)
    deadline = time.monotonic() + 120
    try:
        while not context.join(timeout=1):
            assert time.monotonic() < deadline, "the ranks wait for each other"
    finally:
        for child in context.processes:
            child.kill()
    return split, [torch.load(folder / f"rank{rank}.pt") for rank in range(len(split))]


def test_codes_are_those_of_the_whole_batch(ranks: Ranks) -> None:
    split, found = ranks
    scores = make_views(3, sum(split), K)[0]
    for name, factor, iterations in (("codes", 1.0, 4), ("huge", 1e4, 3)):
        wanted = sinkhorn(factor * scores, 0.05, iterations).split(split)
        for rank, exact in zip(found, wanted, strict=True):
            assert rank[name].shape == exact.shape
            tolerance = 1e-12 if name == "codes" else 1e-9
            torch.testing.assert_close(rank[name], exact, rtol=0, atol=tolerance)


def test_codes_are_those_of_lightly(ranks: Ranks) -> None:
    _, found = ranks
    for rank in found:
        if "lightly" in rank:
            torch.testing.assert_close(rank["codes"], rank["lightly"], rtol=0, atol=1e-12)


def test_off_by_default(ranks: Ranks) -> None:
    split, found = ranks
    for rank, scores in zip(found, make_views(3, sum(split), K)[0].split(split), strict=True):
        torch.testing.assert_close(rank["own codes"], sinkhorn(scores, 0.05, 4))


def test_loss_averages_to_that_of_the_whole_batch(ranks: Ranks) -> None:
    """Over ranks of equal size; gradients after the average of DistributedDataParallel."""
    split, found = ranks
    if len(set(split)) > 1:
        return
    leaves = [view.requires_grad_() for view in make_views(3, sum(split), K)]
    wanted = SwaVLoss()(leaves[:2], leaves[2:])
    wanted.backward()
    mean = torch.stack([rank["loss"] for rank in found]).mean(0)
    torch.testing.assert_close(mean, wanted.detach(), rtol=1e-12, atol=0)
    for view, leaf in enumerate(leaves):
        for rank, exact in zip(found, leaf.grad.split(split), strict=True):
            got = rank["gradients"][view] / len(split)
            torch.testing.assert_close(got, exact, rtol=1e-10, atol=1e-13)


def test_center_is_that_of_all_processes(ranks: Ranks) -> None:
    split, found = ranks
    views = make_views(3, sum(split), K)
    whole = DINOLoss(K).double()
    torch.testing.assert_close(whole(views[:2], views), dino_loss(views[:2], views))
    for rank in found:
        if "center" in rank:
            torch.testing.assert_close(rank["center"], whole.center, rtol=1e-12, atol=0)


def test_torch_without_distributed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"SwaVLoss: gather_distributed=True needs torch.distr"):
        SwaVLoss(sinkhorn_gather_distributed=True)
    views = make_views(2, 9, K)
    assert torch.equal(sinkhorn(views[0], gather_distributed=True), sinkhorn(views[0]))
    DINOLoss(K).double()(views, views)
