"""The scattering transform: against kymatio, against the definition, and what it must keep."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kymatio.scattering2d.frontend.torch_frontend import ScatteringTorch2D
from torch import Tensor

from ipse.functional import scattering2d
from ipse.ops import scattering_formulas
from tests.reference import scattering as reference

# Of coefficients of planes of unit variance; kymatio's filters are in float32.
TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-14}
wide_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
# kymatio's S0 of a constant 1: its Gaussian is divided by 3.1415 instead of pi.
MASS = math.pi / 3.1415


def make_planes(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def largest(difference: Tensor) -> float:
    return float(difference.abs().max())


# Sizes from the smallest allowed on; padded sides with prime factors 2, 3, 5, 7, 11, 13, 17, 19.
KYMATIO_CASES = [
    ((2, 1, 32, 32), 2, 8, 2),
    ((2, 3, 32, 32), 2, 8, 1),
    ((1, 3, 96, 96), 2, 16, 2),
    ((17, 28, 28), 2, 8, 2),
    ((3, 2, 16, 24), 3, 5, 2),
    ((5, 4, 4), 2, 8, 2),
    ((5, 2, 2), 1, 3, 2),
    ((33, 20, 60), 2, 4, 2),
    ((2, 22, 30), 1, 6, 2),
    ((1, 64, 72), 3, 4, 2),
    ((1, 16, 16), 4, 2, 2),
]


@pytest.mark.parametrize(("shape", "scales", "angles", "order"), KYMATIO_CASES, ids=str)
def test_equals_kymatio(shape: tuple[int, ...], scales: int, angles: int, order: int) -> None:
    x = make_planes(*shape)
    theirs = ScatteringTorch2D(scales, shape[-2:], L=angles, max_order=order)(x)
    mine = scattering2d(x, scales, angles, order)
    assert mine.shape == theirs.shape
    assert largest(mine - theirs) <= 2e-6


def test_equals_kymatio_on_pixels() -> None:
    """Values in 0 ... 255: relative to their size."""
    x = make_planes(3, 32, 32).mul(60).add(120).clamp(0, 255).round()
    theirs = ScatteringTorch2D(2, (32, 32))(x)
    assert largest(scattering2d(x, 2) - theirs) <= 2e-6 * 255


@wide_dtypes
@given(
    planes=st.integers(1, 20),
    rows=st.integers(1, 7),
    cols=st.integers(1, 7),
    scales=st.integers(1, 3),
    angles=st.integers(1, 4),
    order=st.integers(1, 2),
    seed=st.integers(0, 2**16),
)
def test_equals_reference(
    dtype: torch.dtype,
    planes: int,
    rows: int,
    cols: int,
    scales: int,
    angles: int,
    order: int,
    seed: int,
) -> None:
    step = 2**scales
    x = make_planes(planes, rows * step, cols * step, dtype=dtype, seed=seed)
    wanted = reference.scattering2d(x, scales, angles, order)
    mine = scattering2d(x, scales, angles, order)
    assert mine.dtype == dtype
    assert mine.shape == wanted.shape
    assert largest(mine - wanted) <= TOLERANCE[dtype]
    formula = scattering_formulas.scattering2d(x, scales, angles, order)
    assert largest(formula - wanted) <= TOLERANCE[dtype]


@wide_dtypes
@pytest.mark.parametrize("side", [58, 34, 26], ids=str)
def test_sides_with_large_prime_factors(dtype: torch.dtype, side: int) -> None:
    """Padded to 62, 38 and 30: the transforms have a stage of 31, 19 and 5."""
    x = make_planes(3, side, side + 4, dtype=dtype)
    assert largest(scattering2d(x, 1, 2) - reference.scattering2d(x, 1, 2, 2)) <= TOLERANCE[dtype]


@pytest.mark.parametrize("leading", [(), (3,), (2, 3), (2, 1, 3), (0,), (2, 0)], ids=str)
def test_any_leading_dimensions(leading: tuple[int, ...]) -> None:
    x = make_planes(*leading, 8, 12)
    mine = scattering2d(x, 1, 4)
    assert mine.shape == (*leading, 5, 4, 6)
    flat = scattering2d(x.reshape(-1, 8, 12), 1, 4)
    assert torch.equal(mine.reshape(flat.shape), flat)


def test_order_of_channels() -> None:
    x = make_planes(2, 16, 16)
    both, first = scattering2d(x, 3, 2), scattering2d(x, 3, 2, order=1)
    assert first.shape[1] == 1 + 3 * 2
    assert both.shape[1] == 1 + 3 * 2 + 3 * 2 * 2
    assert torch.equal(both[:, :7], first)
    # one scale has nothing to scatter further
    assert torch.equal(scattering2d(x, 1, 4), scattering2d(x, 1, 4, order=1))


# What the transform promises


@wide_dtypes
@pytest.mark.parametrize("value", [0.0, 1.0, -3.0])
def test_constant_plane(dtype: torch.dtype, value: float) -> None:
    mine = scattering2d(torch.full((1, 16, 24), value, dtype=dtype), 2, 8)
    assert largest(mine[:, 0] - MASS * value) <= 1e-6
    assert largest(mine[:, 1:]) <= 1e-6


@pytest.mark.parametrize("angles", [4, 8, 16])
def test_energy_does_not_grow(angles: int) -> None:
    """Of white noise, of a delta and of a step: outputs, each standing for 4^J places."""
    delta, step = torch.zeros(2, 32, 32, dtype=torch.float64)
    delta[13, 18] = 1
    step[:, 16:] = 1
    x = torch.stack([*make_planes(3, 32, 32, dtype=torch.float64), delta, step])
    padded = scattering_formulas.reflect_pad(x, 4)
    outputs = 16 * scattering2d(x, 2, angles).square().sum((1, 2, 3))
    assert bool((outputs <= padded.square().sum((1, 2))).all())


def test_transposed_plane_permutes_angles() -> None:
    """Mirroring at the diagonal turns the angle l into L/2 - 2 - l, and maps are mirrored."""
    angles, scales = 6, 2
    x = make_planes(2, 16, 24, dtype=torch.float64)
    turned = [(angles // 2 - 2 - n) % angles for n in range(angles)]
    first = 1 + torch.tensor([j * angles + n for j in range(scales) for n in turned])
    second = 13 + torch.tensor([n1 * angles + n2 for n1 in turned for n2 in turned])
    channels = torch.cat([torch.zeros(1, dtype=torch.int64), first, second])
    mine = scattering2d(x.mT, scales, angles)
    assert largest(mine - scattering2d(x, scales, angles)[:, channels].mT) <= 1e-13


def test_rotated_plane_does_not_only_permute_angles() -> None:
    """Outputs stand at every 2^J-th pixel from the first: a grid that a quarter turn moves.

    So the coefficients of a rotated image cannot be had by permuting the image's own.
    """
    angles = 8
    x = make_planes(1, 32, 32, dtype=torch.float64)
    turned = [(n + angles // 2) % angles for n in range(angles)]
    channels = 1 + torch.tensor([j * angles + n for j in range(2) for n in turned])
    rotated = scattering2d(torch.rot90(x, 1, (1, 2)), 2, angles, order=1)[:, 1:]
    permuted = torch.rot90(scattering2d(x, 2, angles, order=1)[:, channels], 1, (2, 3))
    assert largest(rotated - permuted) > 0.05
    # the same up to the quarter's shift of the grid: means over all places agree
    gap = rotated.mean((2, 3)) - permuted.mean((2, 3))
    assert largest(gap) < 0.05 * largest(permuted)


# Types, layouts, threads


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    x = make_planes(2, 12, 16, dtype=dtype)
    mine = scattering2d(x, 2, 4)
    assert mine.dtype == torch.float32
    assert torch.equal(mine, scattering2d(x.float(), 2, 4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_layout_does_not_change_a_bit(dtype: torch.dtype) -> None:
    x = make_planes(5, 3, 12, 8, dtype=dtype)
    wide = x.new_full((10, 3, 24, 30), math.nan)
    wide[::2, :, ::2, 3:27:3] = x
    wanted = scattering2d(x, 2, 4)
    for laid_out in (
        x.contiguous(memory_format=torch.channels_last),
        x.mT.contiguous().mT,
        x.permute(3, 1, 0, 2).contiguous().permute(2, 1, 3, 0),
        wide[::2, :, ::2, 3:27:3],
    ):
        assert torch.equal(laid_out, x)
        assert torch.equal(scattering2d(laid_out, 2, 4), wanted)
    assert torch.equal(
        scattering2d(x[:1].expand(5, -1, -1, -1), 2, 4), wanted[:1].expand(5, -1, -1, -1, -1)
    )


@pytest.mark.parametrize("planes", [1, 3, 16, 50], ids=str)
def test_repeatable_and_threads_agree(planes: int, restored_threads: None) -> None:
    x = make_planes(planes, 16, 12)
    torch.set_num_threads(1)
    alone = scattering2d(x, 2, 4)
    for threads in (2, 3, 8):
        torch.set_num_threads(threads)
        assert torch.equal(scattering2d(x, 2, 4), alone)


def test_planes_do_not_see_each_other() -> None:
    x = make_planes(20, 8, 8)
    clean = scattering2d(x, 1, 4)
    x[7, 2, 2] = math.nan
    x[8, 1, 5] = math.inf
    poisoned = scattering2d(x, 1, 4)
    others = [i for i in range(20) if i not in (7, 8)]
    assert torch.equal(poisoned[others], clean[others])
    assert not poisoned[7:9].isfinite().any()


GOOD = torch.zeros(2, 8, 12)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((GOOD[0, 0], 1), ValueError, r"x must be \(\.\.\., H, W\), got shape \(12,\)"),
        ((GOOD, 0), ValueError, "J must be at least 1, got 0"),
        ((GOOD, 1, 0), ValueError, "L must be at least 1, got 0"),
        ((GOOD, 1, 8, 0), ValueError, "order must be 1 or 2, got 0"),
        ((GOOD, 1, 8, 3), ValueError, "order must be 1 or 2, got 3"),
        (
            (GOOD, 4),
            ValueError,
            r"2\^J must be no more than the sides of x, got J = 4 for 8 x 12",
        ),
        (
            (GOOD, 100),
            ValueError,
            r"2\^J must be no more than the sides of x, got J = 100 for 8 x 12",
        ),
        ((GOOD[:, :0], 1), ValueError, r"2\^J must be no more than .* got J = 1 for 0 x 12"),
        (
            (GOOD, 3),
            ValueError,
            r"the sides of x must be multiples of 2\^J = 8, got 8 x 12",
        ),
        (
            (GOOD.int(), 1),
            TypeError,
            "x must be float32, float64, bfloat16 or float16, got torch.int32",
        ),
        (
            (GOOD.to(torch.complex64), 1),
            TypeError,
            "x must be float32, float64, bfloat16 or float16, got torch.complex64",
        ),
        ((GOOD.to_sparse(), 1), TypeError, "x must be a dense tensor, got torch.sparse_coo"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_message(arguments: tuple[object, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^scattering2d: {message}$"):
        scattering2d(*arguments)
