"""Bad input to the similarity engine's losses: every message, and what must not crash."""

from typing import Any

import pytest
import torch
from torch import Tensor

from ipse.functional import (
    clip_loss,
    dcl_loss,
    dclw_loss,
    info_nce_loss,
    ntxent_loss,
    siglip_loss,
    similarity_logsumexp,
)
from tests.similarity_cases import OPERATORS, SUMS, Case

GOOD = torch.ones(4, 3)


def function_name(case: Case) -> str:
    return case.name if case is SUMS else f"{case.name}_loss"


BAD_PAIRS = [
    (GOOD[0], GOOD[0], ValueError, r"{0} must be \(N, D\), got shape \(3,\)"),
    (GOOD, GOOD[None], ValueError, r".* must .*, got .*\(1, 4, 3\)"),
    (GOOD[:, :0], GOOD[:, :0], ValueError, "{0} must have at least one row and one feature, got "),
    (GOOD[:0], GOOD[:0], ValueError, "{0} must have at least one row and one feature, got shape "),
    (GOOD, GOOD[:, :2], ValueError, r".* must .*, got \(4, 3\) and \(4, 2\)"),
    (GOOD, GOOD.double(), TypeError, "{0} and {1} must have the same dtype, got torch.float32 and"),
    (GOOD.int(), GOOD.int(), TypeError, "{0} must be float32, float64, bfloat16 or float16, got t"),
    (GOOD, GOOD.cfloat(), TypeError, "{1} must be float32, float64, bfloat16 or float16, got tor"),
    (GOOD, GOOD.to("meta"), ValueError, "{0} and {1} must be on the same device, got cpu and meta"),
    (GOOD.to_sparse(), GOOD.to_sparse(), TypeError, "{0} must be a dense tensor, got torch.sparse"),
]


@pytest.mark.parametrize("case", OPERATORS, ids=lambda case: case.name)
@pytest.mark.parametrize(("x", "y", "error", "message"), BAD_PAIRS)
def test_message(case: Case, x: Tensor, y: Tensor, error: type[Exception], message: str) -> None:
    wanted = f"^{function_name(case)}: {message.format(*case.arguments)}"
    with pytest.raises(error, match=wanted):
        case(x, y)


@pytest.mark.parametrize(
    "case", [c for c in OPERATORS if c is not SUMS], ids=lambda case: case.name
)
def test_different_numbers_of_rows(case: Case) -> None:
    message = r"_loss: .* must have the same shape, got \(4, 3\) and \(3, 3\)"
    with pytest.raises(ValueError, match=message):
        case(GOOD, GOOD[:3])


TEMPERATURE_LOSSES = [ntxent_loss, dcl_loss, dclw_loss, info_nce_loss, similarity_logsumexp]


@pytest.mark.parametrize("function", TEMPERATURE_LOSSES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("temperature", [0.0, 1e-9, -1e-9, float("nan")])
def test_no_temperature(function: Any, temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature must be at least 1e-8 in size, got"):
        function(GOOD, GOOD, temperature=temperature)


@pytest.mark.parametrize("function", TEMPERATURE_LOSSES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("shape", [(3,), (4, 1), (5,), (2, 2)], ids=str)
def test_temperature_of_the_wrong_shape(function: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="temperature must be a number, one value or one for each"):
        function(GOOD, GOOD, temperature=torch.ones(shape))


def test_scale_and_bias_of_the_wrong_shape() -> None:
    with pytest.raises(ValueError, match="clip_loss: logit_scale must be one value, got 4"):
        clip_loss(GOOD, GOOD, torch.ones(4))
    with pytest.raises(ValueError, match="siglip_loss: logit_scale must be one value, got 4"):
        siglip_loss(GOOD, GOOD, torch.ones(4), 0.0)
    with pytest.raises(ValueError, match="siglip_loss: logit_bias must be one value, got 2"):
        siglip_loss(GOOD, GOOD, 1.0, torch.ones(2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: ntxent_loss(GOOD, GOOD, extra_views=[GOOD[:2]]),
            r"ntxent_loss: all views must have the same shape, got \(4, 3\) and \(2, 3\)",
        ),
        (
            lambda: dcl_loss(GOOD, GOOD, positive_weights=torch.ones(3)),
            r"dcl_loss: positive_weights must have shape \(4,\), got \(3,\)",
        ),
        (
            lambda: info_nce_loss(GOOD, GOOD, torch.ones(3, 2, 3)),
            r"info_nce_loss: negatives must be \(K, D\) or \(N, K, D\) .* got \(3, 2, 3\)",
        ),
        (
            lambda: info_nce_loss(GOOD, GOOD, torch.ones(3)),
            r"info_nce_loss: negatives must be \(K, D\) or \(N, K, D\) .* got \(3,\)",
        ),
        (
            lambda: similarity_logsumexp(GOOD, exclude="none"),
            "similarity_logsumexp: rows against themselves need exclude='self' or 'sample'",
        ),
        (
            lambda: similarity_logsumexp(GOOD, GOOD, exclude="others"),
            "similarity_logsumexp: exclude must be one of none, self, sample, got 'others'",
        ),
        (
            lambda: similarity_logsumexp(GOOD, GOOD, exclude="sample"),
            "similarity_logsumexp: samples must be at least 1 with exclude='sample'",
        ),
        (
            lambda: similarity_logsumexp(GOOD, GOOD, samples=-1),
            "similarity_logsumexp: samples must be at least 1 .* and never negative, got -1",
        ),
    ],
)
def test_other_messages(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        call()
