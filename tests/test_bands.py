"""Band filters and energies: against full transforms, Parseval, and what filters are for."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ipse.functional import band_energy, band_pass, high_frequency
from tests.reference import styles as reference
from tests.style_cases import HALF, ROUNDING, SIZES, TOLERANCE, make_images

wide_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
sizes = pytest.mark.parametrize("size", SIZES, ids=str)
shapes = pytest.mark.parametrize("shape", ["disc", "square"])
BANDS = [(0, 0), (0, 1), (0, 3), (2, 5.5), (0, math.inf), (1, math.inf), (4, math.inf), (7, 200)]


def assert_filtered(x: Tensor, low: float, high: float, shape: str) -> None:
    got = band_pass(x, low, high, shape=shape)
    assert (got.shape, got.dtype) == (x.shape, x.dtype)
    assert got.is_contiguous()
    wanted = reference.band_pass(x.double(), low, high, shape)
    bound = TOLERANCE.get(x.dtype, 2e-6) * float(x.abs().max())
    bound = bound + ROUNDING.get(x.dtype, 0.0) * wanted.abs()
    assert bool(((got.double() - wanted).abs() <= bound).all())


@wide_dtypes
@shapes
@sizes
@pytest.mark.parametrize("band", BANDS, ids=str)
def test_equals_reference(
    dtype: torch.dtype, size: tuple[int, int], band: tuple[float, float], shape: str
) -> None:
    x = make_images(3, *size, dtype)
    assert_filtered(x, *band, shape)
    energy = band_energy(x, band[1], low=band[0], shape=shape)
    wanted = reference.band_energy(x.double(), band[1], band[0], shape)
    assert (energy.shape, energy.dtype) == (x.shape[:2], dtype)
    scale = x.double().square().sum((-2, -1))
    assert bool(((energy - wanted).abs() <= 4 * TOLERANCE[dtype] * scale).all())


@wide_dtypes
@given(
    height=st.integers(1, 130),
    width=st.integers(1, 130),
    low=st.floats(0, 40),
    breadth=st.floats(0, 90),
    shape=st.sampled_from(["disc", "square"]),
    seed=st.integers(0, 2**16),
)
def test_anywhere(
    dtype: torch.dtype,
    height: int,
    width: int,
    low: float,
    breadth: float,
    shape: str,
    seed: int,
) -> None:
    assert_filtered(make_images(1, height, width, dtype, seed), low, low + breadth, shape)


@sizes
@pytest.mark.parametrize("radius", [1, 2.5, 8, math.inf])
def test_parseval(size: tuple[int, int], radius: float) -> None:
    """The energy of a filter's output is that of the coefficients it lets through."""
    x = make_images(4, *size)
    energy = band_energy(x, radius)
    filtered = band_pass(x, 0, radius).square().sum((-2, -1))
    torch.testing.assert_close(energy, filtered, rtol=1e-12, atol=1e-12)
    rest = high_frequency(x, radius).square().sum((-2, -1))
    torch.testing.assert_close(energy + rest, x.square().sum((-2, -1)), rtol=1e-12, atol=1e-12)


@sizes
def test_bands_add_up(size: tuple[int, int]) -> None:
    x = make_images(2, *size)
    cuts = [0, 1, 2.5, 7, math.inf]
    parts = [band_pass(x, low, high) for low, high in pairwise(cuts)]
    torch.testing.assert_close(torch.stack(parts).sum(0), x, rtol=0, atol=1e-12)
    assert torch.equal(high_frequency(x, 0), x)
    torch.testing.assert_close(parts[0], x.mean((-2, -1), keepdim=True).expand_as(x))


def test_one_wave_passes_or_does_not() -> None:
    """A cosine of 3 and 4 cycles has distance 5: inside below 5.01, outside below 5."""
    h, w = torch.arange(48.0).double()[:, None], torch.arange(36.0).double()[None]
    wave = torch.cos(2 * math.pi * (3 * h / 48 + 4 * w / 36) + 0.3)
    torch.testing.assert_close(band_pass(wave, 0, 5.01), wave, rtol=0, atol=1e-13)
    assert float(band_pass(wave, 0, 5).abs().max()) < 1e-13
    torch.testing.assert_close(high_frequency(wave, 5), wave, rtol=0, atol=1e-13)
    torch.testing.assert_close(band_pass(wave, 4, 4.5, shape="square"), wave, rtol=0, atol=1e-13)


def test_the_released_high_pass_filter() -> None:
    """As published: shift, zero what is closer than the radius to the centre, shift back."""
    x = make_images(2, 16, 24)
    spectrum = torch.fft.fftshift(torch.fft.fft2(x), (-2, -1))
    for i in range(16):
        for j in range(24):
            if math.hypot(i - 8, j - 12) < 5:
                spectrum[..., i, j] = 0
    wanted = torch.fft.ifft2(torch.fft.ifftshift(spectrum, (-2, -1))).real
    torch.testing.assert_close(high_frequency(x, 5), wanted, rtol=0, atol=1e-14)


def test_energy_of_a_perturbation_is_the_image_terms_of_advencoder() -> None:
    delta = make_images(1, 32, 32) - 0.5
    terms = delta.square().mean() - high_frequency(delta, 8).square().mean()
    torch.testing.assert_close(band_energy(delta, 8).sum() / delta.numel(), terms)


