"""Data sets and views: the idx reader never guesses, and a view is what it is said to be."""

from __future__ import annotations

import gzip
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ipse.data import (
    DATASETS,
    VIEW_RECIPES,
    DataError,
    ViewDistribution,
    load,
    load_digits,
    load_fashion_mnist,
    random_view,
    read_idx,
    standard_views,
)

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array: np.ndarray) -> bytes:
    """The idx file of an array, written independently of the reader."""
    code = CODES[array.dtype.str[1:]]
    header = bytes([0, 0, code, array.ndim]) + b"".join(struct.pack(">I", n) for n in array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def arrays() -> st.SearchStrategy[np.ndarray]:
    shapes = hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)
    return st.sampled_from(sorted(CODES)).flatmap(lambda kind: hnp.arrays(kind, shapes))


def read_bytes(content: bytes) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "some-idx"
        path.write_bytes(content)
        return read_idx(path)


@given(arrays(), st.booleans())
def test_idx_round_trip(array: np.ndarray, compressed: bool) -> None:
    content = idx_bytes(array)
    read = read_bytes(gzip.compress(content) if compressed else content)
    assert read.dtype == array.dtype
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, array)
    read[...] = 0  # the caller owns it


@given(arrays(), st.data())
def test_idx_of_any_wrong_length_is_refused(array: np.ndarray, data: st.DataObject) -> None:
    content = idx_bytes(array)
    cut = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(DataError, match=r"some-idx: truncated"):
        read_bytes(content[:cut])
    with pytest.raises(DataError, match=r"some-idx: too long"):
        read_bytes(content + b"\0")


@given(arrays(), st.data())
def test_truncated_gzip_is_refused(array: np.ndarray, data: st.DataObject) -> None:
    content = gzip.compress(idx_bytes(array))
    cut = data.draw(st.integers(2, len(content) - 1))
    with pytest.raises(DataError, match=r"some-idx: damaged gzip"):
        read_bytes(content[:cut])


@given(st.binary(max_size=64))
@settings(max_examples=300)
def test_idx_reader_answers_or_raises_its_own_error(content: bytes) -> None:
    try:
        read = read_bytes(content)
    except DataError:
        return
    assert content == idx_bytes(read)


def test_idx_header_that_lies_about_its_size_allocates_nothing() -> None:
    header = bytes([0, 0, 0x0E, 3]) + struct.pack(">III", *[2**32 - 1] * 3)
    with pytest.raises(DataError, match="truncated"):
        read_bytes(header + b"\0" * 8)


def test_idx_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent: cannot be read: No such file"):
        read_idx(tmp_path / "absent")


@pytest.fixture
def fashion_root(tmp_path: Path) -> Path:
    """A tiny data set in Fashion-MNIST's format, one half compressed."""
    random = np.random.default_rng(0)
    for part, count in (("train", 7), ("t10k", 4)):
        images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = random.integers(0, 10, count, dtype=np.uint8)
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    return tmp_path


def test_fashion_mnist_from_a_folder(fashion_root: Path) -> None:
    data = load("fashion-mnist", fashion_root)
    raw = read_idx(fashion_root / "train-images-idx3-ubyte.gz")
    assert data.train_images.shape == (7, 1, 28, 28)
    assert data.test_images.shape == (4, 1, 28, 28)
    assert data.train_images.dtype == torch.float32
    np.testing.assert_allclose(data.train_images[:, 0].numpy() * 255, raw, rtol=1e-6)
    assert data.train_labels.tolist() == read_idx(fashion_root / "train-labels-idx1-ubyte").tolist()
    assert data.classes[9] == "Ankle boot"


