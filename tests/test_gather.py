"""``gather_distributed``: W processes with N rows each are one process with W N rows."""

import time
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from ipse.losses import BarlowTwinsLoss, VICRegLoss
from ipse.losses._gather import gather_rows
from tests.cross_correlation_cases import make_views

LOSSES = {"barlow_twins": BarlowTwinsLoss, "vicreg": VICRegLoss}
FEATURES = 6
# Rows of each rank: even, uneven, and a rank whose rows alone could not make a loss.
SPLITS = [(4, 4), (3, 7), (5, 1, 4)]


def make_batch(rows: int) -> tuple[Tensor, Tensor]:
    return make_views(rows, FEATURES, torch.float64, seed=7)


def make_model() -> nn.Module:
    torch.manual_seed(3)
    return nn.Linear(FEATURES, 5, dtype=torch.float64)


def gradient_of_gradient(loss: nn.Module, z1: Tensor, z2: Tensor) -> Tensor:
    """d(|dL/dz1|^2)/dz1, through both collectives."""
    leaf = z1.detach().requires_grad_()
    (first,) = torch.autograd.grad(loss(leaf, z2), leaf, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), leaf)
    return second


def work_of_one_rank(split: tuple[int, ...], rank: int) -> dict[str, Any]:
    """Everything that rank computes; runs inside the process group."""
    z1, z2 = (z.split(split)[rank] for z in make_batch(sum(split)))
    found: dict[str, Any] = {"rows": gather_rows(z1)}
    for name, module in LOSSES.items():
        loss = module(gather_distributed=True)
        leaves = [z.clone().requires_grad_() for z in (z1, z2)]
        value = loss(*leaves)
        value.backward()
        found[name] = {
            "value": value.detach(),
            "gradients": [leaf.grad for leaf in leaves],
            "second": gradient_of_gradient(loss, z1, z2),
        }
        model = nn.parallel.DistributedDataParallel(make_model())
        projected = model(torch.cat([z1, z2])).chunk(2)
        loss(*projected).backward()
        found[name]["parameters"] = [p.grad for p in model.parameters()]
        if len(z1) > 1:
            found[name]["ungathered"] = module()(z1, z2)
    positions = torch.stack(make_batch(sum(split)), 1)  # (N, 2, D)
    found["positions"] = VICRegLoss(gather_distributed=True)(
        positions.split(split)[rank], positions.flip(1).split(split)[rank]
    )
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


@pytest.fixture(scope="module", params=SPLITS, ids=str)
def ranks(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[tuple[int, ...], list[dict[str, Any]]]:
    """The split, and what each rank of a real process group found."""
    split: tuple[int, ...] = request.param
    folder = tmp_path_factory.mktemp("gather")
    context = mp.spawn(process, (split, str(folder)), nprocs=len(split), join=False)
    deadline = time.monotonic() + 120
    try:
        while not context.join(timeout=1):
            assert time.monotonic() < deadline, "the ranks wait for each other"
    finally:
        for child in context.processes:
            child.kill()
    return split, [torch.load(folder / f"rank{rank}.pt") for rank in range(len(split))]


Ranks = tuple[tuple[int, ...], list[dict[str, Any]]]
each_loss = pytest.mark.parametrize("name", LOSSES)


def test_rows_come_in_rank_order(ranks: Ranks) -> None:
    split, found = ranks
    for rank in found:
        assert torch.equal(rank["rows"], make_batch(sum(split))[0])


@each_loss
def test_value_is_that_of_one_process(ranks: Ranks, name: str) -> None:
    split, found = ranks
    wanted = LOSSES[name]()(*make_batch(sum(split)))
    for rank in found:
        torch.testing.assert_close(rank[name]["value"], wanted, rtol=1e-12, atol=0)


@each_loss
def test_gradient_is_world_size_times_that_of_one_process(ranks: Ranks, name: str) -> None:
    """So that DistributedDataParallel's average is exactly the one of the whole batch."""
    split, found = ranks
    leaves = [z.requires_grad_() for z in make_batch(sum(split))]
    LOSSES[name]()(*leaves).backward()
    for view, leaf in enumerate(leaves):
        for wanted, rank in zip(leaf.grad.split(split), found, strict=True):
            got = rank[name]["gradients"][view]
            torch.testing.assert_close(got, len(split) * wanted, rtol=1e-10, atol=1e-12)


@each_loss
def test_averaged_parameter_gradients_are_those_of_one_process(ranks: Ranks, name: str) -> None:
    split, found = ranks
    model = make_model()
    projected = [model(z) for z in make_batch(sum(split))]
    LOSSES[name]()(*projected).backward()
    for rank in found:
        for got, parameter in zip(rank[name]["parameters"], model.parameters(), strict=True):
            torch.testing.assert_close(got, parameter.grad, rtol=1e-10, atol=1e-12)


@each_loss
def test_second_derivative_passes_through(ranks: Ranks, name: str) -> None:
    """First derivatives are W-fold, so the sum of their squares over all ranks is W^2-fold."""
    split, found = ranks
    z1, z2 = make_batch(sum(split))
    wanted = gradient_of_gradient(LOSSES[name](), z1, z2).split(split)
    for rank, exact in zip(found, wanted, strict=True):
        got = rank[name]["second"]
        torch.testing.assert_close(got, len(split) ** 2 * exact, rtol=1e-9, atol=1e-10)


@each_loss
def test_off_by_default(ranks: Ranks, name: str) -> None:
    split, found = ranks
    parts = zip(*(z.split(split) for z in make_batch(sum(split))), strict=True)
    for rank, (z1, z2) in zip(found, parts, strict=True):
        if len(z1) > 1:
            torch.testing.assert_close(rank[name]["ungathered"], LOSSES[name]()(z1, z2))


def test_inner_dimensions_are_gathered_too(ranks: Ranks) -> None:
    split, found = ranks
    positions = torch.stack(make_batch(sum(split)), 1)
    wanted = VICRegLoss()(positions, positions.flip(1))
    for rank in found:
        torch.testing.assert_close(rank["positions"], wanted, rtol=1e-12, atol=0)


@each_loss
def test_without_a_process_group_nothing_is_gathered(name: str) -> None:
    z1, z2 = make_batch(5)
    assert gather_rows(z1) is z1
    together, alone = LOSSES[name](gather_distributed=True), LOSSES[name]()
    assert torch.equal(together(z1, z2), alone(z1, z2))
    assert "gather_distributed=True" in repr(together)


def test_a_group_of_one_gathers_nothing(tmp_path: Path) -> None:
    dist.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1
    )
    try:
        z1, _ = make_batch(5)
        assert gather_rows(z1) is z1
    finally:
        dist.destroy_process_group()


@each_loss
def test_torch_without_distributed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"Loss: gather_distributed=True needs torch.distributed"):
        LOSSES[name](gather_distributed=True)
    z1, z2 = make_batch(5)
    LOSSES[name]()(z1, z2)
