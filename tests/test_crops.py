"""fourier_crop and lanczos_crop: values against the definition, Pillow, and theory."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from ipse import _core
from ipse.functional import fourier_crop, lanczos_crop
from tests.crop_cases import HALF, KINDS, LAYOUTS, SIZES, TOLERANCE, Kind, make_images
from tests.reference import crops as reference

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
each_size = pytest.mark.parametrize(("size", "small"), SIZES, ids=str)
sides = st.integers(1, 300)


def assert_crop(kind: Kind, x: Tensor, small: tuple[int, int], unit: float) -> None:
    got = kind.function(x, small)
    assert got.shape == (*x.shape[:-2], *small)
    assert got.dtype == x.dtype
    wanted = kind.oracle(x.double(), *small)
    assert (got.double() - wanted).abs().max() <= unit * x.double().abs().max()


@each_kind
@each_size
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_equals_reference(
    kind: Kind, size: tuple[int, int], small: tuple[int, int], dtype: torch.dtype
) -> None:
    assert_crop(kind, make_images((2, 3, *size), dtype), small, TOLERANCE[dtype])


@given(height=sides, width=sides, data=st.data(), planes=st.integers(1, 3))
@example(height=293, width=283, data=None, planes=2)
def test_fourier_crop_of_any_size(
    height: int, width: int, data: st.DataObject | None, planes: int
) -> None:
    small = (1, 282)
    if data is not None:
        small = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    x = make_images((planes, 1, height, width))
    kept = fourier_crop(x, small)
    wanted = reference.fourier_crop(x, *small)
    assert (kept - wanted).abs().max() < 1e-12
    relative = (fourier_crop(x.float(), small).double() - wanted).abs().max() / wanted.abs().max()
    assert relative < 1e-5


@pytest.mark.parametrize(
    ("size", "small"), [(224, 160), (224, 192), (224, 96), (28, 20), (32, 16), (225, 160)]
)
def test_the_released_code(size: int, small: int) -> None:
    x = make_images((1, 2, size, size))
    assert (fourier_crop(x, small) - reference.released_crop(x, small)).abs().max() < 1e-12


@pytest.mark.parametrize("small", [20, 21, 28])
def test_a_band_limited_image_is_resampled_exactly(small: int) -> None:
    """The same function of the plane, on the coarser grid."""

    def plane(size: int) -> Tensor:
        t = torch.arange(size, dtype=torch.float64) / size
        line = torch.stack([torch.cos(2 * math.pi * k * t + k) for k in range(10)]).sum(0)
        return line[:, None] * torch.sin(2 * math.pi * 3 * t + 1) + line[None, :]

    assert (fourier_crop(plane(28), small) - plane(small)).abs().max() < 1e-12


@pytest.mark.parametrize(("size", "small"), [(28, 16), (28, 15), (31, 16), (224, 160)])
def test_frequencies_outside_contribute_nothing(size: int, small: int) -> None:
    t = torch.arange(size)
    line = 1 + torch.sin(2 * math.pi * t / size).double()
    for k in range(small // 2 + 1, size // 2 + 1):
        # k t reduced as integers: else the wave itself is off by 1e-13.
        wave = torch.cos(2 * math.pi * (k * t % size).double() / size + 0.3)[:, None] * line
        assert fourier_crop(wave, small).abs().max() < 1e-13


@each_kind
@pytest.mark.parametrize(("size", "small"), [(33, 20), (28, 14), (30, 7)])
def test_the_mean_stays(kind: Kind, size: int, small: int) -> None:
    constant = torch.full((1, size, size), 0.7, dtype=torch.float64)
    assert (kind.function(constant, small) - 0.7).abs().max() < 1e-14
    if kind.name == "fourier_crop":
        x = make_images((3, size, size))
        means = fourier_crop(x, small).mean((-2, -1)), x.mean((-2, -1))
        torch.testing.assert_close(*means, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("size", "small"), SIZES, ids=str)
def test_lanczos_equals_pillow(size: tuple[int, int], small: tuple[int, int]) -> None:
    x = make_images(size, torch.float32)
    image = Image.fromarray(x.numpy()).resize(small[::-1], Image.Resampling.LANCZOS)
    got = lanczos_crop(x, small)
    np.testing.assert_allclose(got.numpy(), np.asarray(image), rtol=0, atol=2e-6)


@each_kind
@each_size
@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_half_precision_is_computed_in_float32(
    kind: Kind, size: tuple[int, int], small: tuple[int, int], dtype: torch.dtype
) -> None:
    x = make_images((1, 3, *size), dtype)
    got, wanted = kind.function(x, small), kind.oracle(x.double(), *small)
    assert got.dtype == dtype
    bound = HALF[dtype] * wanted.abs() + 1e-5 * x.double().abs().max()
    assert bool(((got.double() - wanted).abs() <= bound).all())


@each_kind
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.uint8])
@pytest.mark.parametrize("channels", [1, 3, 4, 37])
def test_layouts(kind: Kind, layout: str, dtype: torch.dtype, channels: int) -> None:
    """The values depend on the values alone; only channels_last gives channels_last."""
    x = make_images((3, channels, 21, 38), dtype)
    laid = LAYOUTS[layout](x)
    for small in ((20, 18), (21, 19), (13, 38), (9, 33)):
        wanted, got = kind.function(x, small), kind.function(laid, small)
        tolerance = 1e-12 if dtype is torch.float64 else 2**-8 if dtype in HALF else 1e-5
        torch.testing.assert_close(got, wanted, rtol=tolerance, atol=tolerance)
        last = layout == "channels_last" and channels > 1
        assert got.is_contiguous(
            memory_format=torch.channels_last if last else torch.contiguous_format
        )


@each_kind
def test_leading_dimensions(kind: Kind) -> None:
    x = make_images((2, 3, 4, 14, 18))
    wanted = kind.oracle(x, 9, 8)
    for shape in ((14, 18), (4, 14, 18), (3, 4, 14, 18), (2, 3, 4, 14, 18)):
        part = x[(0,) * (5 - len(shape))]
        got = kind.function(part, (9, 8))
        torch.testing.assert_close(got, wanted[(0,) * (5 - len(shape))], rtol=0, atol=1e-12)
    crossed = x.transpose(0, 1)
    torch.testing.assert_close(
        kind.function(crossed, (9, 8)), wanted.transpose(0, 1), rtol=0, atol=1e-12
    )


@each_kind
def test_uint8_images_are_normalised(kind: Kind) -> None:
    x = make_images((2, 3, 30, 30), torch.uint8)
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]
    columns = [torch.tensor(v, dtype=torch.float64).view(3, 1, 1) for v in (mean, std)]
    plain = (x.double() / 255 - columns[0]) / columns[1]
    wanted = kind.oracle(plain, 20, 17)
    for dtype, unit in ((None, 1e-5), (torch.float64, 1e-12), (torch.bfloat16, 2**-7)):
        for layout in LAYOUTS.values():
            got = kind.function(layout(x), (20, 17), mean=mean, std=torch.tensor(std), dtype=dtype)
            assert got.dtype == (dtype or torch.float32)
            bound = 1e-7 + unit * wanted.abs().max()
            assert (got.double() - wanted).abs().max() <= bound
    whole = kind.function(x, 30, mean=mean, std=std, dtype=torch.float64)
    torch.testing.assert_close(whole, plain, rtol=1e-14, atol=1e-14)
    one = kind.function(x[0, 0], 20, mean=0.5)
    torch.testing.assert_close(
        one.double(), kind.oracle(x[0, 0].double() / 255 - 0.5, 20, 20), rtol=0, atol=1e-6
    )


@each_kind
def test_identity(kind: Kind) -> None:
    for size in (1, 2, 27, 28):
        x = make_images((2, 2, size, size), torch.float32)
        assert kind.function(x, size) is x
        assert torch.equal(kind.op(x, size, size, None, None, torch.float32), x)
        assert torch.equal(kind.function(x, size, dtype=torch.float64), x.double())
    # One axis alone: the other passes through bit by bit, Nyquist row included.
    x = make_images((1, 1, 28, 30), torch.float32)
    rows = torch.stack([kind.function(line[None], (1, 16))[0] for line in x[0, 0]])
    assert torch.equal(kind.function(x, (28, 16))[0, 0], rows)


@each_kind
@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (2, 0, 8, 8), (0, 8, 8), (2, 0, 3, 8, 8)])
def test_empty_batch(kind: Kind, shape: tuple[int, ...]) -> None:
    x = torch.zeros(shape, requires_grad=True)
    got = kind.function(x, (3, 4))
    assert got.shape == (*shape[:-2], 3, 4)
    got.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == shape


@each_kind
@pytest.mark.usefixtures("restored_threads")
def test_same_bits_for_every_number_of_threads(kind: Kind) -> None:
    x = make_images((7, 3, 60, 61), torch.float32)
    results = []
    for threads in (1, 2, 3, 7):
        torch.set_num_threads(threads)
        results += [kind.function(x, (40, 30)), kind.function(x, (40, 30))]
    assert all(torch.equal(result, results[0]) for result in results)


@each_kind
def test_nan_and_infinity_stay_in_their_plane(kind: Kind) -> None:
    x = make_images((1, 5, 20, 20), torch.float32)
    clean = kind.function(x, 12)
    x[0, 1, 3, 4], x[0, 3, 9, 0] = math.nan, math.inf
    got = kind.function(x, 12)
    assert torch.equal(got[0, ::2], clean[0, ::2])
    assert not got[0, 1::2].isfinite().all()


@each_kind
def test_linear(kind: Kind) -> None:
    x, v = make_images((2, 3, 8, 9)), make_images((2, 3, 8, 9), seed=1)
    difference = kind.function(x + v, 5) - kind.function(x, 5)
    torch.testing.assert_close(kind.function(v, 5), difference, rtol=0, atol=1e-12)


def test_operators_are_kept_up_to_a_bound() -> None:
    for height in range(2, 120):
        fourier_crop(torch.ones(height, 3), (height // 2 + 1, 2))
    operators, size = _core.crop_operator_cache()
    assert 0 < operators <= 64
    assert 0 < size <= 64 << 20


def test_operators_larger_than_the_bound_are_not_kept() -> None:
    fourier_crop(torch.ones(1, 8500), (1, 8200))
    assert _core.crop_operator_cache()[1] <= 64 << 20


def test_any_thread_may_call() -> None:
    images = [make_images((1, 1, 50 + i % 7, 40), seed=i) for i in range(60)]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda x: fourier_crop(x, (33, 21)), images))
    for x, y in zip(images, got, strict=True):
        assert (y - reference.fourier_crop(x, 33, 21)).abs().max() < 1e-12