def test_fashion_mnist_missing_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        load_fashion_mnist(tmp_path)
    assert "apt install dataset-fashion-mnist" in str(error.value)
    assert "--root" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(6, np.uint8), "expected 7 uint8 labels"),
        (np.full(7, 10, np.uint8), "found label 10"),
        (np.zeros(7, np.int32), "expected 7 uint8 labels"),
    ],
)
def test_fashion_mnist_wrong_labels(fashion_root: Path, labels: np.ndarray, message: str) -> None:
    (fashion_root / "train-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    with pytest.raises(DataError, match=message):
        load_fashion_mnist(fashion_root)


def test_fashion_mnist_wrong_image_size(fashion_root: Path) -> None:
    images = np.zeros((7, 28, 27), np.uint8)
    (fashion_root / "train-images-idx3-ubyte.gz").write_bytes(idx_bytes(images))
    with pytest.raises(DataError, match=r"expected uint8 images of shape \[N, 28, 28\]"):
        load_fashion_mnist(fashion_root)


def test_digits_split_is_fixed_stratified_and_disjoint() -> None:
    first, second = load_digits(), load_digits()
    assert torch.equal(first.train_images, second.train_images)
    assert len(first.train_images) == 1437
    assert len(first.test_images) == 360
    assert first.train_images.min() == 0
    assert first.train_images.max() == 1
    shares = [
        torch.bincount(labels) / len(labels) for labels in (first.train_labels, first.test_labels)
    ]
    torch.testing.assert_close(*shares, atol=0.01, rtol=0)
    seen = {image.numpy().tobytes() for image in first.train_images}
    repeated = sum(image.numpy().tobytes() in seen for image in first.test_images)
    assert repeated == 0


def test_limits() -> None:
    data = load("digits", train_size=100, test_size=30)
    assert len(data.train_images) == len(data.train_labels) == 100
    assert len(data.test_images) == len(data.test_labels) == 30
    with pytest.raises(DataError, match="train_size: got 1438, but digits has 1437"):
        load("digits", train_size=1438)
    with pytest.raises(DataError, match="must be one of digits, fashion-mnist"):
        load("cifar")
    with pytest.raises(DataError, match="root: digits come with scikit-learn"):
        load("digits", root="somewhere")


def view(images: torch.Tensor, seed: int = 0, **changes: object) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    return random_view(images, ViewDistribution(**changes), source)  # type: ignore[arg-type]


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(64, 2, 8, 8, generator=torch.Generator().manual_seed(1))


STRONG = {
    "zoom": (0.7, 1.5),
    "aspect": 1.3,
    "rotation": 20.0,
    "shear": 10.0,
    "shift": 0.1,
    "flip": 0.5,
    "contrast": 0.4,
    "brightness": 0.2,
    "gamma": 1.5,
    "blur": 0.5,
    "noise": 0.1,
    "erase": 0.5,
}


def test_view_depends_on_the_generator_alone(images: torch.Tensor) -> None:
    torch.manual_seed(3)
    first = view(images, **STRONG)
    torch.manual_seed(4)
    assert torch.equal(first, view(images, **STRONG))
    assert not torch.equal(first, view(images, seed=1, **STRONG))


def test_view_draws_per_sample(images: torch.Tensor) -> None:
    same = images[:1].repeat(8, 1, 1, 1)
    views = view(same, **STRONG)
    assert torch.unique(views, dim=0).shape[0] == 8


def test_view_leaves_alone_by_default(images: torch.Tensor) -> None:
    torch.testing.assert_close(view(images), images, atol=1e-5, rtol=0)


def test_view_flip(images: torch.Tensor) -> None:
    torch.testing.assert_close(view(images, flip=1.0), images.flip(3), atol=1e-5, rtol=0)
    flipped = view(images, flip=0.5)
    mirrored = (flipped - images.flip(3)).abs().amax(dim=(1, 2, 3)) < 1e-4
    assert 10 < int(mirrored.sum()) < 54


def test_view_zoom_magnifies_the_centre() -> None:
    square = torch.zeros(1, 1, 16, 16)
    square[:, :, 6:10, 6:10] = 1.0  # 16 pixels of area
    assert view(square, zoom=(2.0, 2.0)).sum().item() == pytest.approx(64, rel=0.1)
    assert view(square, zoom=(0.5, 0.5)).sum().item() == pytest.approx(4, rel=0.1)


def test_view_rotation_keeps_the_centre_and_turns_the_rest() -> None:
    bar = torch.zeros(200, 1, 17, 17)
    bar[:, :, 8, :] = 1.0
    turned = view(bar, rotation=90.0)
    assert turned[:, 0, 8, 8].min() > 0.9
    vertical = turned[:, 0, 1:-1, 8].mean(dim=1)
    assert vertical.max() > 0.9  # some came close to 90 degrees
    assert vertical.min() < 0.2  # and some close to 0


def test_view_shift_is_bounded() -> None:
    dot = torch.zeros(500, 1, 21, 21)
    dot[:, :, 10, 10] = 1.0
    moved = view(dot, shift=0.2)
    positions = torch.arange(21.0)
    mass = moved.sum(dim=(1, 2, 3))
    across = (moved.sum(dim=(1, 2)) * positions).sum(1) / mass
    torch.testing.assert_close(mass, torch.ones(500), atol=1e-3, rtol=0)
    assert across.min() >= 10 - 4.2 - 1e-3
    assert across.max() <= 10 + 4.2 + 1e-3
    assert across.max() - across.min() > 6


def test_view_anywhere_shows_any_part_and_nothing_outside() -> None:
    ramp = torch.linspace(0.1, 0.9, 32).expand(400, 1, 32, 32).clone()
    crop = view(ramp, zoom=(2.0, 2.0), anywhere=True)
    # Beyond the border is black. The outermost samples lie a quarter of a pixel outside the
    # centres of the border's pixels, along both axes in a corner; none lies farther out.
    assert crop.min() >= 0.1 * 0.75**2 - 1e-5
    middles = crop.mean(dim=(1, 2, 3))
    assert middles.min() < 0.32
    assert middles.max() > 0.68
    centred = view(ramp, zoom=(2.0, 2.0)).mean(dim=(1, 2, 3))
    torch.testing.assert_close(centred, torch.full((400,), 0.5), atol=1e-3, rtol=0)
    whole = view(ramp, anywhere=True)
    torch.testing.assert_close(whole, ramp, atol=1e-5, rtol=0)


COLOUR = (("saturation", 0.4), ("hue", 0.2), ("grayscale", 0.5))


@pytest.mark.parametrize(("name", "value"), COLOUR)
def test_view_colour_keeps_the_brightness(name: str, value: float) -> None:
    source = torch.Generator().manual_seed(2)
    images = 0.4 + 0.2 * torch.rand(64, 3, 6, 6, generator=source)  # far from what is clamped
    changed = view(images, **{name: value})
    luma = torch.tensor([0.299, 0.587, 0.114])
    before, after = (torch.einsum("c,nchw->nhw", luma, part) for part in (images, changed))
    torch.testing.assert_close(after, before, atol=1e-3, rtol=0)
    assert (changed - images).abs().max() > 0.02
    gray = changed.std(dim=1).amax(dim=(1, 2)) < 1e-3
    assert int(gray.sum()) in (range(16, 48) if name == "grayscale" else range(1))


def test_view_colour_is_for_three_channels(images: torch.Tensor) -> None:
    plain = view(images, saturation=0.4, hue=0.2, grayscale=0.5)
    torch.testing.assert_close(plain, images, atol=1e-5, rtol=0)


def test_every_data_set_has_its_views() -> None:
    assert set(VIEW_RECIPES) == set(DATASETS)
    for name in DATASETS:
        assert standard_views(name) == VIEW_RECIPES[name]
    with pytest.raises(ValueError, match="standard_views: name must be one of digits"):
        standard_views("photos")


def test_view_erases_one_rectangle() -> None:
    flat = torch.ones(100, 1, 20, 20)
    flat[:, :, 0, 0] = 0.0  # so that the mean differs from the rest
    erased = view(flat, erase=1.0, erase_side=(0.5, 0.5))
    changed = (erased - flat).abs().amax(dim=1) > 1e-4
    assert (changed.sum(dim=(1, 2)) == 100).all()
    rows, columns = changed.any(dim=2).sum(1), changed.any(dim=1).sum(1)
    assert (rows == 10).all()
    assert (columns == 10).all()
    sometimes = (view(flat, erase=0.5) - flat).abs().amax(dim=(1, 2, 3)) > 1e-4
    assert 20 < int(sometimes.sum()) < 80


def test_view_noise_and_intensity(images: torch.Tensor) -> None:
    noisy = view(images, noise=0.2) - images
    deviation = noisy.std(dim=(1, 2, 3))
    assert deviation.max() < 0.26
    assert deviation.max() > 2 * deviation.min()
    brighter = view(images, brightness=0.3)
    assert (brighter.mean(dim=(1, 2, 3)) - images.mean(dim=(1, 2, 3))).std() > 0.05
    assert brighter.min() >= 0
    assert brighter.max() <= 1


@pytest.mark.parametrize("wrong", [torch.zeros(2, 8, 8), torch.zeros(1, 1, 8, 8, dtype=torch.int)])
def test_view_refuses_what_is_no_image_batch(wrong: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"images must be a float tensor \[N, C, H, W\]"):
        view(wrong)
