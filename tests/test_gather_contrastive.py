"""``gather_distributed`` of the contrastive losses: W ranks with N rows are one with W N rows.

In value (the same on every rank) and in gradient (W times the slice of one process, which
DistributedDataParallel's average over ranks turns into that of the whole batch), gathered or
sent round the ring, with batches that differ in length.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from ipse.losses import (
    ClipLoss,
    DCLLoss,
    DCLWLoss,
    InfoNCELoss,
    ISogCLRClipLoss,
    ISogCLRLoss,
    MemoryQueue,
    NTXentLoss,
    SigLipLoss,
    SupConLoss,
)
from tests.cross_correlation_cases import make_views
from tests.process_group import run_ranks

FEATURES = 6
SAMPLES = 40  # of iSogCLR's data set
SPLITS = [(4, 4), (5, 1, 4), (2, 3, 1, 4)]
MODES = (True, "ring")


@dataclass
class Batch:
    """Everything a loss may want; cut into the ranks' parts."""

    z1: Tensor
    z2: Tensor
    z3: Tensor
    own_negatives: Tensor  # (N, 3, D)
    queue: Tensor  # the same on all ranks
    labels: Tensor
    index: Tensor
    temperatures: Tensor  # one for each sample

    def part(self, split: tuple[int, ...], rank: int) -> "Batch":
        parts = {
            name: value if name == "queue" else value.split(split)[rank]
            for name, value in vars(self).items()
        }
        return Batch(**parts)


def make_batch(rows: int) -> Batch:
    z1, z2 = make_views(rows, FEATURES, torch.float64, seed=7)
    z3, queue = make_views(rows, FEATURES, torch.float64, seed=8)
    generator = torch.Generator().manual_seed(9)
    return Batch(
        z1,
        z2,
        z3,
        torch.randn(rows, 3, FEATURES, generator=generator, dtype=torch.float64),
        queue,
        # Classes that span ranks, and one with a single sample.
        torch.tensor([3, 3, 1, 7, 1, 3, 1, 1, 3, 9])[:rows],
        torch.randperm(SAMPLES, generator=generator)[:rows],
        torch.rand(rows, generator=generator, dtype=torch.float64) + 0.2,
    )


class Learned(nn.Module):
    """A loss with its temperature (or scale, or bias) as its parameters."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.values = nn.ParameterList(
            nn.Parameter(torch.tensor(value, dtype=torch.float64)) for value in values
        )


Objective = Callable[[Any, nn.Module, Batch], Tensor]  # (mode, learned numbers, batch)


def stack(*views: Tensor) -> Tensor:
    return torch.stack(views, 1)


def isogclr(mode: Any, _: Any, b: Batch) -> Tensor:
    loss = ISogCLRLoss(SAMPLES, gather_distributed=mode).double()
    loss(b.index, b.z1, b.z3)  # so that the averages have a past
    return loss(b.index, b.z1, b.z2)


def isogclr_clip(mode: Any, _: Any, b: Batch) -> Tensor:
    loss = ISogCLRClipLoss(SAMPLES, tau_init=0.2, rho=0.5, gather_distributed=mode).double()
    loss(b.index, b.z1, b.z3)
    return loss(b.index, b.z1, b.z2)


def ntxent_with_bank(mode: Any, _: Any, b: Batch) -> Tensor:
    loss = NTXentLoss(0.3, (7, FEATURES), gather_distributed=mode)
    first = loss(b.z1, b.z2)
    return first + loss(b.z2, b.z3)


def world(mode: Any) -> dict[str, int]:
    if not mode:
        return {}
    return {"rank": dist.get_rank(), "world_size": dist.get_world_size()}


def clip(mode: Any, learned: Any, b: Batch) -> Tensor:
    loss = ClipLoss(gather_with_grad=True, ring=mode == "ring", **world(mode))
    return loss(b.z1, b.z2, learned.values[0], learned.values[1])


def siglip(mode: Any, learned: Any, b: Batch) -> Tensor:
    loss = SigLipLoss(dist_impl="gather" if mode is True else None, **world(mode))
    return loss(b.z1, b.z2, *learned.values)


OBJECTIVES: dict[str, Objective] = {
    "ntxent": lambda m, t, b: NTXentLoss(0.2, 0, m)(b.z1, b.z2),
    "ntxent learned": lambda m, t, b: NTXentLoss(t.values[0], 0, m)(b.z1, b.z2),
    "ntxent per sample": lambda m, t, b: NTXentLoss(b.temperatures, 0, m)(b.z1, b.z2),
    "ntxent three views": lambda m, t, b: NTXentLoss(0.2, 0, m)(b.z1, b.z2, b.z3),
    "ntxent with bank": ntxent_with_bank,
    "info_nce": lambda m, t, b: InfoNCELoss(t.values[0], m)(b.z1, b.z2),
    "info_nce queue": lambda m, t, b: InfoNCELoss(0.3, m)(b.z1, b.z2, b.queue),
    "info_nce own": lambda m, t, b: InfoNCELoss(t.values[0], m)(b.z1, b.z2, b.own_negatives),
    "dcl": lambda m, t, b: DCLLoss(t.values[0], None, m)(b.z1, b.z2),
    "dcl weighted": lambda m, t, b: DCLLoss(0.2, lambda x, y: (x - 2 * y)[:, 0], m)(b.z1, b.z2),
    "dclw": lambda m, t, b: DCLWLoss(0.2, 0.4, m)(b.z1, b.z2),
    "supcon": lambda m, t, b: SupConLoss(gather_distributed=m)(stack(b.z1, b.z2), b.labels),
    "supcon one": lambda m, t, b: SupConLoss(0.3, "one", 0.1, gather_distributed=m)(
        stack(b.z1, b.z2, b.z3), b.labels
    ),
    "supcon positives": lambda m, t, b: SupConLoss(
        0.3, reduction="positives", gather_distributed=m
    )(stack(b.z1), b.labels),
    "supcon without labels": lambda m, t, b: SupConLoss(0.2, gather_distributed=m)(
        stack(b.z1, b.z2)
    ),
    "clip": clip,
    "siglip": siglip,
    "isogclr": isogclr,
    "isogclr bimodal": isogclr_clip,
}
# That DDP averages is tested once for each way of reducing; each start of it takes time.
WITH_DDP = ("ntxent", "siglip")
# Smaller than 1 as temperatures, and tame as a scale and a bias.
LEARNED = (0.4, 0.3)
OF_EACH_VIEW = ("z1", "z2")


def value_and_gradients(
    objective: Objective, mode: Any, batch: Batch
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Value, gradients by the views, gradients by the learned numbers (0 where unused)."""
    learned = Learned(*LEARNED)
    leaves = [getattr(batch, name).clone().requires_grad_() for name in OF_EACH_VIEW]
    for name, leaf in zip(OF_EACH_VIEW, leaves, strict=True):
        setattr(batch, name, leaf)
    value = objective(mode, learned, batch)
    value.backward()
    return value.detach(), gradients_of(leaves), gradients_of(learned.parameters())


