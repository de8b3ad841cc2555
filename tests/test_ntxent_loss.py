"""``NTXentLoss`` in place of lightly's: values, gradients, memory bank, errors."""

import inspect
import math
from itertools import product
from typing import Any

import pytest
import torch
from lightly.loss import NTXentLoss as LightlyNTXentLoss
from torch import Tensor, nn

from ipse.functional import ntxent_loss
from ipse.losses import NTXentLoss
from tests.cross_correlation_cases import make_views, value_and_gradients
from tests.reference.similarity import ntxent as reference

SAMPLES = (1, 2, 4, 33, 257)
FEATURES = (1, 2, 16, 64, 130)
TEMPERATURES = (0.01, 0.1, 0.5, 1.0, 10.0, -1.0)


def assert_same(mine: tuple[Tensor, ...], theirs: tuple[Tensor, ...], tolerance: float) -> None:
    """Relative to the largest entry of each: the value, then the gradients."""
    for got, wanted in zip(mine, theirs, strict=True):
        error = (got - wanted).abs().max().item()
        assert error <= tolerance * max(wanted.abs().max().item(), 1.0), error


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("samples", SAMPLES)
def test_equals_lightly(samples: int, temperature: float) -> None:
    for features in FEATURES:
        views = make_views(samples, features, torch.float64)
        theirs = value_and_gradients(LightlyNTXentLoss(temperature), *views)
        assert_same(value_and_gradients(NTXentLoss(temperature), *views), theirs, 1e-10)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("samples", SAMPLES)
def test_equals_lightly_in_single_precision(samples: int, temperature: float) -> None:
    """Each compared with lightly in float64, and no further from it than rounding explains."""
    for features in FEATURES:
        views = make_views(samples, features, torch.float64)
        exact = value_and_gradients(LightlyNTXentLoss(temperature), *views)
        single = [view.float() for view in views]
        value, *gradients = value_and_gradients(NTXentLoss(temperature), *single)
        largest_logit = 1 / abs(temperature)
        assert abs(value - exact[0]) <= 1e-6 * (1 + largest_logit + abs(exact[0]))
        for view, got, wanted in zip(views, gradients, exact[1:], strict=True):
            length = view.norm(dim=1, keepdim=True)
            step = (wanted * length).abs().max() + largest_logit / samples
            bound = 3e-6 * (1 + largest_logit) * step / length
            assert bool(((got - wanted).abs() <= bound).all())


@pytest.mark.parametrize(("samples", "features"), list(product((1, 2, 4), (1, 2, 16, 64))))
@pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0, -1.0])
def test_equals_the_double_loop(samples: int, features: int, temperature: float) -> None:
    """lightly's own conformance test, with the reference written out."""
    views = make_views(samples, features, torch.float64)
    wanted = value_and_gradients(reference, *views, temperature)
    assert_same(value_and_gradients(NTXentLoss(temperature), *views), wanted, 1e-11)


def test_signature_is_that_of_lightly() -> None:
    mine, theirs = (inspect.signature(c).parameters for c in (NTXentLoss, LightlyNTXentLoss))
    assert [(p.name, p.default) for p in mine.values()] == [
        (p.name, p.default) for p in theirs.values()
    ]
    mine, theirs = (inspect.signature(c.forward) for c in (NTXentLoss, LightlyNTXentLoss))
    assert list(mine.parameters)[:3] == list(theirs.parameters)


