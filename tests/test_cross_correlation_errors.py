"""Bad input to the cross-correlation losses: every message, and what must not crash."""

from typing import Any

import numpy as np
import pytest
import torch

from ipse import _core
from tests.cross_correlation_cases import Loss, both_losses, both_sides, make_views

GOOD = torch.zeros(4, 3)


@both_losses
@pytest.mark.parametrize(
    ("z1", "z2", "error", "message"),
    [
        (GOOD[:1], GOOD[:1], ValueError, "the batch must have at least 2 samples, got 1"),
        (GOOD[:0], GOOD[:0], ValueError, "the batch must have at least 2 samples, got 0"),
        (GOOD[:, :0], GOOD[:, :0], ValueError, "the views must have at least 1 feature, got 0"),
        (
            GOOD,
            GOOD[:3],
            ValueError,
            r"z1 and z2 must have the same shape, got \(4, 3\) and \(3, 3\)",
        ),
        (
            GOOD,
            GOOD[:, :2],
            ValueError,
            r"z1 and z2 must have the same shape, got \(4, 3\) and \(4, 2\)",
        ),
        (GOOD[0], GOOD[0], ValueError, r"z1 must be \(N, D\), got shape \(3,\)"),
        (GOOD, GOOD[None], ValueError, r"z2 must be \(N, D\), got shape \(1, 4, 3\)"),
        (
            GOOD,
            GOOD.double(),
            TypeError,
            "z1 and z2 must have the same dtype, got torch.float32 and torch.float64",
        ),
        (
            GOOD.int(),
            GOOD.int(),
            TypeError,
            "z1 must be float32, float64, bfloat16 or float16, got torch.int32",
        ),
        (
            GOOD,
            GOOD.cfloat(),
            TypeError,
            "z2 must be float32, float64, bfloat16 or float16, got torch.complex64",
        ),
        (
            GOOD,
            GOOD.to("meta"),
            ValueError,
            "z1 and z2 must be on the same device, got cpu and meta",
        ),
        (
            GOOD.to_sparse(),
            GOOD.to_sparse(),
            TypeError,
            "z1 must be a dense tensor, got torch.sparse_coo",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_message(
    loss: Loss, z1: torch.Tensor, z2: torch.Tensor, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{loss.name}_loss: {message}$"):
        loss.function(z1, z2)


@both_losses
@pytest.mark.parametrize("side", ["rows", "", "Samples"])
def test_unknown_side(loss: Loss, side: str) -> None:
    message = f"^{loss.name}_loss: side must be one of auto, samples, features, got {side!r}$"
    with pytest.raises(ValueError, match=message):
        loss.function(GOOD, GOOD, side=side)


@both_losses
def test_second_derivative_checks_its_side_too(loss: Loss) -> None:
    arguments = (torch.tensor(1.0), GOOD, GOOD, torch.empty(0, 0), *loss.values, "rows")
    with pytest.raises(ValueError, match="side must be one of"):
        loss.backward_op(*arguments, [True, True])


def _forward(loss: Loss, z1: Any, z2: Any, side: str = "samples", *rest: Any) -> float:
    return getattr(_core, f"{loss.name}_forward")(z1, z2, *loss.values, side, *rest)


def _backward(loss: Loss, z1: Any, z2: Any, moments: Any, side: str, *rest: Any) -> None:
    backward = getattr(_core, f"{loss.name}_backward")
    backward(z1, z2, moments, 1.0, *loss.values, side, *rest)


@both_losses
def test_core_checks_its_views(loss: Loss) -> None:
    """The same rules one layer down, for callers without torch."""
    good = np.zeros((4, 3), np.float32)
    frozen_field = np.zeros((4, 3), [("a", "u1"), ("x", "f4")])["x"]
    packed_field = np.zeros((4, 3), [("x", "f4"), ("a", "u1", 4)])["x"][:, :]
    assert packed_field.strides[1] % 4 == 0
    for z1, z2, error, message in [
        (good[:1], good[:1], ValueError, "at least 2 samples, got 1"),
        (good[:, :0], good[:, :0], ValueError, "at least 1 feature, got 0"),
        (good, good[:3], ValueError, r"same shape, got \(4, 3\) and \(3, 3\)"),
        (good, good.astype("f8"), TypeError, "same dtype, got float32 and float64"),
        (good[0], good[0], ValueError, "view1 must have 2 dimensions, got 1"),
        (good, good.astype("i4"), TypeError, "view2 must be float32.* got int32"),
        (good.astype(">f4"), good, TypeError, "view1 must be float32.* got >f4"),
        (frozen_field, good, ValueError, "view1 must have strides of whole elements"),
    ]:
        with pytest.raises(error, match=f"^{loss.name}_forward: .*{message}"):
            _forward(loss, z1, z2)
    with pytest.raises(ValueError, match="side must be 'samples' or 'features', got 'auto'"):
        _forward(loss, good, good, "auto")
    with pytest.raises(ValueError, match="num_threads must be at least 0"):
        _forward(loss, good, good, "samples", None, -1)
    with pytest.raises(TypeError, match="incompatible function arguments"):
        _forward(loss, good.tolist(), good)
    unaligned = np.frombuffer(bytes(4 * 12 + 1), np.uint8)[1:].view("f4").reshape(4, 3)
    with pytest.raises(ValueError, match="view1 must be aligned"):
        _forward(loss, unaligned, good)
    # Whole elements apart, if not side by side, is fine.
    assert np.isfinite(_forward(loss, packed_field, good))


@both_losses
@both_sides
def test_core_checks_its_outputs(loss: Loss, side: str) -> None:
    z1, z2 = (z.numpy() for z in make_views(4, 3))
    shape = (4, 5) if side == "samples" else (3, 3)
    moments = np.empty(shape, np.float32)
    read_only = moments.copy()
    read_only.flags.writeable = False
    for bad, error, message in [
        (np.empty((7, 7), np.float32), ValueError, rf"moments must have shape \({shape[0]}, "),
        (moments.astype("f8"), TypeError, "moments must be float32, got float64"),
        (read_only, ValueError, "moments must be writable, got a read-only array"),
        (np.empty(shape[::-1], np.float32).T, ValueError, "moments must be C-contiguous|shape"),
    ]:
        with pytest.raises(error, match=message):
            _forward(loss, z1, z2, side, bad)
        with pytest.raises(error, match=message):
            _backward(loss, z1, z2, bad, side)
    _forward(loss, z1, z2, side, moments)
    for bad in (np.empty((4, 2), np.float32), np.empty((4, 3), np.float64)):
        with pytest.raises(ValueError, match=r"grad_view2 must be float32 of shape \(4, 3\), got"):
            _backward(loss, z1, z2, moments, side, None, bad)
    with pytest.raises(ValueError, match="grad_view1 must be C-contiguous"):
        _backward(loss, z1, z2, moments, side, np.empty((3, 4), np.float32).T)
    with pytest.raises(ValueError, match="grad_view1 must be C-contiguous"):
        _backward(loss, z1, z2, moments, side, np.broadcast_to(np.float32(0), (4, 3)).copy()[::-1])


@both_losses
@both_sides
@pytest.mark.parametrize("where", ["one array", "one row apart", "on a view", "across a view"])
def test_overlapping_results_are_right_or_refused(loss: Loss, side: str, where: str) -> None:
    n, d = 40, 300
    room = np.zeros((n + 1, d), np.float32)
    z1, z2 = room[:n], np.empty((n, d), np.float32)
    z1[:], z2[:] = (z.numpy() for z in make_views(n, d))
    moments = np.empty((n, n + 1) if side == "samples" else (d, d), np.float32)
    _forward(loss, z1, z2, side, moments)
    wanted = np.empty((2, n, d), np.float32)
    _backward(loss, z1, z2, moments, side, wanted[0], wanted[1])

    both = np.empty((n + 1, d), np.float32)
    first, second = {
        "one array": (both[:n], both[:n]),
        "one row apart": (both[:n], both[1:]),
        "on a view": (z1, both[:n]),
        "across a view": (room[1:], both[:n]),
    }[where]
    try:
        _backward(loss, z1, z2, moments, side, first, second)
    except ValueError as error:
        assert "overlap" in str(error)  # noqa: PT017 - either outcome is allowed
    else:
        assert np.array_equal(first, wanted[0])
        assert np.array_equal(second, wanted[1])


# Shapes that only claim to be large: expanded from one element. The last one passes the
# check of sizes and asks for more memory than a process can address.
CLAIMS = [(2**40, 2**20), (2, 2**57), (2**57, 2), (2**30, 2**30), (2**26, 2**26)]


@both_losses
@both_sides
@pytest.mark.parametrize("shape", CLAIMS, ids=str)
def test_sizes_that_cannot_be(loss: Loss, side: str, shape: tuple[int, int]) -> None:
    """Refused by name or for want of memory, never attempted."""
    claimed = np.broadcast_to(np.zeros(1, np.float32), shape)
    error, message = (ValueError, "overflow") if shape != CLAIMS[-1] else (MemoryError, "alloc")
    with pytest.raises(error, match=message):
        _forward(loss, claimed, claimed, side)
    expanded = torch.zeros(1, 1).expand(shape)
    # Where `moments` alone are too large it is torch's allocator that refuses.
    with pytest.raises((ValueError, MemoryError, RuntimeError), match=r"overflow|alloc|memory"):
        loss.function(expanded.requires_grad_(), expanded, side=side)