def gradients_of(leaves: Iterable[Tensor]) -> list[Tensor]:
    return [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]


def second_derivative(objective: Objective, mode: Any, batch: Batch) -> Tensor:
    """d(|dL/dz1|^2)/dz1, through all collectives."""
    batch.z1 = batch.z1.clone().requires_grad_()
    value = objective(mode, Learned(*LEARNED), batch)
    (first,) = torch.autograd.grad(value, batch.z1, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), batch.z1)
    return second


def projected_gradients(objective: Objective, mode: Any, batch: Batch, wrap: Any) -> list[Tensor]:
    """Gradients of a shared linear layer in front of the loss."""
    torch.manual_seed(3)
    model = wrap(nn.Linear(FEATURES, FEATURES, dtype=torch.float64))
    z1, z2 = model(torch.cat([batch.z1, batch.z2])).chunk(2)
    batch.z1, batch.z2 = z1, z2
    objective(mode, Learned(*LEARNED), batch).backward()
    return [parameter.grad for parameter in model.parameters()]


def work_of_one_rank(rank: int, split: tuple[int, ...]) -> dict[str, Any]:
    """Everything that rank computes; runs inside the process group."""

    def batch() -> Batch:
        return make_batch(sum(split)).part(split, rank)

    found: dict[str, Any] = {}
    for name, objective in OBJECTIVES.items():
        for mode in MODES:
            found[name, mode] = {
                "first": value_and_gradients(objective, mode, batch()),
            }
            if name in WITH_DDP:
                found[name, mode]["parameters"] = projected_gradients(
                    objective, mode, batch(), nn.parallel.DistributedDataParallel
                )
        found[name, True]["second"] = second_derivative(objective, True, batch())

    for mode in MODES:
        state = ISogCLRLoss(SAMPLES, gather_distributed=mode).double()
        for _ in range(3):
            state(batch().index, batch().z1, batch().z2)
        found["state", mode] = state.state_dict()

    queue = MemoryQueue(12, FEATURES, labels=True, ids=True, gather_distributed=True)
    for _ in range(2):
        queue.enqueue(batch().z1, batch().labels, batch().index)
    found["queue"] = queue.state_dict()
    return found


Ranks = tuple[tuple[int, ...], list[dict[Any, Any]]]


@pytest.fixture(scope="module", params=SPLITS, ids=str)
def ranks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ranks:
    """The split, and what each rank of a real process group found."""
    split: tuple[int, ...] = request.param
    folder = tmp_path_factory.mktemp("gather")
    return split, run_ranks(work_of_one_rank, len(split), folder, split)


each_objective = pytest.mark.parametrize("name", OBJECTIVES)
each_mode = pytest.mark.parametrize("mode", MODES, ids=["gather", "ring"])


