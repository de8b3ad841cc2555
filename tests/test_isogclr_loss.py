"""``ISogCLRLoss``: the official algorithm step by step, its fixed point, its state."""

import copy
import math
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from ipse.losses import ISogCLRLoss
from tests.cross_correlation_cases import make_views
from tests.reference.similarity import State, unit_rows
from tests.reference.similarity import isogclr as reference

SAMPLES = 20


def make_loss(**keywords: Any) -> ISogCLRLoss:
    loss = ISogCLRLoss(SAMPLES, **keywords).double()
    loss.tau.fill_(keywords.get("tau_init", 0.1))  # it was rounded to float32 before
    return loss


def fresh_state(tau: float = 0.1) -> State:
    zeros = torch.zeros(SAMPLES, dtype=torch.float64)
    return State(zeros, torch.full_like(zeros, tau), zeros)


def gradients(loss: Any, z1: Tensor, z2: Tensor) -> list[Tensor]:
    leaves = [z.clone().requires_grad_() for z in (z1, z2)]
    return list(torch.autograd.grad(loss(*leaves), leaves))


RULES = {
    "defaults": {},
    "no memory": {"gamma": 1.0, "beta_u": 1.0},
    "tight bounds": {"tau_min": 0.095, "tau_max": 0.105, "eta": 0.5},
    "large rho": {"rho": 3.0, "gamma": 0.1},
    "steep": {"eta": 1.0, "rho": 0.0},
}


@pytest.mark.filterwarnings("ignore:.*rho=3.0 cannot be reached")
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_follows_the_algorithm(rule: dict[str, float]) -> None:
    """Several batches, overlapping in their samples: gradients and all of the state."""
    keywords = dict(rule)
    if "eta" in keywords:
        keywords["eta_init"] = keywords.pop("eta")
    loss, state = make_loss(**keywords), fresh_state()
    order = torch.Generator().manual_seed(0)
    for step in range(6):
        index = torch.randperm(SAMPLES, generator=order)[: 5 + step]
        views = make_views(len(index), 4, torch.float64, seed=step)
        wanted = gradients(lambda a, b: reference(index, a, b, state, **rule)[0], *views)  # noqa: B023
        got = gradients(lambda a, b: loss(index, a, b), *views)  # noqa: B023
        for mine, exact in zip(got, wanted, strict=True):
            torch.testing.assert_close(mine, exact, rtol=1e-9, atol=1e-12)
        state = reference(index, *views, state, **rule)[1]
        torch.testing.assert_close(loss.state.log_s.exp(), state.s, rtol=1e-11, atol=1e-14)
        torch.testing.assert_close(loss.state.tau, state.tau, rtol=1e-11, atol=0)
        torch.testing.assert_close(loss.state.u, state.u, rtol=1e-10, atol=1e-13)


def divergence(similarities: Tensor, tau: float) -> float:
    """KL of softmax(s / tau) from uniform."""
    p = torch.softmax(similarities / tau, 0)
    return float((p * (p * len(p)).log()).sum())


def root_by_bisection(rows: list[Tensor], rho: float, low: float, high: float) -> float:
    """The temperature at which the mean divergence of the rows is rho."""
    for _ in range(60):
        middle = (low + high) / 2
        if sum(divergence(row, middle) for row in rows) / len(rows) > rho:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def test_temperatures_converge_to_equal_divergence() -> None:
    """Frozen embeddings, full batch, no memory: tau solves KL(softmax) = rho, or sticks."""
    rho, samples = 0.5, 12
    z1, z2 = make_views(samples, 3, torch.float64)
    z2[0], z1[0] = 0.01, torch.tensor([0.02, 0.01, 0.01])  # its negatives are much alike
    loss = ISogCLRLoss(
        samples, gamma=1.0, beta_u=1.0, rho=rho, eta_init=0.02, tau_min=0.1, tau_max=2.0
    ).double()
    for _ in range(4000):
        loss(torch.arange(samples), z1, z2)
    z = unit_rows(torch.cat([z1, z2]))
    roots = []
    for n in range(samples):
        rows = [
            (z[[j for j in range(2 * samples) if j % samples != n]] @ z[n + v * samples])
            for v in (0, 1)
        ]
        root = root_by_bisection(rows, rho, 1e-3, 50.0)
        roots.append(min(max(root, 0.1), 2.0))
    torch.testing.assert_close(loss.tau, torch.tensor(roots).double(), rtol=0, atol=1e-3)
    assert len({round(root, 2) for root in roots}) > 3


