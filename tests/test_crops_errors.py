"""What the crops refuse, and what they say."""

import re

import numpy as np
import pytest
import torch
from torch import Tensor

from ipse import _core
from tests.crop_cases import KINDS, Kind

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
IMAGES = torch.zeros(2, 3, 8, 9)


@each_kind
@pytest.mark.parametrize(
    ("x", "size", "message"),
    [
        (IMAGES, 0, "the height must be at least 1 and at most the input's 8, got 0"),
        (IMAGES, (8, 0), "the width must be at least 1 and at most the input's 9, got 0"),
        (IMAGES, (4, -3), "the width must be at least 1 and at most the input's 9, got -3"),
        (IMAGES, 9, "the height must be at least 1 and at most the input's 8, got 9"),
        (IMAGES, (8, 10), "the width must be at least 1 and at most the input's 9, got 10"),
        (torch.zeros(5), 1, "x must be (..., H, W), got shape (5,)"),
        (
            torch.zeros(0, 3, 0, 4),
            1,
            "the height must be at least 1 and at most the input's 0, got 1",
        ),
    ],
)
def test_sizes(kind: Kind, x: Tensor, size: object, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{kind.name}: {message}")):
        kind.function(x, size)


@each_kind
@pytest.mark.parametrize(
    "dtype", [torch.complex64, torch.int64, torch.int8, torch.bool, torch.int32], ids=str
)
def test_dtypes(kind: Kind, dtype: torch.dtype) -> None:
    message = f"{kind.name}: x must be uint8, float32, float64, bfloat16 or float16, got {dtype}"
    for size in (4, 8):
        with pytest.raises(TypeError, match=re.escape(message)):
            kind.function(torch.zeros(2, 8, 8, dtype=dtype), size)
    with pytest.raises(TypeError, match="dtype must be float32, float64, bfloat16 or float16, got"):
        kind.function(IMAGES, 4, dtype=dtype)


@each_kind
@pytest.mark.parametrize("size", [2.0, "4", (4,), (4, 4, 4), (4, 2.5), torch.tensor([1.5, 2.0])])
def test_size_of_another_type(kind: Kind, size: object) -> None:
    with pytest.raises(TypeError, match="size must be an integer or \\(height, width\\), got"):
        kind.function(IMAGES, size)


@each_kind
def test_mean_and_std(kind: Kind) -> None:
    with pytest.raises(ValueError, match="mean must be a number or one for each of 3 channels"):
        kind.function(IMAGES, 4, mean=[0.5, 0.5])
    with pytest.raises(ValueError, match="std must be a number or one for each of 3 channels"):
        kind.function(IMAGES, 4, std=[0.5] * 4)
    with pytest.raises(ValueError, match="std must not be 0, got 0"):
        kind.function(IMAGES, 4, std=0)
    with pytest.raises(ValueError, match="scale must have one value for each of 3 channels"):
        kind.op(IMAGES, 4, 4, torch.ones(2), None, torch.float32)
    with pytest.raises(ValueError, match="shift needs a channel axis"):
        kind.op(IMAGES[0, 0], 4, 4, None, torch.ones(1), torch.float32)


@each_kind
def test_sparse_images(kind: Kind) -> None:
    with pytest.raises(TypeError, match="x must be a dense tensor"):
        kind.function(torch.zeros(8, 8).to_sparse(), 4)


@pytest.mark.parametrize("name", ["fourier_crop", "lanczos_crop"])
def test_the_core_checks_for_itself(name: str) -> None:
    forward = getattr(_core, f"{name}_forward")
    backward = getattr(_core, f"{name}_backward")
    x, y = np.zeros((2, 3, 8, 9), np.float32), np.zeros((2, 3, 4, 5), np.float32)

    def refused(error: type[Exception], message: str, call: object, *arguments: object) -> None:
        with pytest.raises(error, match=re.escape(message)):
            call(*arguments)  # type: ignore[operator]

    refused(ValueError, "x must have 4 dimensions, got 3", forward, x[0], y)
    refused(TypeError, "x must be float32, float64", forward, x.astype(np.int32), y)
    refused(TypeError, "cropped must be floating point, got uint8", forward, x, y.astype(np.uint8))
    refused(ValueError, "must have the same images and channels", forward, x[:1], y)
    refused(ValueError, "cropped must be at least 1 pixel and at most x", forward, y, x)
    refused(ValueError, "grad must be at least 1 pixel and at most grad_x", backward, x, y)
    refused(ValueError, "cropped must be in C order or channels last", forward, x, y[..., ::2])
    refused(ValueError, "scale must have one value for each of 3", forward, x, y, [1.0])
    refused(ValueError, "cropped must not overlap x", forward, x, x[..., :9])
    refused(ValueError, "num_threads must be at least 0", forward, x, y, None, None, -1)
    frozen = y.copy()
    frozen.setflags(write=False)
    refused(ValueError, "cropped must be writable", forward, x, frozen)
