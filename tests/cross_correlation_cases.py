"""The two losses of the cross-correlation engine as test cases, and how to measure them.

Every comparison is made in float64 against ``tests/reference``. Errors are relative to
the size of the terms that are added up, because that is what rounding is relative to:
where the terms cancel (Barlow Twins at N = 2, where standardised columns are +-1 and no
longer depend on the input; the diagonal that the samples side subtracts again) the
result may be much smaller than they are.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from ipse import functional
from ipse.ops import formulas
from tests.reference import cross_correlation as reference

SIDES = ("samples", "features")
WIDE = (torch.float32, torch.float64)
HALF = (torch.bfloat16, torch.float16)
COMPUTE = {torch.float64: torch.float64} | dict.fromkeys(
    (torch.float32, torch.bfloat16, torch.float16), torch.float32
)

# Relative to the size of the terms. float32 sums are pairwise-like (blocks of 64 to 256),
# so a few dozen roundings of 6e-8 remain; float64 has the same number of 1.1e-16.
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


@dataclass(frozen=True)
class Sizes:
    """Upper bounds of what a float computation adds up: for the value, for a gradient entry."""

    value: float
    gradient: float


@dataclass(frozen=True)
class Loss:
    """One loss under its different names."""

    name: str
    function: Callable[..., Tensor]
    reference: Callable[..., Tensor]
    formula: Callable[..., Tensor]
    sizes: Callable[..., Sizes]
    # In the order of the operator's schema, with the defaults of the public function.
    parameters: dict[str, float] = field(hash=False)

    @property
    def op(self) -> Any:
        return getattr(torch.ops.ipse, self.name).default

    @property
    def backward_op(self) -> Any:
        return getattr(torch.ops.ipse, f"{self.name}_backward").default

    @property
    def values(self) -> tuple[float, ...]:
        return tuple(self.parameters.values())


def barlow_twins_sizes(
    z1: Tensor, z2: Tensor, lambda_param: float = 5e-3, eps: float = 1e-5
) -> Sizes:
    samples = z1.shape[0]
    x1, x2 = reference.standardise(z1, eps), reference.standardise(z2, eps)
    correlation = x1.T @ x2 / samples
    diagonal = correlation.diagonal()
    value = (diagonal.square() + 1).sum() + abs(lambda_param) * correlation.square().sum()
    gradient = 0.0
    for z, other, c in ((z1, x2, correlation.T), (z2, x1, correlation)):
        direct = 2 * (diagonal.abs() + 1) * other.abs()
        redundancy = 2 * abs(lambda_param) * other.abs() @ c.abs()
        scale = (z.var(0, unbiased=False) + eps).rsqrt()
        gradient = max(gradient, ((direct + redundancy) * scale / samples).max().item())
    return Sizes(value.item(), gradient)


def vicreg_sizes(
    z1: Tensor,
    z2: Tensor,
    lambda_param: float = 25.0,
    mu_param: float = 25.0,
    nu_param: float = 1.0,
    eps: float = 1e-4,
) -> Sizes:
    samples, features = z1.shape
    centred = [z - z.mean(0) for z in (z1, z2)]
    apart = (z1.mean(0) - z2.mean(0)).abs()
    apart_squared = centred[0].square() + centred[1].square() + apart.square()
    value = abs(lambda_param) * apart_squared.mean()
    pull = 2 * abs(lambda_param) * (centred[0].abs() + centred[1].abs() + apart)
    gradient = 0.0
    for x in centred:
        cov = x.T @ x / (samples - 1)
        deviation = (cov.diagonal() + eps).sqrt()
        value = value + abs(mu_param) / 2 * (1 + deviation).mean()
        value = value + abs(nu_param) / features * cov.square().sum()
        terms = pull / (samples * features)
        terms = terms + abs(mu_param) * x.abs() / (2 * features * (samples - 1) * deviation)
        terms = terms + 4 * abs(nu_param) * x.abs() @ cov.abs() / (features * (samples - 1))
        gradient = max(gradient, terms.max().item())
    return Sizes(value.item(), gradient)


BARLOW_TWINS = Loss(
    "barlow_twins",
    functional.barlow_twins_loss,
    reference.barlow_twins,
    formulas.barlow_twins,
    barlow_twins_sizes,
    {"lambda_param": 5e-3, "eps": 1e-5},
)
VICREG = Loss(
    "vicreg",
    functional.vicreg_loss,
    reference.vicreg,
    formulas.vicreg,
    vicreg_sizes,
    {"lambda_param": 25.0, "mu_param": 25.0, "nu_param": 1.0, "eps": 1e-4},
)

both_losses = pytest.mark.parametrize("loss", [BARLOW_TWINS, VICREG], ids=lambda loss: loss.name)
both_sides = pytest.mark.parametrize("side", SIDES)
wide_dtypes = pytest.mark.parametrize("dtype", WIDE, ids=str)


def make_views(
    samples: int,
    features: int,
    dtype: torch.dtype = torch.float32,
    *,
    seed: int = 0,
    scale: float = 1.0,
    offset: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Two correlated views of one batch: ``scale * (noise + offset)``."""
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(samples, features, generator=generator, dtype=torch.float64)
    noise = torch.randn(2, samples, features, generator=generator, dtype=torch.float64)
    views = [scale * (0.8 * common + 0.6 * n + offset) for n in noise]
    return views[0].to(dtype), views[1].to(dtype)


def value_and_gradients(
    function: Callable[..., Tensor], z1: Tensor, z2: Tensor, *arguments: Any, **keywords: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss and its gradients with respect to both views, strides of the views kept."""
    leaves = [z.detach().requires_grad_() for z in (z1, z2)]
    value = function(*leaves, *arguments, **keywords)
    return value.detach(), *torch.autograd.grad(value, leaves)


def oracle(
    loss: Loss, z1: Tensor, z2: Tensor, **parameters: float
) -> tuple[Tensor, Tensor, Tensor, Sizes]:
    """Value, gradients and sizes in float64 of exactly the numbers in z1 and z2.

    Neither loss changes when both views move together, and numbers near each other are
    subtracted exactly: without this step a large common offset would cost the oracle digits.
    """
    shift = z1.detach()[0].double()
    z1, z2 = z1.detach().double() - shift, z2.detach().double() - shift
    exact = value_and_gradients(loss.reference, z1, z2, **parameters)
    return *exact, loss.sizes(z1, z2, **parameters)


def assert_near(got: Tensor, wanted: Tensor, size: float, tolerance: float, what: str = "") -> None:
    """|got - wanted| <= tolerance * size in every entry."""
    error = (got.double() - wanted.double()).abs().max().item()
    assert error <= tolerance * size, f"{what} error {error:.3g} of {size:.3g}"


def assert_matches_oracle(
    loss: Loss, z1: Tensor, z2: Tensor, side: str, **parameters: float
) -> None:
    """Value and both gradients of a float32 or float64 loss agree with the reference."""
    tolerance = TOLERANCE[z1.dtype]
    wanted = oracle(loss, z1, z2, **parameters)
    # Below its smallest normal number a format has no relative precision left.
    floor = torch.finfo(z1.dtype).tiny / tolerance
    value_size, gradient_size = (max(s, floor) for s in (wanted[3].value, wanted[3].gradient))
    got = value_and_gradients(loss.function, z1, z2, side=side, **parameters)
    assert got[0].dtype == z1.dtype
    assert_near(got[0], wanted[0], value_size, tolerance, "value")
    for which in (1, 2):
        assert got[which].dtype == z1.dtype
        assert_near(got[which], wanted[which], gradient_size, tolerance, f"gradient {which}")
