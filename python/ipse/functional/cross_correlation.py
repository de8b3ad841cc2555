"""Second-moment losses of two views: Barlow Twins, VICReg."""

import torch
from torch import Tensor

import ipse.ops  # noqa: F401  # registers torch.ops.ipse.*

__all__ = ["barlow_twins_loss", "vicreg_loss"]


def _will_differentiate(z1: Tensor, z2: Tensor) -> bool:
    return torch.is_grad_enabled() and (z1.requires_grad or z2.requires_grad)


def barlow_twins_loss(
    z1: Tensor,
    z2: Tensor,
    lambda_param: float = 5e-3,
    *,
    eps: float = 1e-5,
    side: str = "auto",
) -> Tensor:
    """The Barlow Twins loss: ``sum_i (C_ii - 1)^2 + lambda sum_{i != j} C_ij^2``.

    ``C = Z1^T Z2 / N`` is the cross-correlation of the two views after each feature is
    standardised over the batch (biased variance, ``eps`` inside the root), as in
    lightly's ``BarlowTwinsLoss`` and the official code.

    Args:
        z1, z2: (N, D) embeddings of the two views, N >= 2, D >= 1, one dtype: float32,
            float64, bfloat16 or float16. Any strides. NaN and infinity propagate.
        lambda_param: weight of the off-diagonal (redundancy) term.
        eps: added to the variances. A feature that is constant in a view contributes 1; its
            gradient is finite but large, of the order 1 / sqrt(eps).
        side: ``"samples"`` works through (N, N) Gram matrices, ``"features"`` through C;
            ``"auto"`` takes the cheaper. Both are exact.

    Returns:
        Scalar tensor; float32 for 16-bit inputs, which are computed in float32. In an
        autocast region inputs are cast to float32. Twice differentiable.

    Raises:
        ValueError: shapes differ, are not (N, D), N < 2 or D < 1, devices differ, or
            ``side`` is unknown.
        TypeError: dtypes differ or are not floating point.

    Memory:
        Beyond inputs and gradients O(N^2) on the samples side (no D x D matrix exists);
        one (D, D) matrix and 2 N D values on the features side, on the CPU.

    Source:
        Zbontar et al., Barlow Twins, ICML 2021 (arXiv 2103.03230), equations 1 and 2. The
        samples side rests on ``||Z1^T Z2||_F^2 = <Z1 Z1^T, Z2 Z2^T>_F``.
    """
    loss, _ = torch.ops.ipse.barlow_twins(
        z1, z2, lambda_param, eps, side, _will_differentiate(z1, z2)
    )
    return loss


def vicreg_loss(
    z1: Tensor,
    z2: Tensor,
    lambda_param: float = 25.0,
    mu_param: float = 25.0,
    nu_param: float = 1.0,
    *,
    eps: float = 1e-4,
    side: str = "auto",
) -> Tensor:
    """The VICReg loss: invariance, variance and covariance terms.

    ``lambda mean((z1 - z2)^2) + mu/2 sum_v mean_d relu(1 - std_vd) + nu/D sum_v
    sum_{i != j} cov_v,ij^2`` with ``std = sqrt(var + eps)`` and unbiased variances and
    covariances, as in lightly's ``VICRegLoss`` and the official code.

    Args:
        z1, z2: (N, D) embeddings of the two views, N >= 2, D >= 1, one dtype: float32,
            float64, bfloat16 or float16. Any strides. NaN and infinity propagate.
        lambda_param, mu_param, nu_param: weights of invariance, variance and covariance.
        eps: added to the variances.
        side: ``"samples"`` works through (N, N) Gram matrices, ``"features"`` through the
            covariance matrices; ``"auto"`` takes the cheaper. Both are exact.

    Returns:
        Scalar tensor; float32 for 16-bit inputs, which are computed in float32. In an
        autocast region inputs are cast to float32. Twice differentiable.

    Raises:
        ValueError: shapes differ, are not (N, D), N < 2 or D < 1, devices differ, or
            ``side`` is unknown.
        TypeError: dtypes differ or are not floating point.

    Memory:
        As for :func:`barlow_twins_loss`; the two covariance matrices share one (D, D) buffer.

    Source:
        Bardes, Ponce, LeCun, VICReg, ICLR 2022 (arXiv 2105.04906), equations 1 to 6.
    """
    loss, _ = torch.ops.ipse.vicreg(
        z1, z2, lambda_param, mu_param, nu_param, eps, side, _will_differentiate(z1, z2)
    )
    return loss