def test_value_is_the_objective() -> None:
    """tau (log s + rho) - positive, summed over views: what a step on tau must not raise."""
    views = make_views(6, 4, torch.float64)
    index = torch.arange(6)
    loss = make_loss(gamma=1.0, rho=0.3, tau_init=0.2)
    value = loss(index, *views)
    z = unit_rows(torch.cat(views))
    s = z @ z.T
    wanted = 0.0
    for row in range(12):
        negatives = s[row, [j for j in range(12) if j % 6 != row % 6]]
        robust = 0.2 * ((negatives / 0.2).exp().mean().log() + 0.3)
        wanted += robust - s[row, (row + 6) % 12]
    assert value.item() == pytest.approx(float(wanted) / 6, rel=1e-12)


def test_stacked_views_and_any_index_type() -> None:
    z1, z2 = make_views(6, 4)
    index = torch.tensor([3, 1, 19, 0, 7, 5])
    losses = [ISogCLRLoss(SAMPLES) for _ in range(3)]
    values = [
        losses[0](index, z1, z2),
        losses[1](index, torch.stack([z1, z2], 1)),
        losses[2](index.int(), z1, z2),
    ]
    assert torch.equal(values[0], values[1])
    assert torch.equal(values[0], values[2])
    assert torch.equal(losses[0].tau, losses[1].tau)


def test_only_visited_samples_change_and_only_in_training() -> None:
    z1, z2 = make_views(4, 4)
    index = torch.tensor([2, 5, 7, 11])
    loss = ISogCLRLoss(SAMPLES)
    before = copy.deepcopy(loss.state_dict())
    loss.eval()
    evaluated = loss(index, z1, z2)
    assert all(
        torch.equal(a, b) for a, b in zip(before.values(), loss.state_dict().values(), strict=True)
    )
    loss.train()
    assert torch.equal(loss(index, z1, z2), evaluated)
    others = torch.ones(SAMPLES, dtype=torch.bool)
    others[index] = False
    for name, value in loss.state_dict().items():
        assert torch.equal(value[others], before[name][others])
        assert not (value[index] == before[name][index]).any()


def test_a_first_visit_late_in_training_starts_from_its_own_estimate() -> None:
    loss = make_loss()
    for step in range(3):
        loss(torch.arange(5), *make_views(5, 4, torch.float64, seed=step))
    late = make_loss()
    views = make_views(5, 4, torch.float64, seed=9)
    index = torch.arange(10, 15)
    assert torch.equal(loss(index, *views), late(index, *views))
    assert torch.equal(loss.state.log_s[index], late.state.log_s[index])


def test_small_temperatures_do_not_overflow() -> None:
    z1, z2 = make_views(8, 4)
    loss = ISogCLRLoss(SAMPLES, tau_init=0.005, tau_min=0.005)
    for _ in range(5):
        leaves = [z.clone().requires_grad_() for z in (z1, z2)]
        value = loss(torch.arange(8), *leaves)
        value.backward()
        assert value.isfinite()
        assert all(leaf.grad.isfinite().all() for leaf in leaves)
    assert loss.tau.isfinite().all()


def test_an_overflowed_batch_does_not_poison_the_state() -> None:
    z1, z2 = make_views(4, 4)
    loss = ISogCLRLoss(SAMPLES)
    loss(torch.arange(4), z1, z2)
    before = copy.deepcopy(loss.state_dict())
    z1[1] = torch.nan
    assert not loss(torch.arange(4), z1, z2).isfinite()
    for name, value in loss.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_checkpoint_continues_with_the_same_numbers() -> None:
    loss = ISogCLRLoss(SAMPLES)
    for step in range(3):
        loss(torch.arange(6), *make_views(6, 4, seed=step))
    other = ISogCLRLoss(SAMPLES)
    other.load_state_dict(loss.state_dict())
    assert loss.state_dict().keys() == {"state.log_s", "state.tau", "state.u"}
    for step in range(3, 6):
        views = make_views(6, 4, seed=step)
        assert torch.equal(loss(torch.arange(6), *views), other(torch.arange(6), *views))
    assert torch.equal(loss.tau, other.tau)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype) -> None:
    views = make_views(6, 4, dtype)
    loss, exact = ISogCLRLoss(SAMPLES), make_loss()
    for _ in range(2):
        got = gradients(lambda a, b: loss(torch.arange(6), a, b), *views)
        wanted = gradients(lambda a, b: exact(torch.arange(6), a, b), *(v.double() for v in views))
    assert loss.tau.dtype is torch.float32
    torch.testing.assert_close(loss.tau.double(), exact.tau, rtol=1e-5, atol=0)
    for mine, gradient in zip(got, wanted, strict=True):
        assert mine.dtype is dtype
        assert (mine.double() - gradient).abs().max() < 2e-2 * gradient.abs().max()


