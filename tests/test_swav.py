"""SwAV: the loss against its reference and as a stand-in for lightly's."""

import inspect
import warnings

import pytest
import torch
from lightly.loss import SwaVLoss as LightlySwaVLoss
from torch import Tensor, nn

from ipse.functional import swav_loss
from ipse.losses import SwaVLoss
from tests.prototype_cases import make_views
from tests.reference import prototypes as reference


def value_and_gradients(
    loss: nn.Module, high: list[Tensor], low: list[Tensor], queue: list[Tensor] | None = None
) -> list[Tensor]:
    leaves = [view.clone().requires_grad_() for view in [*high, *low]]
    value = loss(leaves[: len(high)], leaves[len(high) :], queue)
    # lightly's does not look at the scores of an only high-resolution crop.
    gradients = torch.autograd.grad(value.sum(), leaves, materialize_grads=True)
    return [value.detach(), *gradients]


@pytest.mark.parametrize(("high", "low"), [(2, 0), (2, 6), (1, 1), (3, 2)])
@pytest.mark.parametrize("queued", [0, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_equals_lightly(high: int, low: int, queued: int, dtype: torch.dtype) -> None:
    views = make_views(high + low, 20, 13, dtype)
    queue = make_views(high, queued, 13, dtype, seed=9) if queued else None
    wanted = value_and_gradients(LightlySwaVLoss(), views[:high], views[high:], queue)
    got = value_and_gradients(SwaVLoss(), views[:high], views[high:], queue)
    assert got[0].shape == wanted[0].shape == (1,)
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-12}[dtype]
    for mine, theirs in zip(got, wanted, strict=True):
        assert (mine - theirs).abs().max() <= tolerance * theirs.abs().max()


@pytest.mark.parametrize(
    ("temperature", "iterations", "epsilon"), [(0.1, 3, 0.05), (0.5, 1, 0.2), (0.02, 10, 0.03)]
)
def test_parameters_reach_the_loss(temperature: float, iterations: int, epsilon: float) -> None:
    views = make_views(4, 20, 13)
    arguments = (temperature, iterations, epsilon)
    wanted = value_and_gradients(LightlySwaVLoss(*arguments), views[:2], views[2:])
    for mine, theirs in zip(
        value_and_gradients(SwaVLoss(*arguments), views[:2], views[2:]), wanted, strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-13)
    function = swav_loss(
        views[:2], views[2:], temperature=temperature, epsilon=epsilon, iterations=iterations
    )
    exact = reference.swav(views[:2], views[2:], temperature, epsilon, iterations)
    torch.testing.assert_close(function, exact, rtol=1e-12, atol=0)


def test_signature_is_that_of_lightly() -> None:
    mine, theirs = (inspect.signature(c).parameters for c in (SwaVLoss, LightlySwaVLoss))
    assert [(p.name, p.default) for p in mine.values()] == [
        (p.name, p.default) for p in theirs.values()
    ]
    mine, theirs = (inspect.signature(c.forward).parameters for c in (SwaVLoss, LightlySwaVLoss))
    assert [(p.name, p.default) for p in mine.values()] == [
        (p.name, p.default) for p in theirs.values()
    ]


def test_scores_that_overflow_lightly() -> None:
    """Not cosines: an unnormalised layer, 100 / 0.05."""
    views = [100 * view for view in make_views(2, 20, 13, torch.float32)]
    assert LightlySwaVLoss()(views, []).isnan()
    got = SwaVLoss()(views, [])
    exact = reference.swav([view.double() for view in views])
    torch.testing.assert_close(got[0].double(), exact, rtol=1e-5, atol=0)


def test_half_precision() -> None:
    views = make_views(3, 20, 13, torch.bfloat16)
    loss = SwaVLoss()(views[:2], views[2:])
    assert loss.dtype == torch.float32
    wanted = reference.swav([v.double() for v in views[:2]], [v.double() for v in views[2:]])
    torch.testing.assert_close(loss[0].double(), wanted, rtol=1e-5, atol=0)


def test_warns_once_of_fewer_samples_than_prototypes() -> None:
    small, large = make_views(2, 5, 13), make_views(2, 13, 13)
    loss = SwaVLoss()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss(large, [])
        loss(small, [], make_views(2, 2, 13))  # a queue is what the warning asks for
    with pytest.warns(UserWarning, match="SwaVLoss: 5 samples share 13 prototypes"):
        loss(small, [])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss(small, [])


@pytest.mark.parametrize(
    ("high", "low", "queue", "message"),
    [
        (0, 2, None, "needs at least 1 high-resolution crop and 2 crops in all, got 0 and 2"),
        (1, 0, None, "needs at least 1 high-resolution crop and 2 crops in all, got 1 and 1"),
        (2, 1, 1, "queue must hold scores for each of 2 high-resolution crops, got 1"),
    ],
)
def test_message(high: int, low: int, queue: int | None, message: str) -> None:
    stored = None if queue is None else make_views(queue, 6, 3)
    with pytest.raises(ValueError, match=f"^swav_loss: {message}$"):
        SwaVLoss()(make_views(high, 5, 3), make_views(low, 5, 3), stored)


def test_crops_of_different_shape() -> None:
    with pytest.raises(ValueError, match="all views must have the same shape"):
        swav_loss(make_views(2, 5, 3), make_views(1, 5, 4))
    with pytest.raises(ValueError, match="all views must have the same shape"):
        swav_loss(make_views(2, 5, 3), make_views(1, 6, 3))


def test_compiles_as_one_graph() -> None:
    views = make_views(3, 20, 13, torch.float32)
    loss = SwaVLoss()
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(views[:2], views[2:]), loss(views[:2], views[2:]))


def test_module_has_no_state() -> None:
    loss = SwaVLoss()
    assert not list(loss.parameters())
    assert not loss.state_dict()
    assert repr(loss) == (
        "SwaVLoss(temperature=0.1, sinkhorn_iterations=3, sinkhorn_epsilon=0.05, "
        "sinkhorn_gather_distributed=False)"
    )
