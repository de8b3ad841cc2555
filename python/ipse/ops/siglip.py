"""``torch.ops.ipse.siglip``: every pair a yes-or-no question of its own."""

from typing import Any

import torch
from torch import Tensor

from ipse import _core
from ipse.ops import similarity_formulas as formulas
from ipse.ops._checks import check_embeddings
from ipse.ops._registry import COMPUTE_DTYPES, define, differentiate, to_numpy

CORE_FUNCTIONS = {"siglip": ("sigmoid_forward", "sigmoid_backward")}


def _check(image: Tensor, text: Tensor, scale: Tensor, bias: Tensor, paired: bool) -> None:
    check_embeddings("siglip_loss", {"image": image, "text": text})
    for argument, value in (("logit_scale", scale), ("logit_bias", bias)):
        if value.numel() != 1:
            raise ValueError(f"siglip_loss: {argument} must be one value, got {value.numel()}")
    if paired and image.shape[0] != text.shape[0]:
        shapes = f"{tuple(image.shape)} and {tuple(text.shape)}"
        raise ValueError(f"siglip_loss: image and text must have the same shape, got {shapes}")


def _samples(image: Tensor, paired: bool) -> int:
    return image.shape[0] if paired else 0


def _forward_cpu(image: Tensor, text: Tensor, scale: Tensor, bias: Tensor, paired: bool) -> Tensor:
    _check(image, text, scale, bias, paired)
    total = _core.sigmoid_forward(
        to_numpy(image),
        to_numpy(text),
        scale.item(),
        bias.item(),
        _samples(image, paired),
        torch.get_num_threads(),
    )
    return image.new_full((), total / image.shape[0], dtype=COMPUTE_DTYPES[image.dtype])


def _forward_other(
    image: Tensor, text: Tensor, scale: Tensor, bias: Tensor, paired: bool
) -> Tensor:
    _check(image, text, scale, bias, paired)
    return formulas.siglip([image, text, scale, bias], paired)


def _forward_fake(image: Tensor, text: Tensor, scale: Tensor, bias: Tensor, paired: bool) -> Tensor:
    _check(image, text, scale, bias, paired)
    return image.new_empty((), dtype=COMPUTE_DTYPES[image.dtype])


def _setup_forward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.paired = inputs
    ctx.save_for_backward(*tensors)


def _forward_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    image, text, scale, bias = ctx.saved_tensors
    wanted = list(ctx.needs_input_grad[:4])
    if image.device.type == "cpu":
        found = torch.ops.ipse.siglip_backward(grad, image, text, scale, bias, ctx.paired, wanted)
    else:
        found = differentiate(
            lambda *inner: formulas.siglip(inner, ctx.paired), [image, text, scale, bias], [grad]
        )
    return (*[g if want else None for g, want in zip(found, wanted, strict=True)], None)


def _empty_grads(inputs: tuple[Tensor, ...], wanted: list[bool]) -> list[Tensor]:
    return [t.new_empty(t.shape if want else (0,)) for t, want in zip(inputs, wanted, strict=True)]


def _backward_cpu(
    grad: Tensor,
    image: Tensor,
    text: Tensor,
    scale: Tensor,
    bias: Tensor,
    paired: bool,
    wanted: list[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    by_image, by_text, by_scale, by_bias = _empty_grads((image, text, scale, bias), wanted)
    of_scale, of_bias = _core.sigmoid_backward(
        to_numpy(image),
        to_numpy(text),
        scale.item(),
        bias.item(),
        _samples(image, paired),
        grad.item() / image.shape[0],
        to_numpy(by_image) if wanted[0] else None,
        to_numpy(by_text) if wanted[1] else None,
        torch.get_num_threads(),
    )
    if wanted[2]:
        by_scale.fill_(of_scale)
    if wanted[3]:
        by_bias.fill_(of_bias)
    return by_image, by_text, by_scale, by_bias


def _backward_fake(
    grad: Tensor,
    image: Tensor,
    text: Tensor,
    scale: Tensor,
    bias: Tensor,
    paired: bool,
    wanted: list[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    first, second, third, fourth = _empty_grads((image, text, scale, bias), wanted)
    return first, second, third, fourth


def _setup_backward(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    *tensors, ctx.paired, ctx.wanted = inputs
    ctx.save_for_backward(*tensors)


def _backward_backward(ctx: Any, *gg: Tensor | None) -> tuple[Any, ...]:
    def gradient(grad: Tensor, *inner: Tensor) -> tuple[Tensor, ...]:
        found = differentiate(lambda *t: formulas.siglip(t, ctx.paired), inner, [grad])
        return tuple(
            torch.zeros_like(t) if g is None else g for g, t in zip(found, inner, strict=True)
        )

    outer = [g if want else None for g, want in zip(gg, ctx.wanted, strict=True)]
    return (*differentiate(gradient, ctx.saved_tensors, outer), None, None)


define(
    "siglip(Tensor image, Tensor text, Tensor scale, Tensor bias, bool paired) -> Tensor",
    cpu=_forward_cpu,
    other=_forward_other,
    fake=_forward_fake,
    setup_context=_setup_forward,
    backward=_forward_backward,
)
define(
    "siglip_backward(Tensor grad, Tensor image, Tensor text, Tensor scale, Tensor bias,"
    " bool paired, bool[4] wanted)"
    " -> (Tensor grad_image, Tensor grad_text, Tensor grad_scale, Tensor grad_bias)",
    cpu=_backward_cpu,
    other=None,
    fake=_backward_fake,
    setup_context=_setup_backward,
    backward=_backward_backward,
    autocast_float32=False,
)