@pytest.mark.parametrize("dtype", HALF, ids=str)
@sizes
def test_half_precision(dtype: torch.dtype, size: tuple[int, int]) -> None:
    x = make_images(2, *size, dtype)
    assert_filtered(x, 1, 4, "disc")
    assert_filtered(x, 2, math.inf, "disc")
    assert band_energy(x, 3).dtype == torch.float32
    assert torch.equal(band_energy(x, 3), band_energy(x.float(), 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_layout_does_not_change_a_bit(dtype: torch.dtype) -> None:
    x = make_images(3, 12, 21, dtype)
    wide = x.new_full((3, 4, 30, 70), math.nan)
    wide[:, ::2, 3:15, 4:67:3] = x
    for laid_out in (
        x.to(memory_format=torch.channels_last),
        x.mT.contiguous().mT,
        wide[:, ::2, 3:15, 4:67:3],
    ):
        assert torch.equal(laid_out, x)
        assert torch.equal(band_pass(laid_out, 1, 5), band_pass(x, 1, 5))
        assert torch.equal(band_energy(laid_out, 5), band_energy(x, 5))


def test_leading_dimensions() -> None:
    x = make_images(6, 9, 10)
    filtered = band_pass(x, 0, 3)
    assert torch.equal(band_pass(x[0, 0], 0, 3), filtered[0, 0])
    assert torch.equal(band_pass(x[:, 1], 0, 3), filtered[:, 1])
    stacked = (2, 3, 2, 9, 10)
    assert torch.equal(band_pass(x.view(stacked), 0, 3), filtered.view(stacked))
    assert band_energy(x[0, 0], 3).shape == ()
    assert band_energy(x.view(2, 3, 2, 9, 10), 3).shape == (2, 3, 2)
    assert band_pass(x[:0], 0, 3).shape == (0, 2, 9, 10)
    assert band_energy(x[:0], 3).shape == (0, 2)


def test_repeatable_and_threads_agree(restored_threads: None) -> None:
    """Planes are independent: not a bit depends on the number of threads."""
    x = make_images(9, 64, 48, torch.float32)
    torch.set_num_threads(1)
    alone = band_pass(x, 0, 9), band_energy(x, 9)
    for threads in (2, 3, 8):
        torch.set_num_threads(threads)
        assert torch.equal(band_pass(x, 0, 9), alone[0])
        assert torch.equal(band_energy(x, 9), alone[1])


def test_not_a_number_stays_in_its_plane() -> None:
    x = make_images(2, 10, 12)
    clean = band_pass(x, 0, 3)
    x[0, 1, 4, 5] = math.nan
    filtered = band_pass(x, 0, 3)
    assert filtered[0, 1].isnan().all()
    assert torch.equal(filtered[1], clean[1])
    assert torch.equal(filtered[0, 0], clean[0, 0])
    assert band_energy(x, 3).isnan().tolist() == [[False, True], [False, False]]


@shapes
@pytest.mark.parametrize("band", [(0, 2), (1, 2.5), (2, math.inf)], ids=str)
def test_gradients(band: tuple[float, float], shape: str) -> None:
    x = make_images(2, 5, 6).requires_grad_()
    low, high = band
    for function in (
        lambda x: band_pass(x, low, high, shape=shape),
        lambda x: band_energy(x, high, low=low, shape=shape),
    ):
        assert torch.autograd.gradcheck(function, x)
        assert torch.autograd.gradgradcheck(function, x)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda x: band_pass(x[0, 0, 0], 0, 3),
            ValueError,
            r"band_pass: x must be \(\.\.\., H, W\), got shape \(7,\)",
        ),
        (
            lambda x: band_pass(x[..., :0], 0, 3),
            ValueError,
            r"band_pass: images must have at least one row and one column, got shape \(2, 2, 6, 0",
        ),
        (
            lambda x: band_energy(x[:, :, :0], 3),
            ValueError,
            r"band_energy: images must have at least one row and one column",
        ),
        (
            lambda x: band_pass(x, 3, 2),
            ValueError,
            r"band_pass: needs 0 <= low <= high, got 3\.0 and 2\.0",
        ),
        (
            lambda x: band_pass(x, -1, 2),
            ValueError,
            r"band_pass: needs 0 <= low <= high, got -1\.0 and 2\.0",
        ),
        (
            lambda x: band_energy(x, math.nan),
            ValueError,
            r"band_energy: needs 0 <= low <= high, got 0\.0 and nan",
        ),
        (
            lambda x: high_frequency(x, -1),
            ValueError,
            r"high_frequency: radius must be at least 0, got -1",
        ),
        (
            lambda x: band_pass(x, 0, 3, shape="ring"),
            ValueError,
            r"band_pass: shape must be 'disc' or 'square', got 'ring'",
        ),
        (
            lambda x: band_pass(x.int(), 0, 3),
            TypeError,
            r"band_pass: x must be float32, float64, bfloat16 or float16, got torch.int32",
        ),
        (
            lambda x: band_energy(x.cfloat(), 3),
            TypeError,
            r"band_energy: x must be float32, float64, bfloat16 or float16, got torch.complex64",
        ),
    ],
)
def test_message(call: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(make_images(2, 6, 7))  # type: ignore[operator]
