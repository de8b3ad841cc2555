"""Styles: against the paper's algorithm, and what the exchange must keep and must change."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ipse.functional import style_amplitude, style_standardize
from ipse.ops import style_formulas as formulas
from tests.reference import styles as reference
from tests.style_cases import HALF, RATIOS, ROUNDING, SIZES, TOLERANCE, make_images

wide_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
sizes = pytest.mark.parametrize("size", SIZES, ids=str)
ratios = pytest.mark.parametrize("ratio", RATIOS)
STYLES = {"one": 1, "last": -1, "mean": None, "each": torch.tensor([2, 0, 2, 1])}
styles = pytest.mark.parametrize("style", STYLES)


def amplification(x: Tensor, ratio: float, style: int | Tensor | None) -> float:
    """How much more a frequency can weigh afterwards than before: it scales the errors, too."""
    amplitude = reference.style_amplitude(x.detach().double(), ratio)
    if amplitude.numel() == 0:
        return 1.0
    given = amplitude.mean(0, keepdim=True) if style is None else amplitude[style]
    return max(1.0, float((given / amplitude).max()))


@wide_dtypes
@sizes
@ratios
def test_amplitude_equals_reference(
    dtype: torch.dtype, size: tuple[int, int], ratio: float
) -> None:
    x = make_images(3, *size, dtype)
    got = style_amplitude(x, ratio)
    wanted = reference.style_amplitude(x.double(), ratio)
    assert (got.shape, got.dtype) == (wanted.shape, dtype)
    if got.numel():
        assert (got - wanted).abs().max() <= TOLERANCE[dtype] * x.abs().sum((-2, -1)).max()


@wide_dtypes
@sizes
@ratios
@styles
def test_equals_reference(
    dtype: torch.dtype, size: tuple[int, int], ratio: float, style: str
) -> None:
    x = make_images(4, *size, dtype)
    got = style_standardize(x, ratio, STYLES[style])
    wanted = reference.style_standardize(x.double(), ratio, STYLES[style])
    assert (got.shape, got.dtype) == (x.shape, dtype)
    bound = TOLERANCE[dtype] * amplification(x, ratio, STYLES[style])
    assert (got - wanted).abs().max() <= bound


@wide_dtypes
@given(
    height=st.integers(1, 100),
    width=st.integers(1, 100),
    count=st.integers(1, 5),
    ratio=st.floats(0, 1),
    seed=st.integers(0, 2**16),
)
def test_anywhere(
    dtype: torch.dtype, height: int, width: int, count: int, ratio: float, seed: int
) -> None:
    x = make_images(count, height, width, dtype, seed)
    got = style_standardize(x, ratio, seed % count)
    wanted = reference.style_standardize(x.double(), ratio, seed % count)
    bound = TOLERANCE[dtype] * amplification(x, ratio, seed % count)
    assert (got - wanted).abs().max() <= bound


@sizes
@ratios
def test_every_image_gets_the_amplitudes_and_keeps_its_phases(
    size: tuple[int, int], ratio: float
) -> None:
    x = make_images(4, *size)
    standardized = style_standardize(x, ratio, 2)
    window = reference.style_window(*size, ratio)
    before, after = torch.fft.fft2(x), torch.fft.fft2(standardized)
    difference = after.abs() - before[2].abs()
    assert float((difference * window).abs().max()) < 1e-9
    assert float(((after - before) * ~window).abs().max()) < 1e-9
    turned = (after * before.conj()).angle()  # phases, wherever there is one
    assert float((turned * (before.abs() > 1e-6) * (after.abs() > 1e-6)).abs().max()) < 1e-6
    assert standardized.dtype == torch.float64


@wide_dtypes
@sizes
@ratios
def test_the_image_of_the_style_is_returned_bit_by_bit(
    dtype: torch.dtype, size: tuple[int, int], ratio: float
) -> None:
    x = make_images(4, *size, dtype)
    # eps 0: no frequency counts as flat. Those far below rounding would otherwise lose their phase.
    assert torch.equal(style_standardize(x, ratio, 3, eps=0.0)[3], x[3])


def test_no_window_changes_nothing() -> None:
    x = make_images(3, 8, 8)
    assert torch.equal(style_standardize(x, 0.0), x)
    assert torch.equal(style_standardize(x, 1 / 65), x)
    assert not torch.equal(style_standardize(x, 1 / 63), x)


def test_the_smallest_window_exchanges_means() -> None:
    x = make_images(3, 8, 9)
    wanted = x - x.mean((-2, -1), keepdim=True) + x[1].mean((-2, -1), keepdim=True)
    torch.testing.assert_close(style_standardize(x, 1 / 60, 1), wanted)


def test_an_odd_window_is_the_centred_slice() -> None:
    """What is usually written: fftshift, a slice of h x w around the middle, ifftshift."""
    x = make_images(3, 20, 30)
    ratio = (7 / 20 + 1e-9) ** 2  # 7 rows, int(30 * 7 / 20) = 10 columns
    spectrum = torch.fft.fftshift(torch.fft.fft2(x), (-2, -1))
    amplitude, phase = spectrum.abs(), spectrum.angle()
    amplitude[..., 7:14, 10:21] = amplitude[1:2, :, 7:14, 10:21].clone()
    shifted = torch.fft.ifftshift(torch.polar(amplitude, phase), (-2, -1))
    wanted = torch.fft.ifft2(shifted).real
    torch.testing.assert_close(style_standardize(x, ratio, 1), wanted, rtol=0, atol=1e-12)


def test_flat_images_take_the_amplitude_with_phase_zero() -> None:
    x = make_images(3, 16, 16, torch.float32)
    x[1] = 0.25
    x[2] = 0.0
    standardized = style_standardize(x, 0.3, 0)
    assert standardized.isfinite().all()
    wanted = reference.style_standardize(x.double(), 0.3, 0)
    torch.testing.assert_close(standardized.double(), wanted, rtol=0, atol=2e-5)
    # A black and a grey image have no phases: the same symmetric picture comes of both.
    torch.testing.assert_close(standardized[1], standardized[2], rtol=0, atol=2e-5)
    torch.testing.assert_close(standardized[1].mean((-2, -1)), x[0].mean((-2, -1)))


def test_gradient_is_finite_where_an_amplitude_is_zero() -> None:
    x = make_images(3, 8, 8)
    x[1] = 0.25
    x[2] = 0.0
    for style in (0, 1, None, torch.tensor([1, 0, 2])):
        leaf = x.clone().requires_grad_()
        value = style_standardize(leaf, 0.5, style)
        (gradient,) = torch.autograd.grad(value.square().sum(), leaf, create_graph=True)
        assert gradient.isfinite().all()
        (second,) = torch.autograd.grad(gradient.square().sum(), leaf)
        assert second.isfinite().all()


@pytest.mark.parametrize("ratio", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("size", [(4, 6), (5, 5), (1, 4), (6, 3)], ids=str)
@styles
def test_gradients(size: tuple[int, int], ratio: float, style: str) -> None:
    """By the images: through their phases and through the amplitudes taken from them."""
    x = make_images(4, *size)[:, :1].requires_grad_()
    function = lambda x: style_standardize(x, ratio, STYLES[style], clamp=(-9, 9))  # noqa: E731
    assert torch.autograd.gradcheck(function, x)
    assert torch.autograd.gradgradcheck(function, x)


@pytest.mark.parametrize("ratio", [0.1, 1.0])
@pytest.mark.parametrize("size", [(4, 6), (5, 5), (1, 4)], ids=str)
@pytest.mark.parametrize("count", [1, 3])
def test_gradients_by_given_amplitudes(size: tuple[int, int], ratio: float, count: int) -> None:
    x = make_images(3, *size).requires_grad_()
    given = style_amplitude(make_images(count, *size, seed=1), ratio)
    # Amplitudes of one's own need not be symmetric.
    given = (given + torch.rand_like(given)).requires_grad_()
    function = lambda x, a: style_standardize(x, ratio, amplitude=a)  # noqa: E731
    if given.numel():
        assert torch.autograd.gradcheck(function, (x, given))
        assert torch.autograd.gradgradcheck(function, (x, given))
        assert torch.autograd.gradcheck(function, (x.detach(), given))
        assert torch.autograd.gradcheck(function, (x, given.detach()))


@pytest.mark.parametrize("ratio", [0.1, 1.0])
@pytest.mark.parametrize("size", [(4, 6), (5, 5), (1, 4)], ids=str)
def test_gradients_of_amplitudes(size: tuple[int, int], ratio: float) -> None:
    x = make_images(2, *size).requires_grad_()
    if style_amplitude(x, ratio).numel() == 0:
        return
    assert torch.autograd.gradcheck(lambda x: style_amplitude(x, ratio), x)
    assert torch.autograd.gradgradcheck(lambda x: style_amplitude(x, ratio), x)


@sizes
@ratios
def test_gradient_in_float32(size: tuple[int, int], ratio: float) -> None:
    x = make_images(3, *size)
    weights = make_images(3, *size, seed=5)

    def gradient(dtype: torch.dtype) -> Tensor:
        leaf = x.to(dtype).requires_grad_()
        value = (style_standardize(leaf, ratio, 1) * weights.to(dtype)).sum()
        return torch.autograd.grad(value, leaf)[0].double()

    wanted = gradient(torch.float64)
    # Amplitudes are divided by twice: once for the phase, once for its derivative.
    bound = 4 * TOLERANCE[torch.float32] * amplification(x, ratio, 1) ** 2
    assert (gradient(torch.float32) - wanted).abs().max() <= bound * wanted.abs().max()


@pytest.mark.parametrize("dtype", HALF, ids=str)
@ratios
def test_half_precision(dtype: torch.dtype, ratio: float) -> None:
    """Computed in float32, rounded once; amplitudes stay in float32."""
    x = make_images(3, 17, 24, dtype)
    assert style_amplitude(x, ratio).dtype == torch.float32
    got = style_standardize(x, ratio, 1)
    assert got.dtype == dtype
    assert torch.equal(got, style_standardize(x.float(), ratio, 1).to(dtype))
    leaf = x.clone().requires_grad_()
    style_standardize(leaf, ratio, 1).float().square().sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.dtype == dtype
    wide = x.double().requires_grad_()
    style_standardize(wide, ratio, 1).square().sum().backward()
    error = (leaf.grad.double() - wide.grad).abs().max()
    assert error <= 4 * ROUNDING[dtype] * wide.grad.abs().max()


def test_styles_of_other_batches() -> None:
    x, other = make_images(3, 12, 15), make_images(2, 12, 15, seed=9)
    both = torch.cat([x, other])
    given = style_amplitude(other[1:], 0.3)
    wanted = style_standardize(both, 0.3, 4)[:3]
    assert torch.equal(style_standardize(x, 0.3, amplitude=given), wanted)
    each = style_amplitude(x.flip(0), 0.3)
    flipped = style_standardize(x, 0.3, torch.tensor([2, 1, 0]))
    assert torch.equal(style_standardize(x, 0.3, amplitude=each), flipped)
    assert torch.equal(style_standardize(x, 0.3, torch.tensor(1)), style_standardize(x, 0.3, 1))


def test_clamp() -> None:
    x = make_images(4, 16, 16).clamp(0.2, 0.8)
    free = style_standardize(x, 0.5, 1)
    assert free.max() > 0.8
    assert torch.equal(style_standardize(x, 0.5, 1, clamp=(0.2, 0.8)), free.clamp(0.2, 0.8))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_layout_does_not_change_a_bit(dtype: torch.dtype) -> None:
    x = make_images(3, 12, 21, dtype)
    wide = x.new_full((3, 4, 30, 70), math.nan)
    wide[:, ::2, 3:15, 4:67:3] = x
    wanted = style_standardize(x, 0.4, 1)
    for laid_out in (x.to(memory_format=torch.channels_last), wide[:, ::2, 3:15, 4:67:3]):
        got = style_standardize(laid_out, 0.4, 1)
        assert torch.equal(got, wanted)
        assert got.is_contiguous()


def test_any_leading_dimensions() -> None:
    x = make_images(6, 9, 10)
    wanted = style_standardize(x, 0.4, 1)
    stacked = x.view(6, 2, 1, 9, 10)
    assert torch.equal(style_standardize(stacked, 0.4, 1).view_as(x), wanted)
    assert torch.equal(style_standardize(x[:, 0], 0.4, 1), wanted[:, 0])
    assert style_amplitude(stacked, 0.4).shape == (6, 2, 1, 5, 4)


def test_no_image() -> None:
    x = make_images(3, 8, 8)[:0]
    for style in (0, -1, None, torch.zeros(0, dtype=torch.long)):
        assert style_standardize(x, 0.5, style).shape == (0, 2, 8, 8)
    assert style_amplitude(x, 0.5).shape == (0, 2, 5, 3)
    leaf = x.clone().requires_grad_()
    style_standardize(leaf, 0.5).sum().backward()
    assert leaf.grad is not None


@wide_dtypes
def test_repeatable_and_threads_agree(dtype: torch.dtype, restored_threads: None) -> None:
    x = make_images(9, 64, 48, dtype)

    def results() -> list[Tensor]:
        leaf = x.clone().requires_grad_()
        value = style_standardize(leaf, 0.3, None)
        return [value.detach(), *torch.autograd.grad(value.square().sum(), leaf)]

    torch.set_num_threads(1)
    alone = results()
    for threads in (2, 3, 8):
        torch.set_num_threads(threads)
        for mine, wanted in zip(results(), alone, strict=True):
            assert torch.equal(mine, wanted)


def test_not_a_number_stays_in_its_plane() -> None:
    x = make_images(3, 10, 12)
    clean = style_standardize(x, 0.3, 0)
    x[1, 1, 4, 5] = math.nan
    standardized = style_standardize(x, 0.3, 0)
    assert standardized[1, 1].isnan().all()
    assert torch.equal(standardized[[0, 2]], clean[[0, 2]])
    assert style_standardize(x, 0.3, 1)[:, 1].isnan().all()


@sizes
@pytest.mark.parametrize("ratio", RATIOS[1:])
def test_plain_formulas(size: tuple[int, int], ratio: float) -> None:
    """They serve other devices, wide windows and second derivatives, and equal the kernels."""
    x = make_images(4, *size)
    given = style_amplitude(x[:2], ratio)
    if given.numel() == 0:
        return
    planes, amplitude = x.view(-1, *size), given.view(-1, *given.shape[-2:])
    rows, columns = amplitude.shape[-2:]
    plain = formulas.style_amplitude(planes, rows, columns)
    torch.testing.assert_close(plain[:4], amplitude, rtol=1e-10, atol=1e-10)
    native = torch.ops.ipse.style_standardize(planes, amplitude, 1e-8)
    plain = formulas.style_standardize(planes, amplitude, 1e-8)
    torch.testing.assert_close(plain, native, rtol=0, atol=1e-11)
    grad = make_images(4, *size, seed=3).view_as(planes)
    wanted = torch.ops.ipse.style_standardize_backward(grad, planes, amplitude, 1e-8, [True, True])
    made = formulas.style_standardize_gradient(grad, planes, amplitude, 1e-8)
    for mine, other in zip(made, wanted, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-9)
    by_amplitude = torch.rand_like(amplitude)
    native = torch.ops.ipse.style_amplitude_backward(by_amplitude, planes[:4])
    plain = formulas.style_amplitude_gradient(by_amplitude, planes[:4])
    torch.testing.assert_close(plain, native, rtol=1e-9, atol=1e-9)
