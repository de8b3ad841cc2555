"""Contrastive losses of images and texts: CLIP and SigLIP."""

import torch
from torch import Tensor

import ipse.ops  # noqa: F401  # registers torch.ops.ipse.*
from ipse.ops.similarity import contrast_loss

__all__ = ["clip_loss", "siglip_loss"]


def clip_loss(
    image: Tensor,
    text: Tensor,
    logit_scale: float | Tensor,
    logit_bias: float | Tensor | None = None,
) -> Tensor:
    """CLIP's loss: each image must pick out its text and each text its image.

    The mean of the two cross-entropies of ``logit_scale * image @ text.T``. Both directions
    come from one pass over the similarities and one recomputation in backward.

    Args:
        image, text: (N, D) features, row by row a pair, **normalised by the caller** as in
            open_clip; one dtype: float32, float64, bfloat16 or float16. Any strides.
        logit_scale: number or one-element tensor that multiplies the similarities (the
            exponential of the learned parameter); its gradient comes in the same pass.
        logit_bias: added to every logit, which a softmax does not notice: it changes neither
            the value nor any gradient and is here for its place in the signature.

    Returns:
        Scalar tensor; float32 for 16-bit inputs. Twice differentiable.

    Raises:
        ValueError: shapes or devices differ, or logit_scale is more than one value.
        TypeError: dtypes differ or are not floating point.

    Memory:
        O(N D) beyond inputs and gradients, on the CPU: no (N, N) matrix exists.

    Source:
        Radford et al., Learning Transferable Visual Models From Natural Language Supervision,
        ICML 2021 (arXiv 2103.00020), figure 3.
    """
    scale = logit_scale if isinstance(logit_scale, Tensor) else None
    constant = 0.0 if isinstance(logit_scale, Tensor) else float(logit_scale)
    loss = contrast_loss("clip", image, text, scale, constant, image.shape[0])
    if isinstance(logit_bias, Tensor) and logit_bias.requires_grad:
        loss = loss + 0.0 * logit_bias.to(loss.dtype).sum()  # its gradient is zero, not missing
    return loss


def siglip_loss(
    image: Tensor,
    text: Tensor,
    logit_scale: float | Tensor,
    logit_bias: float | Tensor | None = None,
    *,
    paired: bool = True,
) -> Tensor:
    """SigLIP's loss: every image and text are asked by themselves whether they belong together.

    ``-1/N sum_ij log sigmoid(z_ij (logit_scale s_ij + logit_bias))``, z = 1 for pairs and -1
    for all others; as open_clip's ``SigLipLoss``.

    Args:
        image: (N, D) features, **normalised by the caller**; float32, float64, bfloat16 or
            float16. Any strides.
        text: (N, D) features, row by row image's pair; (K, D) where ``paired`` is False.
        logit_scale, logit_bias: numbers or one-element tensors; their gradients come in the
            same pass.
        paired: False: all pairs are negatives, such as texts of another process.

    Returns:
        Scalar tensor; float32 for 16-bit inputs. Twice differentiable.

    Raises:
        ValueError: shapes or devices do not fit, or scale or bias is more than one value.
        TypeError: dtypes differ or are not floating point.

    Memory:
        O(N D) beyond inputs and gradients, on the CPU: no (N, N) matrix exists.

    Source:
        Zhai et al., Sigmoid Loss for Language Image Pre-Training, ICCV 2023 (arXiv 2303.15343),
        section 3.
    """

    def tensor(value: float | Tensor | None) -> Tensor:
        if isinstance(value, Tensor):
            return value
        return torch.tensor(
            0.0 if value is None else value, dtype=torch.float64, device=image.device
        )

    loss: Tensor = torch.ops.ipse.siglip(
        image, text, tensor(logit_scale), tensor(logit_bias), paired
    )
    return loss