@pytest.mark.parametrize("samples", [1, 2, 5, 40])
@pytest.mark.parametrize("temperature", [0.01, 0.5, 10.0])
def test_identical_rows(samples: int, temperature: float) -> None:
    row = torch.randn(8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    views = row.expand(samples, 8), row.expand(samples, 8)
    wanted = math.log(2 * samples - 1)
    assert NTXentLoss(temperature)(*views).item() == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_zero_rows(dtype: torch.dtype) -> None:
    """They count as if the unit vector were zero, and training goes on."""
    z1, z2 = make_views(6, 5, dtype)
    z1[2], z2[2], z2[4] = 0, 0, 0
    value, *gradients = value_and_gradients(NTXentLoss(0.2), z1, z2)
    exact = value_and_gradients(reference, z1.double(), z2.double(), 0.2)
    assert value.item() == pytest.approx(exact[0].item(), rel=1e-6)
    for got, wanted in zip(gradients, exact[1:], strict=True):
        assert got.isfinite().all()
        torch.testing.assert_close(got.double(), wanted, rtol=2e-2, atol=1e-5)


@pytest.mark.parametrize(("dtype", "unit"), [(torch.bfloat16, 2**-8), (torch.float16, 2**-11)])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype, unit: float) -> None:
    views = make_views(20, 30, dtype)
    value, *gradients = value_and_gradients(NTXentLoss(0.1), *views)
    exact = value_and_gradients(NTXentLoss(0.1), *(view.double() for view in views))
    assert value.dtype is torch.float32
    assert value.item() == pytest.approx(exact[0].item(), rel=1e-5)
    for got, wanted in zip(gradients, exact[1:], strict=True):
        assert got.dtype is dtype
        # One rounding of the result to 16 bits.
        bound = unit * wanted.abs() + 1e-5 * wanted.abs().max() + 2**-24
        assert bool(((got.double() - wanted).abs() <= bound).all())


def test_small_temperature_in_single_precision() -> None:
    """exp(1 / 0.01) does not fit float32; the loss does."""
    views = make_views(33, 16)
    value, *gradients = value_and_gradients(NTXentLoss(0.01), *views)
    exact = reference(*(view.double() for view in views), 0.01)
    assert value.item() == pytest.approx(exact.item(), rel=1e-4)
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("more", [1, 2])
def test_more_than_two_views(more: int) -> None:
    views = [*make_views(5, 4, torch.float64), *make_views(5, 4, torch.float64, seed=1)]
    views = views[: 2 + more]
    wanted = reference(views[0], views[1], 0.3, views[2:])
    torch.testing.assert_close(NTXentLoss(0.3)(*views), wanted, rtol=1e-12, atol=0)


def test_learned_temperature() -> None:
    views = make_views(7, 5, torch.float64)
    loss = NTXentLoss(nn.Parameter(torch.tensor(0.3, dtype=torch.float64)))
    assert [name for name, _ in loss.named_parameters()] == ["temperature"]
    loss(*views).backward()
    exact = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    reference(*views, exact).backward()
    torch.testing.assert_close(loss.temperature.grad, exact.grad, rtol=1e-11, atol=0)
    assert loss.state_dict().keys() == {"temperature"}


# --- the memory bank ---


def steps_with_bank(size: int, samples: int) -> Any:
    """lightly's and our loss side by side, each from the bank that lightly's holds."""
    mine = NTXentLoss(0.3, (size, 6))
    theirs = LightlyNTXentLoss(0.3, (size, 6))
    mine.memory_bank.features.copy_(theirs.memory_bank.bank)
    for step in range(5):
        z1, z2 = make_views(samples, 6, seed=step)
        yield value_and_gradients(mine, z1, z2), value_and_gradients(theirs, z1, z2)
        mine.memory_bank.flush()
        yield mine.memory_bank, theirs.memory_bank


@pytest.mark.parametrize("size", range(18))
def test_bank_equals_lightly(size: int) -> None:
    """The loss against a given bank; then the next one against lightly's bank again."""
    if size == 0:
        views = make_views(4, 6)
        mine = value_and_gradients(NTXentLoss(0.3, 0), *views)
        assert_same(mine, value_and_gradients(LightlyNTXentLoss(0.3, 0), *views), 1e-6)
        return
    for samples in (1, 3, 4):
        for index, (mine, theirs) in enumerate(steps_with_bank(size, samples)):
            if index % 2 == 0:
                assert_same(mine, theirs, 2e-6)
            else:
                mine.features.copy_(theirs.bank)  # lightly drops what passes the bank's end


