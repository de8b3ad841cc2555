"""RandAugment: timm's ranges, a strength that can be changed, repeatable draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import auto_augment as theirs

from ipse.data import RAND_AUGMENT_OPERATIONS, RandAugment, rand_augment_operation

TIMM = {
    "autocontrast": "AutoContrast",
    "equalize": "Equalize",
    "invert": "Invert",
    "posterize": "PosterizeIncreasing",
    "solarize": "SolarizeIncreasing",
    "solarize_add": "SolarizeAdd",
    "color": "ColorIncreasing",
    "contrast": "ContrastIncreasing",
    "brightness": "BrightnessIncreasing",
    "sharpness": "SharpnessIncreasing",
    "rotate": "Rotate",
    "shear_x": "ShearX",
    "shear_y": "ShearY",
    "translate_x": "TranslateXRel",
    "translate_y": "TranslateYRel",
}


@pytest.fixture
def photo() -> torch.Tensor:
    """Smooth colours with an edge: [3, 40, 40] uint8."""
    source = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 5, 5, generator=source)
    smooth = torch.nn.functional.interpolate(coarse, (40, 40), mode="bicubic").clamp(0, 1)[0]
    smooth[:, 10:25, 12:30] *= 0.5
    return (255 * smooth).to(torch.uint8)


def as_image(photo: torch.Tensor) -> Image.Image:
    return Image.fromarray(photo.permute(1, 2, 0).numpy())


@pytest.mark.parametrize("strength", [0.0, 3.0, 7.5, 9.9])  # timm's posterize fails at 10
@pytest.mark.parametrize(
    "name", [n for n in TIMM if "_x" not in n and "_y" not in n and n != "rotate"]
)
def test_colours_are_timms(
    name: str, strength: float, photo: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(theirs.random, "random", lambda: 0.9)  # timm: above 0.5 is the minus sign
    image, level = as_image(photo), theirs.LEVEL_TO_ARG[TIMM[name]]
    arguments = () if level is None else level(strength, {})
    wanted = theirs.NAME_TO_OP[TIMM[name]](image, *arguments)
    got = rand_augment_operation(image, name, strength, negative=True)
    assert np.abs(np.asarray(got).astype(int) - np.asarray(wanted)).max() <= 1


@pytest.mark.parametrize("name", ["rotate", "shear_x", "shear_y", "translate_x", "translate_y"])
def test_movements_have_timms_range(name: str, photo: torch.Tensor) -> None:
    """Up to which of the two directions is called the first, which is drawn at random."""
    image, level = as_image(photo), theirs.LEVEL_TO_ARG[TIMM[name]]
    (amount,) = level(10.0, {"translate_pct": 0.45})
    way = {"resample": Image.BILINEAR, "fillcolor": (128, 128, 128)}
    wanted = theirs.NAME_TO_OP[TIMM[name]](image, amount, **way)
    inside = (
        slice(10, 30),
        slice(10, 30),
    )  # borders and shear's fixed point are each library's own
    differences = []
    for negative in (False, True):
        got = rand_augment_operation(image, name, 10.0, negative=negative)
        best = min(
            np.abs(
                np.roll(np.asarray(got).astype(int), (down, right), (0, 1))[inside]
                - np.asarray(wanted).astype(int)[inside]
            ).mean()
            for down in range(-8, 9)
            for right in range(-8, 9)
        )
        differences.append(best)
    assert min(differences) < 2 < max(differences)


@pytest.mark.parametrize("name", RAND_AUGMENT_OPERATIONS)
def test_tensors_and_images_come_out_alike(name: str, photo: torch.Tensor) -> None:
    tensor = rand_augment_operation(photo, name, 6.0, negative=False)
    image = rand_augment_operation(as_image(photo), name, 6.0, negative=False)
    assert tensor.dtype == torch.uint8
    assert tensor.shape == photo.shape
    other = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)
    # Where nothing comes in from outside, which the two blend in differently.
    inside = (tensor.int() - other.int())[:, 8:32, 8:32]
    assert inside.abs().float().mean() < 1


def test_posterize_keeps_a_bit(photo: torch.Tensor) -> None:
    image = rand_augment_operation(as_image(photo), "posterize", 10.0, negative=False)
    assert set(np.asarray(image).flatten()) == {0, 128}


@pytest.mark.parametrize("negative", [False, True])
def test_translations_are_parts_of_the_side(negative: bool, photo: torch.Tensor) -> None:
    moved = rand_augment_operation(photo, "translate_x", 5.0, negative=negative)
    back = rand_augment_operation(photo, "translate_y", 10.0, negative=negative)
    if negative:
        assert torch.equal(moved[:, :, :31], photo[:, :, 9:])
        assert torch.equal(back[:, :22], photo[:, 18:])
        assert (moved[:, :, 31:] == 128).all()
    else:
        assert torch.equal(moved[:, :, 9:], photo[:, :, :31])
        assert torch.equal(back[:, 18:], photo[:, :22])
        assert (moved[:, :, :9] == 128).all()


@pytest.mark.parametrize("name", RAND_AUGMENT_OPERATIONS[3:-2])
def test_stronger_is_further_from_the_image(name: str, photo: torch.Tensor) -> None:
    """Increasing: none of them does less at a higher strength."""
    distances = [
        float((rand_augment_operation(photo, name, m, negative=True).int() - photo).abs().sum())
        for m in (0.0, 3.0, 6.0, 10.0)
    ]
    assert distances == sorted(distances)
    assert distances[0] < distances[-1]


def test_magnitude_can_be_changed(photo: torch.Tensor) -> None:
    augment = RandAugment(generator=torch.Generator().manual_seed(0))

    def distance() -> float:
        augment.generator.manual_seed(0)
        images = [augment(photo).int() for _ in range(60)]
        return float(sum((image - photo).abs().sum() for image in images))

    far = distance()
    assert far == distance()
    augment.magnitude = 1.0
    assert distance() < far
    augment.magnitude = 10.5
    with pytest.raises(ValueError, match=r"magnitude must be from 0 to 10, got 10\.5"):
        augment(photo)
    with pytest.raises(ValueError, match=r"name must be one of autocontrast, .*got 'blur'"):
        rand_augment_operation(photo, "blur", 1.0, negative=False)


def test_operations_are_done_half_of_the_time(
    photo: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, float]] = []
    monkeypatch.setattr(
        "ipse.data.rand_augment.rand_augment_operation",
        lambda image, name, strength, negative: done.append((name, strength)) or image,
    )
    augment = RandAugment(9.9, generator=torch.Generator().manual_seed(0))
    for _ in range(1000):
        augment(photo)
    assert abs(len(done) - 1000) < 5 * (2000 * 0.25) ** 0.5
    assert {name for name, _ in done} == set(RAND_AUGMENT_OPERATIONS)
    strengths = [strength for _, strength in done]
    assert max(strengths) == 10.0
    assert 8.0 < min(strengths) < 9.0
