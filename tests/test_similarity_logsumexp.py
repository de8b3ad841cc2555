"""The sums every contrastive loss is made of: exclusions, temperatures, the detached mean."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ipse.functional import similarity_logsumexp
from tests.cross_correlation_cases import make_views
from tests.reference.similarity import similarity_logsumexp as reference

AGAINST = st.sampled_from(["themselves", "others"])


@given(
    against=AGAINST,
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    features=st.integers(1, 60),
    samples=st.integers(1, 45),
    exclude=st.sampled_from(["none", "self", "sample"]),
    normalize=st.booleans(),
    per_row=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_equals_the_reference(
    against: str,
    rows: int,
    columns: int,
    features: int,
    samples: int,
    exclude: str,
    normalize: bool,
    per_row: bool,
    dtype: torch.dtype,
) -> None:
    if against == "themselves" and exclude == "none":
        exclude = "self"
    if against == "others" and exclude == "self":
        exclude = "none"
    x = make_views(rows, features, torch.float64)[0].to(dtype)
    y = make_views(columns, features, torch.float64, seed=1)[0].to(dtype)
    temperature: Any = torch.linspace(0.3, 2, rows, dtype=dtype) if per_row else 0.5
    keywords = {"normalize": normalize, "exclude": exclude, "samples": samples}
    columns_of = (None,) if against == "themselves" else (y,)
    got = similarity_logsumexp(x, *columns_of, temperature, **keywords)
    exact_columns = [None if c is None else c.double() for c in columns_of]
    exact_temperature = temperature.double() if per_row else temperature
    wanted = reference(x.double(), *exact_columns, exact_temperature, **keywords)
    size = 1.0 if normalize else 4.0 * features + 20
    unit = {torch.float32: 1e-6, torch.float64: 1e-14}[dtype]
    for name, mine, exact in zip(got._fields, got, wanted, strict=True):
        assert mine.dtype == dtype
        assert torch.equal(mine == -torch.inf, exact == -torch.inf), name
        finite = exact.isfinite()
        many = columns if name == "positives" else 1
        error = (mine.double() - exact)[finite].abs().max() if finite.any() else 0.0
        assert error <= 20 * unit * size * (4 + many), name


def test_rows_that_see_nothing() -> None:
    """One sample, excluded: minus infinity, mean zero, and gradients of zero."""
    x = make_views(3, 4, torch.float64)[0].requires_grad_()
    sums = similarity_logsumexp(x, exclude="sample", samples=1)
    assert (sums.logsumexp == -torch.inf).all()
    assert (sums.mean == 0).all()
    (gradient,) = torch.autograd.grad(sums.logsumexp, x, torch.ones(3).double(), retain_graph=True)
    assert (gradient == 0).all()
    assert sums.positives.requires_grad


def test_no_gradient_flows_from_the_mean() -> None:
    x = make_views(3, 4, torch.float64)[0].requires_grad_()
    assert not similarity_logsumexp(x).mean.requires_grad


def test_the_mean_is_the_derivative_by_the_inverse_temperature() -> None:
    x = make_views(6, 4, torch.float64)[0]
    scale = torch.full((6,), 2.0, dtype=torch.float64, requires_grad=True)
    sums = similarity_logsumexp(x, temperature=1 / scale)
    (gradient,) = torch.autograd.grad(sums.logsumexp.sum(), scale)
    torch.testing.assert_close(gradient, sums.mean, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("exclude", ["none", "self", "sample"])
@pytest.mark.parametrize("normalize", [True, False])
def test_gradgradcheck(exclude: str, normalize: bool) -> None:
    x = make_views(4, 3, torch.float64)[0].requires_grad_()
    y = make_views(5, 3, torch.float64, seed=1)[0].requires_grad_()
    temperature = torch.linspace(0.5, 1, 4, dtype=torch.float64, requires_grad=True)
    columns = () if exclude == "self" else (y,)

    def function(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x, *y, t = inputs
        sums = similarity_logsumexp(
            x, y[0] if y else None, t, normalize=normalize, exclude=exclude, samples=2
        )
        return sums.logsumexp, sums.positives

    leaves = (x, *columns, temperature)
    assert torch.autograd.gradcheck(function, leaves)
    assert torch.autograd.gradgradcheck(function, leaves)


@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 300),
    features=st.integers(1, 60),
    temperature=st.sampled_from([0.003, 0.02, 0.1, 1.0, -0.5, "rows"]),
    normalize=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_constant_columns_give_the_same_gradients(
    rows: int,
    columns: int,
    features: int,
    temperature: float | str,
    normalize: bool,
    dtype: torch.dtype,
) -> None:
    """They take another way: the gradient by the rows is made on the way forward."""
    x = make_views(rows, features, torch.float64)[0].to(dtype)
    y = make_views(columns, features, torch.float64, seed=1)[0].to(dtype)
    if not normalize:
        x, y = x / features**0.5, y / features**0.5
    given = torch.linspace(0.01, 2, rows) if temperature == "rows" else torch.tensor(temperature)
    weights = torch.linspace(0.5, 2, rows, dtype=dtype)
    found = []
    for learned in (False, True):
        leaf = x.clone().requires_grad_()
        divisor = given.to(dtype).requires_grad_()
        sums = similarity_logsumexp(
            leaf, y.clone().requires_grad_(learned), divisor, normalize=normalize
        )
        value = (weights * sums.logsumexp).sum()
        found.append((value.detach(), *torch.autograd.grad(value, (leaf, divisor))))
    tolerance = {torch.float32: 3e-4, torch.float64: 1e-11}[dtype]
    for constant, wanted in zip(*found, strict=True):
        size = wanted.abs().max().clamp_min(1)
        torch.testing.assert_close(constant / size, wanted / size, rtol=0, atol=tolerance)


def test_a_zero_row_among_constant_columns_has_no_gradient() -> None:
    x = torch.zeros(2, 3, dtype=torch.float64)
    x[1, 0] = 1.0
    x.requires_grad_()
    sums = similarity_logsumexp(x, make_views(5, 3, torch.float64)[0], 0.1)
    (gradient,) = torch.autograd.grad(sums.logsumexp.sum(), x)
    assert (gradient[0] == 0).all()
    assert (gradient[1] != 0).any()


def test_gradgradcheck_with_constant_columns() -> None:
    x = make_views(4, 3, torch.float64)[0].requires_grad_()
    y = make_views(5, 3, torch.float64, seed=1)[0]
    temperature = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)

    def function(x: torch.Tensor, temperature: torch.Tensor) -> torch.Tensor:
        return similarity_logsumexp(x, y, temperature).logsumexp

    assert torch.autograd.gradcheck(function, (x, temperature))
    assert torch.autograd.gradgradcheck(function, (x, temperature))


def test_constant_columns_take_no_positives() -> None:
    x = torch.ones(2, 3)
    for columns, samples in ((None, 0), (x, 2)):
        with pytest.raises(ValueError, match="keep_expected needs y and samples=0"):
            torch.ops.ipse.similarity_logsumexp(x, columns, None, 1.0, True, "self", samples, True)


def test_default_exclusion() -> None:
    x, y = make_views(5, 4)
    alone, wanted = similarity_logsumexp(x), similarity_logsumexp(x, exclude="self")
    assert torch.equal(alone.logsumexp, wanted.logsumexp)
    beside, wanted = similarity_logsumexp(x, y), similarity_logsumexp(x, y, exclude="none")
    assert torch.equal(beside.logsumexp, wanted.logsumexp)
    assert (alone.positives == 0).all()


def test_pieces_of_the_columns_merge() -> None:
    """What gathering over ranks rests on."""
    x = make_views(6, 4, torch.float64)[0]
    y = make_views(9, 4, torch.float64, seed=1)[0]
    parts = [similarity_logsumexp(x, part, 0.3).logsumexp for part in (y[:2], y[2:])]
    whole = similarity_logsumexp(x, y, 0.3).logsumexp
    torch.testing.assert_close(torch.logaddexp(*parts), whole, rtol=1e-13, atol=0)