def test_whole_history_equals_lightly_where_batches_fit() -> None:
    for index, (mine, theirs) in enumerate(steps_with_bank(12, 4)):
        if index % 2 == 0:
            assert_same(mine, theirs, 2e-6)
        else:
            torch.testing.assert_close(mine.features, theirs.bank, rtol=0, atol=1e-7)
            assert int(mine.position) == int(theirs.bank_ptr)


def test_bank_changes_only_while_training() -> None:
    z1, z2 = make_views(4, 6)
    loss = NTXentLoss(0.3, (9, 6))
    before = loss.memory_bank.features.clone()
    loss(z1, z2)
    loss.memory_bank.flush()
    assert torch.equal(loss.memory_bank.features, before)
    loss(z1.requires_grad_(), z2)
    loss.memory_bank.flush()
    assert torch.equal(loss.memory_bank.filled(), torch.nn.functional.normalize(z2, dim=1))


def test_bank_whose_width_comes_with_the_first_batch() -> None:
    views = make_views(4, 6)
    late, early = NTXentLoss(0.3, 9), NTXentLoss(0.3, (9, 6))
    for _ in range(3):
        mine, wanted = (value_and_gradients(loss, *views) for loss in (late, early))
        assert all(torch.equal(a, b) for a, b in zip(mine, wanted, strict=True))
    restored = NTXentLoss(0.3, 9)
    restored.load_state_dict(late.state_dict())
    assert torch.equal(restored.memory_bank.features, early.memory_bank.features)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_bank_and_views_of_other_dtypes(dtype: torch.dtype) -> None:
    z1, z2 = make_views(4, 6, dtype)
    loss = NTXentLoss(0.3, (9, 6))
    value, g1, _ = value_and_gradients(lambda a, b: loss(a, b) + b.sum() * 0, z1, z2)
    assert value.dtype is torch.promote_types(dtype, torch.float32)
    assert g1.dtype is dtype
    plain = NTXentLoss(0.3, (9, 6))(z1.float(), z2.float())
    assert value.item() == pytest.approx(plain.item(), rel=1e-5)


def test_state_dict_round_trip_with_bank() -> None:
    loss = NTXentLoss(0.3, (9, 6))
    value_and_gradients(loss, *make_views(4, 6))
    other = NTXentLoss(0.3, (9, 6))
    other.load_state_dict(loss.state_dict())
    views = make_views(4, 6, seed=3)
    for _ in range(3):
        mine, wanted = (value_and_gradients(each, *views) for each in (other, loss))
        assert all(torch.equal(a, b) for a, b in zip(mine, wanted, strict=True))


# --- the module ---


def test_module_is_the_function() -> None:
    views = make_views(20, 15)
    assert torch.equal(NTXentLoss(0.1)(*views), ntxent_loss(*views, 0.1))
    assert repr(NTXentLoss()) == (
        "NTXentLoss(temperature=0.5, memory_bank_size=0, gather_distributed=False)"
    )
    assert not NTXentLoss().state_dict()


@pytest.mark.parametrize("temperature", [0.0, 1e-9, -1e-9, math.nan])
def test_no_temperature(temperature: float) -> None:
    with pytest.raises(ValueError, match="NTXentLoss: temperature must be at least 1e-08 in abs"):
        NTXentLoss(temperature)
    with pytest.raises(ValueError, match="NTXentLoss: temperature must be at least 1e-08 in abs"):
        NTXentLoss(torch.tensor(temperature))


@pytest.mark.parametrize("size", [-1, (-1, 4), (4, 0), (4, -2), (2, 3, 4), ()])
def test_impossible_bank(size: Any) -> None:
    with pytest.raises(ValueError, match="NTXentLoss: memory_bank_size must be 0, K or"):
        NTXentLoss(0.5, size)


def test_a_bank_takes_two_views() -> None:
    z1, z2 = make_views(4, 6)
    with pytest.raises(ValueError, match="NTXentLoss: with a memory bank forward takes two vie"):
        NTXentLoss(0.5, (4, 6))(z1, z2, z2)