@each_objective
@each_mode
def test_value_is_that_of_one_process(ranks: Ranks, name: str, mode: Any) -> None:
    split, found = ranks
    wanted, _, _ = value_and_gradients(OBJECTIVES[name], False, make_batch(sum(split)))
    for rank in found:
        got = rank[name, mode]["first"][0]
        torch.testing.assert_close(got, wanted, rtol=1e-11, atol=0)


@each_objective
@each_mode
def test_gradient_is_world_size_times_that_of_one_process(
    ranks: Ranks, name: str, mode: Any
) -> None:
    split, found = ranks
    _, views, numbers = value_and_gradients(OBJECTIVES[name], False, make_batch(sum(split)))
    for view, wanted in enumerate(views):
        for rank, exact in zip(found, wanted.split(split), strict=True):
            got = rank[name, mode]["first"][1][view]
            torch.testing.assert_close(got, len(split) * exact, rtol=1e-9, atol=1e-12)
    for number, exact in enumerate(numbers):
        average = sum(rank[name, mode]["first"][2][number] for rank in found) / len(split)
        torch.testing.assert_close(average, exact, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", WITH_DDP)
@each_mode
def test_averaged_parameter_gradients_are_those_of_one_process(
    ranks: Ranks, name: str, mode: Any
) -> None:
    split, found = ranks
    wanted = projected_gradients(
        OBJECTIVES[name], False, make_batch(sum(split)), lambda model: model
    )
    for rank in found:
        for got, exact in zip(rank[name, mode]["parameters"], wanted, strict=True):
            torch.testing.assert_close(got, exact, rtol=1e-9, atol=1e-12)


@each_objective
def test_second_derivative_passes_through_the_gathering(ranks: Ranks, name: str) -> None:
    split, found = ranks
    wanted = second_derivative(OBJECTIVES[name], False, make_batch(sum(split))).split(split)
    for rank, exact in zip(found, wanted, strict=True):
        got = rank[name, True]["second"]
        torch.testing.assert_close(got, len(split) ** 2 * exact, rtol=1e-8, atol=1e-9)


@each_mode
def test_state_changes_alike_on_all_ranks(ranks: Ranks, mode: Any) -> None:
    split, found = ranks
    batch = make_batch(sum(split))
    alone = ISogCLRLoss(SAMPLES).double()
    for _ in range(3):
        alone(batch.index, batch.z1, batch.z2)
    for name, wanted in alone.state_dict().items():
        for rank in found:
            assert torch.equal(rank["state", mode][name], found[0]["state", mode][name])
            torch.testing.assert_close(rank["state", mode][name], wanted, rtol=1e-12, atol=1e-13)


def test_queue_is_the_same_on_all_ranks(ranks: Ranks) -> None:
    """In rank order, and as if one process had enqueued the whole batch."""
    split, found = ranks
    batch = make_batch(sum(split))
    alone = MemoryQueue(12, FEATURES, labels=True, ids=True)
    for _ in range(2):
        alone.enqueue(batch.z1, batch.labels, batch.index)
    for rank in found:
        for name, wanted in alone.state_dict().items():
            assert torch.equal(rank["queue"][name], wanted), name


@each_objective
@each_mode
def test_without_a_process_group_nothing_is_gathered(name: str, mode: Any) -> None:
    if name in ("clip", "siglip"):
        pytest.skip("they take the size of the group as an argument")
    together = value_and_gradients(OBJECTIVES[name], mode, make_batch(5))
    alone = value_and_gradients(OBJECTIVES[name], False, make_batch(5))
    for got, wanted in zip([together[0], *together[1]], [alone[0], *alone[1]], strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-14)


def test_size_of_the_group_is_checked() -> None:
    z1, z2 = make_views(4, 3)
    for loss in (ClipLoss(world_size=2), SigLipLoss(world_size=2)):
        with pytest.raises(ValueError, match=r"Loss: world_size must be that of the process gro"):
            loss(z1, z2, 1.0)


LOSSES = {
    "NTXentLoss": NTXentLoss,
    "InfoNCELoss": InfoNCELoss,
    "DCLLoss": DCLLoss,
    "DCLWLoss": DCLWLoss,
    "SupConLoss": SupConLoss,
    "ISogCLRLoss": lambda **mode: ISogCLRLoss(5, **mode),
}


@pytest.mark.parametrize("name", LOSSES)
def test_unknown_mode_and_torch_without_distributed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=f"{name}: gather_distributed must be False, True or 'ri"):
        LOSSES[name](gather_distributed="chain")
    monkeypatch.setattr(dist, "is_available", lambda: False)
    with pytest.raises(ValueError, match=f"{name}: gather_distributed=True needs torch.distribut"):
        LOSSES[name](gather_distributed=True)
    LOSSES[name]()


def test_a_mask_cannot_be_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ipse.losses.supcon.is_split", lambda gather: bool(gather))
    with pytest.raises(ValueError, match=r"SupConLoss: mask must be None with gather_distributed"):
        SupConLoss(gather_distributed=True)(torch.ones(2, 2, 2), mask=torch.eye(2))
