"""``ISogCLRClipLoss``: the bimodal algorithm step by step, and what is its own."""

from typing import Any

import pytest
import torch
from torch import Tensor

from ipse.losses import ISogCLRClipLoss
from tests.cross_correlation_cases import make_views
from tests.reference.similarity import State, unit_rows
from tests.reference.similarity import isogclr_clip as reference

SAMPLES = 20


def gradients(loss: Any, image: Tensor, text: Tensor) -> list[Tensor]:
    leaves = [z.clone().requires_grad_() for z in (image, text)]
    return list(torch.autograd.grad(loss(*leaves), leaves))


@pytest.mark.parametrize("tau_init", [0.05, 0.3])
@pytest.mark.parametrize("gamma", [0.3, 1.0])
def test_follows_the_algorithm(tau_init: float, gamma: float) -> None:
    loss = ISogCLRClipLoss(SAMPLES, gamma=gamma, tau_init=tau_init, rho=0.5).double()
    zeros = torch.zeros(SAMPLES, dtype=torch.float64)
    states = (State(zeros, zeros + tau_init, zeros),) * 2
    for state in (loss.images, loss.texts):
        state.tau.fill_(tau_init)
    order = torch.Generator().manual_seed(0)
    rule = {"gamma": gamma, "rho": 0.5}
    for step in range(5):
        index = torch.randperm(SAMPLES, generator=order)[: 5 + step]
        pair = make_views(len(index), 4, torch.float64, seed=step)
        wanted = gradients(lambda a, b: reference(index, a, b, states, **rule)[0], *pair)  # noqa: B023
        got = gradients(lambda a, b: loss(index, a, b), *pair)  # noqa: B023
        for mine, exact in zip(got, wanted, strict=True):
            torch.testing.assert_close(mine, exact, rtol=1e-9, atol=1e-12)
        states = reference(index, *pair, states, **rule)[1]
        for mine, exact in zip((loss.images, loss.texts), states, strict=True):
            torch.testing.assert_close(mine.log_s.exp(), exact.s, rtol=1e-10, atol=1e-14)
            torch.testing.assert_close(mine.tau, exact.tau, rtol=1e-10, atol=0)
            torch.testing.assert_close(mine.u, exact.u, rtol=1e-9, atol=1e-12)


def test_value_is_the_objective() -> None:
    image, text = make_views(6, 4, torch.float64)
    loss = ISogCLRClipLoss(SAMPLES, gamma=1.0, tau_init=0.25, rho=0.5)
    value = loss(torch.arange(6), image, text)
    similarity = unit_rows(image) @ unit_rows(text).T
    wanted = 0.0
    for rows in (similarity, similarity.T):
        for n in range(6):
            h = rows[n, [m for m in range(6) if m != n]] - rows[n, n]
            wanted += 0.25 * ((h / 0.25).exp().mean().log() + 0.5)
    assert value.item() == pytest.approx(float(wanted) / 6, rel=1e-12)


def test_smallest_temperature_in_single_precision() -> None:
    pair = make_views(8, 4)
    loss = ISogCLRClipLoss(SAMPLES, tau_init=0.005, rho=1.0)
    for _ in range(4):
        assert all(
            g.isfinite().all() for g in gradients(lambda a, b: loss(torch.arange(8), a, b), *pair)
        )
    assert loss.images.tau.isfinite().all()


def test_checkpoint() -> None:
    loss, other = (ISogCLRClipLoss(SAMPLES, rho=0.5) for _ in range(2))
    pair = make_views(6, 4)
    loss(torch.arange(6), *pair)
    other.load_state_dict(loss.state_dict())
    assert torch.equal(loss(torch.arange(6), *pair), other(torch.arange(6), *pair))
    assert set(loss.state_dict()) == {
        f"{side}.{name}" for side in ("images", "texts") for name in ("log_s", "tau", "u")
    }


def test_errors_and_warning() -> None:
    image, text = make_views(3, 4)
    with pytest.warns(UserWarning, match=r"ISogCLRClipLoss: rho=6.0 cannot be reached with 2 neg"):
        ISogCLRClipLoss(SAMPLES)(torch.arange(3), image, text)
    with pytest.raises(ValueError, match="ISogCLRClipLoss: index must have no duplicates, got 1"):
        ISogCLRClipLoss(SAMPLES)(torch.tensor([1, 2, 1]), image, text)
    with pytest.raises(ValueError, match="ISogCLRClipLoss: the batch must have at least 2 samples"):
        ISogCLRClipLoss(SAMPLES)(torch.tensor([1]), image[:1], text[:1])
    with pytest.raises(ValueError, match="ISogCLRClipLoss: N must be at least 1, got 0"):
        ISogCLRClipLoss(0)