def etas(schedule: str, epochs: int) -> list[float]:
    """Step sizes as the temperatures show them: beta = 1 and one sample's gradient known."""
    found = []
    for epoch in range(epochs):
        loss = make_loss(
            gamma=1.0,
            beta_u=1.0,
            eta_init=0.01,
            eta_min=0.001,
            eta_sched=schedule,
            eta_exp_gamma=0.5,
            tau_init=0.3,
        )
        loss(torch.arange(6), *make_views(6, 4, torch.float64), epoch=epoch, max_epoch=epochs)
        found.append(float(((0.3 - loss.tau[:6]) / loss.state.u[:6]).mean()))
    return found


def test_schedules_of_the_step_size() -> None:
    assert etas("const", 3) == pytest.approx([0.01] * 3)
    assert etas("exp", 5) == pytest.approx([0.01, 0.005, 0.0025, 0.00125, 0.001])
    cosine = [0.001 + 0.009 * math.cos(math.pi * epoch / 8) for epoch in range(4)]
    assert etas("cosine", 4) == pytest.approx(cosine)


def test_unreachable_rho_is_said() -> None:
    z1, z2 = make_views(4, 4)
    with pytest.warns(UserWarning, match=r"rho=2.0 cannot be reached with 6 negatives"):
        ISogCLRLoss(SAMPLES, rho=2.0)(torch.arange(4), z1, z2)
    with pytest.warns(UserWarning, match=r"rho=6.0 cannot be reached with 126 negatives"):
        ISogCLRLoss(SAMPLES, rho=6.0, bsz=64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ISogCLRLoss(SAMPLES, rho=1.7, bsz=4)(torch.arange(4), z1, z2)


GOOD = make_views(3, 4)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (torch.tensor([0, 1, 20]), "index must be in 0 ... 19, got 20"),
        (torch.tensor([0, -1, 2]), "index must be in 0 ... 19, got -1"),
        (torch.tensor([4, 1, 4]), "index must have no duplicates, got 4 more than once"),
        (torch.tensor([4, 1]), r"index must be \(3,\), got shape \(2,\)"),
        (torch.tensor([0.0, 1.0, 2.0]), "index must be int64 or int32, got torch.float32"),
    ],
)
def test_index_errors(index: Tensor, message: str) -> None:
    loss = ISogCLRLoss(SAMPLES)
    with pytest.raises(ValueError, match=f"ISogCLRLoss: {message}"):
        loss(index, *GOOD)
    assert (loss.tau == loss.tau[0]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ISogCLRLoss(0), "N must be at least 1, got 0"),
        (lambda: ISogCLRLoss(5, gamma=0.0), r"gamma must be in \(0, 1\], got 0.0"),
        (lambda: ISogCLRLoss(5, beta_u=1.5), r"beta_u must be in \(0, 1\], got 1.5"),
        (lambda: ISogCLRLoss(5, tau_init=0.01), "0 < tau_min <= tau_init <= tau_max must hold, g"),
        (lambda: ISogCLRLoss(5, eta_sched="step"), "eta_sched must be 'const', 'cosine' or 'exp'"),
        (
            lambda: ISogCLRLoss(5, eta_sched="cosine")(torch.arange(3), *GOOD),
            "eta_sched='cosine' needs epoch and max_epoch",
        ),
        (
            lambda: ISogCLRLoss(5)(torch.arange(3), GOOD[0]),
            r"z1 without z2 must be \(N, 2, D\), got shape \(3, 4\)",
        ),
        (
            lambda: ISogCLRLoss(5)(torch.arange(1), GOOD[0][:1], GOOD[1][:1]),
            "the batch must have at least 2 samples, got 1",
        ),
    ],
)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"ISogCLRLoss: {message}"):
        call()


def test_repr() -> None:
    assert repr(ISogCLRLoss(5)).startswith("ISogCLRLoss(\n  gamma=0.8, tau=[0.05, 1.0], rho=0.4, ")
