"""The operators of the similarity engine as test cases, and how to measure them.

Every comparison is made in float64 against ``tests/reference``. A logit has the relative
error of its dot product, so an absolute one that grows with its size; a softmax weight turns
that into a relative error of the gradient. Bounds are written in those terms.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from ipse import functional
from tests.cross_correlation_cases import make_views
from tests.reference import similarity as reference

WIDE = (torch.float32, torch.float64)
# A few dozen roundings of 6e-8 and of 1.1e-16: blocked dot products, exp, and sums.
TOLERANCE = {torch.float32: 3e-6, torch.float64: 1e-13}


@dataclass(frozen=True)
class Case:
    """One operator under its different names.

    Attributes:
        name: of the operator, ``torch.ops.ipse.<name>``.
        function: the public function of two (N, D) inputs.
        reference: its definition.
        normalized: the inputs are divided by their length inside.
        least: fewest samples for which the loss is finite.
        scale: what multiplies the similarities, given the keywords.
        arguments: names of the two inputs in error messages.
        keywords: what a call without a wish of its own uses.
        op_arguments: what follows the two inputs in the operator's schema.
    """

    name: str
    function: Callable[..., Tensor]
    reference: Callable[..., Tensor]
    normalized: bool
    scale: Callable[[dict[str, Any]], float]
    arguments: tuple[str, str]
    op_arguments: Callable[[int, Tensor], tuple[Any, ...]] = field(hash=False)
    keywords: dict[str, Any] = field(hash=False, default_factory=dict)
    least: int = 1

    @property
    def op(self) -> Any:
        return getattr(torch.ops.ipse, self.name).default

    def __call__(self, *inputs: Tensor, **keywords: Any) -> Tensor:
        return self.function(*inputs, **(self.keywords | keywords))

    def exact(self, *inputs: Tensor, **keywords: Any) -> Tensor:
        return self.reference(*inputs, **(self.keywords | keywords))


def _by_temperature(keywords: dict[str, Any]) -> float:
    return 1 / float(keywords["temperature"])


def _by_scale(keywords: dict[str, Any]) -> float:
    return float(keywords["logit_scale"])


def _weighted_sums(which: Callable[..., Any]) -> Callable[..., Tensor]:
    """A scalar of similarity_logsumexp: all rows and both results, differently weighted."""

    def scalar(x: Tensor, y: Tensor, temperature: Any, **keywords: Any) -> Tensor:
        samples = x.shape[0]
        lse, positives, _ = which(x, y, temperature, samples=samples, **keywords)
        weights = (0.5 + torch.arange(samples, dtype=lse.dtype, device=lse.device)) / samples**2
        return (weights * lse).sum() - 0.3 * (weights * positives).sum()

    return scalar


def _supcon(which: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def of_views(x: Tensor, y: Tensor, **keywords: Any) -> Tensor:
        labels = torch.arange(x.shape[0], device=x.device) % max(1, x.shape[0] // 2)
        return which(torch.stack([x, y], 1), labels, **keywords)

    return of_views


def _softmax_arguments(samples: int, _: Tensor) -> tuple[Any, ...]:
    return (None, 3.0, samples, True)


NTXENT = Case(
    "ntxent",
    functional.ntxent_loss,
    reference.ntxent,
    True,
    _by_temperature,
    ("z1", "z2"),
    _softmax_arguments,
    {"temperature": 0.3},
)
DCL = Case(
    "dcl",
    functional.dcl_loss,
    reference.dcl,
    True,
    _by_temperature,
    ("z1", "z2"),
    _softmax_arguments,
    {"temperature": 0.3},
    least=2,
)
INFO_NCE = Case(
    "info_nce",
    functional.info_nce_loss,
    reference.info_nce,
    True,
    _by_temperature,
    ("query", "key"),
    _softmax_arguments,
    {"temperature": 0.3},
)
CLIP = Case(
    "clip",
    functional.clip_loss,
    reference.clip,
    False,
    _by_scale,
    ("image", "text"),
    _softmax_arguments,
    {"logit_scale": 1.5},
)
SIGLIP = Case(
    "siglip",
    functional.siglip_loss,
    reference.siglip,
    False,
    _by_scale,
    ("image", "text"),
    lambda _, like: (like.new_tensor(1.5), like.new_tensor(-0.5), True),
    {"logit_scale": 1.5, "logit_bias": -0.5},
)
SUMS = Case(
    "similarity_logsumexp",
    _weighted_sums(functional.similarity_logsumexp),
    _weighted_sums(reference.similarity_logsumexp),
    True,
    _by_temperature,
    ("x", "y"),
    lambda samples, _: (None, 3.0, True, "none", samples, False),
    {"temperature": 0.3, "exclude": "none"},
)
OPERATORS = (NTXENT, DCL, INFO_NCE, CLIP, SIGLIP, SUMS)
# Built from the last operator: no operator of its own.
SUPCON = Case(
    "supcon",
    _supcon(functional.supcon_loss),
    _supcon(reference.supcon),
    False,
    _by_temperature,
    ("features", "features"),
    _softmax_arguments,
    {"temperature": 0.7, "base_temperature": 0.7},
    least=2,
)
CASES = (*OPERATORS, SUPCON)

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
each_operator = pytest.mark.parametrize("case", OPERATORS, ids=lambda case: case.name)
wide_dtypes = pytest.mark.parametrize("dtype", WIDE, ids=str)


def inputs_for(
    case: Case, samples: int, features: int, dtype: torch.dtype = torch.float32, **keywords: Any
) -> tuple[Tensor, Tensor]:
    """Two correlated views; about unit length where the function expects unit vectors."""
    x, y = make_views(samples, features, torch.float64, **keywords)
    if not case.normalized:
        x, y = x / features**0.5, y / features**0.5
    return x.to(dtype), y.to(dtype)


def value_and_gradients(
    function: Callable[..., Tensor], inputs: tuple[Tensor, ...], **keywords: Any
) -> tuple[Tensor, list[Tensor]]:
    """The value, and its gradients by the inputs and by every keyword that is a tensor."""
    leaves = [x.detach().requires_grad_() for x in inputs]
    learned = {
        name: value.detach().requires_grad_()
        for name, value in keywords.items()
        if isinstance(value, Tensor) and value.is_floating_point()
    }
    value = function(*leaves, **(keywords | learned))
    return value.detach(), list(torch.autograd.grad(value, [*leaves, *learned.values()]))


@dataclass(frozen=True)
class Sizes:
    """What rounding is relative to; see the bounds of ``assert_matches_reference``."""

    logit: float  # the largest logit
    similarity: float
    scale: float
    lengths: list[Tensor]  # (N, 1) for each input: what a unit step of a row amounts to

    @classmethod
    def of(cls, case: Case, inputs: tuple[Tensor, ...], keywords: dict[str, Any]) -> "Sizes":
        lengths = [x.double().norm(dim=1, keepdim=True) for x in inputs]
        similarity = 1.0
        if not case.normalized:
            longest = max(float(length.max()) for length in lengths)
            similarity, lengths = longest**2, [torch.ones_like(length) for length in lengths]
        scale = abs(case.scale(case.keywords | keywords))
        return cls(scale * similarity, similarity, scale, lengths)


def assert_near(got: Tensor, wanted: Tensor, bound: Tensor | float, what: str) -> None:
    error = (got.double() - wanted.double()).abs()
    worst = (error / bound).nan_to_num(0.0).max().item()
    assert worst <= 1, f"{what}: {worst:.3g} times the bound, error {error.max().item():.3g}"


def assert_matches_reference(case: Case, inputs: tuple[Tensor, ...], **keywords: Any) -> None:
    """Value and all gradients agree with the float64 reference of the same numbers."""
    dtype = inputs[0].dtype
    unit = TOLERANCE[dtype]
    exact_keywords = {
        name: value.double() if isinstance(value, Tensor) and value.is_floating_point() else value
        for name, value in keywords.items()
    }
    wide = tuple(x.double() for x in inputs)
    value, gradients = value_and_gradients(case.exact, wide, **exact_keywords)
    got, found = value_and_gradients(case, inputs, **keywords)
    assert got.dtype == torch.promote_types(dtype, torch.float32)
    sizes = Sizes.of(case, inputs, keywords)
    samples = inputs[0].shape[0]
    # SigLIP adds up the terms of all pairs and divides by the images only.
    terms = samples if case.name == "siglip" else 1
    assert_near(got, value, unit * terms * (1 + sizes.logit + value.abs().item()), "value")

    amplified = unit * (1 + sizes.logit)
    steps = [
        (gradient * length).abs().max()
        for gradient, length in zip(gradients, sizes.lengths, strict=False)
    ]
    pull = sizes.scale * sizes.similarity**0.5 * terms / samples
    for which, length in enumerate(sizes.lengths):
        assert found[which].dtype == dtype
        zero = length == 0
        assert (found[which].masked_select(zero) == 0).all(), "the gradient by a zero row is zero"
        bound = amplified * (max(steps) + 4 * pull) / torch.where(zero, 1.0, length)
        assert_near(found[which], gradients[which], bound, f"gradient {which}")
    for mine, exact in zip(found[len(inputs) :], gradients[len(inputs) :], strict=True):
        by_scale = 4 * terms * max(sizes.similarity, 1.0)
        if case.scale is _by_temperature:
            by_scale *= sizes.scale**2
        assert_near(mine, exact, amplified * (by_scale + exact.abs().max()), "learned")
