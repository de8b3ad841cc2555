"""Mixed Barlow Twins: a third, mixed image whose correlations must be mixtures too."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ipse.functional.cross_correlation import barlow_twins_loss
from ipse.ops._registry import COMPUTE_DTYPES
from ipse.ops.cross_correlation import check_views, resolve_side

__all__ = ["mixed_barlow_twins_loss", "mixed_correlation_penalty"]


def mixed_barlow_twins_loss(
    z1: Tensor,
    z2: Tensor,
    z_mixed: Tensor,
    permutation: Tensor,
    mix_weight: float | Tensor,
    lambda_param: float = 1 / 128,
    regularization: float = 4.0,
    *,
    eps: float = 1e-5,
    detach_targets: bool = False,
    side: str = "auto",
) -> Tensor:
    """Barlow Twins plus a penalty on mixed samples: ``L_BT + regularization lambda L_reg``.

    ``L_BT = sum_i (C_ii - 1)^2 + lambda sum_{i != j} C_ij^2`` with ``C = Z1^T Z2 / N``, and
    ``L_reg`` is :func:`mixed_correlation_penalty`. Features are standardised over the batch as in
    the official code, by the *unbiased* deviation, so ``L_BT`` is that of
    :func:`barlow_twins_loss` with C scaled by (N - 1) / N.

    Args:
        z1, z2: (N, D) embeddings of the two views, N >= 2, D >= 1, one dtype: float32,
            float64, bfloat16 or float16.
        z_mixed: (N, D) embeddings of the images ``mix_weight x1 + (1 - mix_weight)
            x2[permutation]``.
        permutation: (N,) integers, the order of the second view's images in the mix.
        mix_weight: share of the first view in the mix, in [0, 1]; the paper draws one number a
            step, uniformly.
        lambda_param: weight of the off-diagonal (redundancy) term.
        regularization: weight of the penalty, times ``lambda_param``. The official code for small
            images uses 4 (STL-10: 2), that for ImageNet 0.5 to 1 behind a ramp of ten epochs.
        eps: added to the variances; the official code has none and divides by zero where a
            feature is constant.
        detach_targets: no gradient through the mixture of the views' own correlations; another
            method than the paper's.
        side: ``"samples"`` works through (N, N) matrices, ``"features"`` through (D, D);
            ``"auto"`` takes the cheaper. Both are exact.

    Returns:
        Scalar tensor; float32 for 16-bit inputs, which are computed in float32. In an autocast
        region inputs are cast to float32. Twice differentiable.

    Raises:
        ValueError: shapes differ, are not (N, D), N < 2 or D < 1, devices differ, ``mix_weight``
            is outside [0, 1], ``permutation`` is not one of N, or ``side`` is unknown.
        TypeError: dtypes differ or are not floating point.

    Memory:
        Standardised copies of the three inputs and two (N, N) matrices on the samples side, two
        (D, D) matrices on the features side, beyond :func:`barlow_twins_loss`.

    Source:
        Bandara, De Melo, Patel, Guarding Barlow Twins Against Overfitting with Mixed Samples
        (arXiv 2312.02151), and its official code for small images.
    """
    name = "mixed_barlow_twins_loss"
    side = _check(name, z1, z2, z_mixed, permutation, mix_weight, side)
    a, b, mixed = (_standardised(z, eps) for z in (z1, z2, z_mixed))
    samples, features = z1.shape
    # The native loss standardises by the biased deviation: its C is 1 / shrink times ours, if its
    # eps is shrunk too. The diagonal, cheap to have, makes up for the rest.
    shrink = (samples - 1) / samples
    biased = barlow_twins_loss(z1, z2, lambda_param, eps=eps * shrink, side=side)
    trace = (a * b).sum() / samples
    barlow_twins = shrink**2 * biased - 2 * (1 - shrink) * trace + features * (1 - shrink**2)
    penalty = _penalty(a, b, mixed, permutation, mix_weight, side, detach_targets)
    return barlow_twins + regularization * lambda_param * penalty


def mixed_correlation_penalty(
    z1: Tensor,
    z2: Tensor,
    z_mixed: Tensor,
    permutation: Tensor,
    mix_weight: float | Tensor,
    *,
    eps: float = 1e-5,
    detach_targets: bool = False,
    side: str = "auto",
) -> Tensor:
    """How far the mixed samples' correlations are from mixtures of the views' own.

    ``L_reg = ||CM1 - G1||_F^2 + ||CM2 - G2||_F^2``: for either view v, ``CMv = ZM^T Zv / N`` and
    ``Gv = (w Z1 + (1 - w) Z2[permutation])^T Zv / N``, all standardised by the unbiased deviation.
    With ``E = ZM - w Z1 - (1 - w) Z2[permutation]`` that is ``(||E^T Z1||_F^2 + ||E^T Z2||_F^2) /
    N^2 = <E E^T, Z1 Z1^T + Z2 Z2^T>_F / N^2``: three products instead of six.

    Args:
        z1, z2, z_mixed, permutation, mix_weight: as for :func:`mixed_barlow_twins_loss`; the
            embeddings are (N, D).
        eps, detach_targets, side: as there.

    Returns:
        Scalar tensor, at least 0. Twice differentiable.

    Raises:
        ValueError, TypeError: as :func:`mixed_barlow_twins_loss`.

    Memory:
        Standardised copies of the inputs and two (N, N) or (D, D) matrices.

    Source:
        Bandara et al. (arXiv 2312.02151); the first term of G2 is Z1^T Z2, as in the code for
        small images (the code for ImageNet has Z2^T Z2 there).
    """
    name = "mixed_correlation_penalty"
    side = _check(name, z1, z2, z_mixed, permutation, mix_weight, side)
    a, b, mixed = (_standardised(z, eps) for z in (z1, z2, z_mixed))
    return _penalty(a, b, mixed, permutation, mix_weight, side, detach_targets)


def _check(
    name: str,
    z1: Tensor,
    z2: Tensor,
    z_mixed: Tensor,
    permutation: Tensor,
    mix_weight: float | Tensor,
    side: str,
) -> str:
    """Raises what the docstrings promise; returns the side that is meant."""
    check_views(name, z1, z2)
    for what in ("shape", "dtype", "device"):
        own, wanted = getattr(z_mixed, what), getattr(z1, what)
        if own != wanted:
            error = TypeError if what == "dtype" else ValueError
            own, wanted = (tuple(x) if what == "shape" else x for x in (own, wanted))
            raise error(f"{name}: z_mixed must have the {what} of z1, {wanted}, got {own}")
    samples = len(z1)
    if permutation.shape != (samples,) or permutation.dtype not in (torch.int64, torch.int32):
        raise ValueError(
            f"{name}: permutation must be ({samples},) of integers, "
            f"got {tuple(permutation.shape)} of {permutation.dtype}"
        )
    if torch.compiler.is_compiling():  # looking at values would break the graph
        return resolve_side(name, side, z1)
    in_order = torch.arange(samples, device=permutation.device)
    if not torch.equal(permutation.sort().values.to(torch.int64), in_order):
        raise ValueError(f"{name}: permutation must hold each of 0 ... {samples - 1} once")
    if isinstance(mix_weight, Tensor) and mix_weight.dim() != 0:
        shape = tuple(mix_weight.shape)
        raise ValueError(f"{name}: mix_weight must be one number a batch, got shape {shape}")
    if not 0 <= float(mix_weight) <= 1:
        raise ValueError(f"{name}: mix_weight must be in [0, 1], got {float(mix_weight)}")
    return resolve_side(name, side, z1)


def _standardised(view: Tensor, eps: float) -> Tensor:
    """(N, D) centred and divided by the unbiased deviation of each column."""
    view = view.to(COMPUTE_DTYPES[view.dtype])
    centred = view - view.mean(0)
    variance = centred.square().sum(0) / (len(view) - 1)
    return centred * (variance + eps).rsqrt()


def _penalty(
    a: Tensor,
    b: Tensor,
    mixed: Tensor,
    permutation: Tensor,
    mix_weight: float | Tensor,
    side: str,
    detach_targets: bool,
) -> Tensor:
    """L_reg of standardised embeddings."""
    target = mix_weight * a + (1 - mix_weight) * b[permutation]
    if not detach_targets:
        return _squared_norms(mixed - target, (a, b), side) / len(a) ** 2
    # Only ZM^T Zv may move, T^T Zv stands still. Split Zv = F + (Zv - F), F = Zv held fixed: then
    # ZM^T Zv - T^T F = (ZM - T)^T F + ZM^T (Zv - F), one product of stacked rows. The second part
    # is zero and only carries the gradient, so that nothing cancels.
    residual = torch.cat([mixed - target.detach(), mixed])
    views = [torch.cat([view.detach(), view - view.detach()]) for view in (a, b)]
    return _squared_norms(residual, views, side) / len(a) ** 2


def _squared_norms(x: Tensor, views: Sequence[Tensor], side: str) -> Tensor:
    """||x^T v||_F^2 summed over the two views v; all (rows, D)."""
    with torch.autocast(x.device.type, enabled=False):
        if side == "samples":
            return (_gram(x) * (_gram(views[0]) + _gram(views[1]))).sum()
        return torch.stack([(x.T @ view).square().sum() for view in views]).sum()


class _Gram(torch.autograd.Function):
    """X X^T, with one product in the backward instead of the two that autograd would take."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x @ x.T

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return (grad + grad.T) @ x


def _gram(x: Tensor) -> Tensor:
    product: Tensor = _Gram.apply(x)
    return product
