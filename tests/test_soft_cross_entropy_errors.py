"""Bad input to the soft cross-entropy: every message, and what must not crash."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from ipse import _core
from ipse.functional import soft_cross_entropy

GOOD = torch.zeros(4, 3)
PREFIX = "soft_cross_entropy: "


@pytest.mark.parametrize(
    ("student", "target", "keywords", "error", "message"),
    [
        (
            GOOD[0],
            GOOD,
            {},
            ValueError,
            r"students\[0\] must be \(N, K\), got shape \(3,\)",
        ),
        (
            GOOD,
            [GOOD, GOOD[None]],
            {},
            ValueError,
            r"targets\[1\] must be \(N, K\), got shape \(1, 4, 3\)",
        ),
        (
            GOOD[:, :0],
            GOOD[:, :0],
            {},
            ValueError,
            r"students\[0\] must have at least 1 prototype, got 0",
        ),
        (
            GOOD,
            GOOD[:3],
            {},
            ValueError,
            r"all views must have the same shape, got \(4, 3\) and targets\[0\] \(3, 3\)",
        ),
        (
            [GOOD, GOOD[:, :2]],
            GOOD,
            {},
            ValueError,
            r"all views must have the same shape, got \(4, 3\) and students\[1\] \(4, 2\)",
        ),
        (
            GOOD.int(),
            GOOD,
            {},
            TypeError,
            r"students\[0\] must be float32, float64, bfloat16 or float16, got torch.int32",
        ),
        (
            GOOD,
            GOOD.cfloat(),
            {},
            TypeError,
            r"targets\[0\] must be float32, float64, bfloat16 or float16, got torch.complex64",
        ),
        (
            GOOD,
            GOOD.to_sparse(),
            {},
            TypeError,
            r"targets\[0\] must be a dense tensor, got torch.sparse_coo",
        ),
        (
            GOOD,
            GOOD.to("meta"),
            {},
            ValueError,
            r"all views must be on the same device, got cpu and targets\[0\] meta",
        ),
        ([], GOOD, {}, ValueError, "students must hold at least 1 view, got 0"),
        (GOOD, [], {}, ValueError, "targets must hold at least 1 view, got 0"),
        (GOOD[:0], GOOD[:0], {}, ValueError, "the batch must have at least 1 sample, got 0"),
        (
            GOOD,
            GOOD,
            {"student_temperature": 0.0},
            ValueError,
            "student_temperature must be positive and finite, got 0.0",
        ),
        (
            GOOD,
            GOOD,
            {"student_temperature": math.nan},
            ValueError,
            "student_temperature must be positive and finite, got nan",
        ),
        (
            GOOD,
            GOOD,
            {"teacher_temperature": -1.0},
            ValueError,
            "teacher_temperature must be positive and finite, got -1.0",
        ),
        (
            GOOD,
            GOOD,
            {"center": torch.zeros(3)},
            ValueError,
            "center needs a teacher_temperature: targets are probabilities",
        ),
        (
            GOOD,
            GOOD,
            {"center": torch.zeros(4), "teacher_temperature": 1.0},
            ValueError,
            r"center must be \(1, 3\), got shape \(1, 4\)",
        ),
        (
            GOOD,
            GOOD,
            {"center": torch.zeros(3, dtype=torch.int32), "teacher_temperature": 1.0},
            TypeError,
            "center must be float32, float64, bfloat16 or float16, got torch.int32",
        ),
        (
            GOOD,
            [GOOD, GOOD],
            {"pair_weights": [[1.0], [1.0]]},
            ValueError,
            r"pair_weights must have 1 rows of 2 weights, got rows of \[1, 1\]",
        ),
        (
            GOOD,
            GOOD,
            {"reduction": "sum"},
            ValueError,
            "reduction must be 'mean' or 'none', got 'sum'",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_message(
    student: Any, target: Any, keywords: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{PREFIX}{message}$"):
        soft_cross_entropy(student, target, **keywords)


def test_the_operator_counts_its_weights() -> None:
    message = f"^{PREFIX}pair_weights must have one weight for each of 1 x 1 pairs, got 2$"
    with pytest.raises(ValueError, match=message):
        torch.ops.ipse.soft_cross_entropy([GOOD], [GOOD], None, [1.0, 1.0], 1.0, None)


def test_no_sample_without_reduction() -> None:
    assert soft_cross_entropy(GOOD[:0], GOOD[:0], reduction="none").shape == (0,)


# The core: called with anything, it must answer with an exception

VIEW = np.zeros((4, 3), np.float32)
FORWARD: dict[str, Any] = {
    "students": [VIEW],
    "targets": [VIEW],
    "center": None,
    "pair_weights": [1.0],
    "student_temperature": 1.0,
    "teacher_temperature": 1.0,
    "losses": np.empty((1, 4), np.float32),
}
BACKWARD: dict[str, Any] = {key: value for key, value in FORWARD.items() if key != "losses"} | {
    "grad_losses": np.empty((1, 4), np.float32),
    "grad_students": [np.empty((4, 3), np.float32)],
}
BOTH: list[tuple[dict[str, Any], str]] = [
    ({"students": []}, "students must hold at least 1 view, got 0"),
    ({"targets": []}, "targets must hold at least 1 view, got 0"),
    ({"targets": [VIEW[:3]]}, r"all views must have the same shape, got \(4, 3\) and \(3, 3\)"),
    ({"students": [VIEW[0]]}, r"students\[0\] must have 2 dimensions, got 1"),
    ({"center": VIEW}, r"center must have shape \(1, 3\), got \(4, 3\)"),
    ({"center": VIEW[:1], "teacher_temperature": None}, "center needs a teacher_temperature"),
    ({"pair_weights": []}, "pair_weights must have one weight for each of 1 x 1 pairs, got 0"),
    ({"student_temperature": math.inf}, "student_temperature must be positive and finite, got inf"),
    ({"teacher_temperature": 0.0}, "teacher_temperature must be positive and finite, got 0.0"),
    ({"num_threads": -1}, "num_threads must be at least 0"),
]
ONLY_FORWARD: list[tuple[dict[str, Any], str]] = [
    ({"losses": np.empty((4, 1), np.float32)}, r"losses must have shape \(1, 4\), got \(4, 1\)"),
    ({"losses": np.empty((1, 4))}, "losses must be float32, got float64"),
    ({"losses": np.empty((1, 8), np.float32)[:, ::2]}, "losses must be C-contiguous"),
]
ONLY_BACKWARD: list[tuple[dict[str, Any], str]] = [
    ({"grad_losses": VIEW}, r"grad_losses must have shape \(1, 4\), got \(4, 3\)"),
    ({"grad_losses": np.empty((1, 4))}, "grad_losses must be float32, got float64"),
    ({"grad_students": []}, "grad_students must have one entry for each of 1 students, got 0"),
    (
        {"grad_students": [np.empty((4, 3))]},
        r"grad_students\[0\] must be float32 of shape \(4, 3\), got float64 of shape \(4, 3\)",
    ),
    ({"grad_students": [VIEW]}, r"grad_students\[0\] must not overlap students"),
]
CASES = [
    *[("forward", change, message) for change, message in BOTH + ONLY_FORWARD],
    *[("backward", change, message) for change, message in BOTH + ONLY_BACKWARD],
]


@pytest.mark.parametrize(("which", "change", "message"), CASES)
def test_core_message(which: str, change: dict[str, Any], message: str) -> None:
    function = getattr(_core, f"soft_cross_entropy_{which}")
    arguments = FORWARD if which == "forward" else BACKWARD
    with pytest.raises((ValueError, TypeError), match=f"^soft_cross_entropy_{which}: {message}"):
        function(**arguments | change)


def test_gradients_must_not_overlap_each_other() -> None:
    shared = np.empty((4, 3), np.float32)
    change = {
        "students": [VIEW, VIEW],
        "pair_weights": [1.0, 1.0],
        "grad_losses": np.empty((2, 4), np.float32),
        "grad_students": [shared, shared],
    }
    with pytest.raises(ValueError, match=r"grad_students\[1\] must not overlap grad_students\[0\]"):
        _core.soft_cross_entropy_backward(**BACKWARD | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": np.empty((3, 4), np.float32)}, "codes must be float32 of shape"),
        ({"codes": np.empty((4, 3))}, r"codes must be float32 of shape \(4, 3\), got float64"),
        ({"codes": VIEW}, "codes must not overlap scores"),
        ({"epsilon": 0.0}, "epsilon must be positive and finite, got 0.0"),
        ({"iterations": 0}, "iterations must be at least 1, got 0"),
        ({"scores": VIEW[:, :0]}, "scores must have at least 1 prototype, got 0"),
    ],
)
def test_core_sinkhorn_message(change: dict[str, Any], message: str) -> None:
    arguments = {
        "scores": VIEW,
        "codes": np.empty((4, 3), np.float32),
        "epsilon": 0.05,
        "iterations": 3,
    }
    with pytest.raises(ValueError, match=f"^sinkhorn: {message}"):
        _core.sinkhorn(**arguments | change)


@pytest.mark.parametrize("shape", [(2**40, 2**20), (2, 2**57), (2**57, 2)], ids=str)
def test_sizes_that_cannot_be(shape: tuple[int, int]) -> None:
    """Refused by name or for want of memory, never attempted."""
    expanded = torch.zeros(1, 1).expand(shape)
    with pytest.raises((ValueError, MemoryError, RuntimeError), match=r"overflow|alloc|memory"):
        soft_cross_entropy(expanded, expanded, reduction="none")
    with pytest.raises((ValueError, MemoryError, RuntimeError), match=r"overflow|alloc|memory"):
        torch.ops.ipse.sinkhorn(expanded, 0.05, 3)
