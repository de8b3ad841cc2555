"""Plain PyTorch forms of the losses, by the same algebra as the native core.

They serve the devices that have no kernel yet, and the double backward. Every function
takes two (N, D) views and returns a scalar in the compute dtype (float32 for 16-bit
input); ``side`` is ``"samples"`` (N x N matrices) or ``"features"`` (D x D).
"""

import torch
from torch import Tensor

from ipse.ops._registry import COMPUTE_DTYPES


def _centred(view: Tensor) -> tuple[Tensor, Tensor]:
    """The centred view and the biased variance of its columns."""
    view = view.to(COMPUTE_DTYPES[view.dtype])
    centred = view - view.mean(0)
    return centred, centred.square().mean(0)


def _off_diagonal_square_sum(matrix: Tensor) -> Tensor:
    return matrix.square().sum() - matrix.diagonal().square().sum()


def barlow_twins(z1: Tensor, z2: Tensor, lambda_param: float, eps: float, side: str) -> Tensor:
    """sum_i (C_ii - 1)^2 + lambda sum_{i != j} C_ij^2, C = z1^T z2 / N standardised."""
    samples = z1.shape[0]
    x1, variance1 = _centred(z1)
    x2, variance2 = _centred(z2)
    x1 = x1 * (variance1 + eps).rsqrt()
    x2 = x2 * (variance2 + eps).rsqrt()
    on_diagonal = (x1 * x2).sum(0) / samples
    if side == "samples":
        # ||x1^T x2||_F^2 = <x1 x1^T, x2 x2^T>_F
        squares = ((x1 @ x1.T) * (x2 @ x2.T)).sum() / samples**2
        off_diagonal = squares - on_diagonal.square().sum()
    else:
        off_diagonal = _off_diagonal_square_sum(x1.T @ x2 / samples)
    return (on_diagonal - 1).square().sum() + lambda_param * off_diagonal


def vicreg(
    z1: Tensor,
    z2: Tensor,
    lambda_param: float,
    mu_param: float,
    nu_param: float,
    eps: float,
    side: str,
) -> Tensor:
    """lambda mse + mu/2 sum_v mean relu(1 - std_v) + nu/D sum_v off-diagonal cov_v^2."""
    samples, features = z1.shape
    compute = COMPUTE_DTYPES[z1.dtype]
    loss = lambda_param * (z1.to(compute) - z2.to(compute)).square().mean()
    for view in (z1, z2):
        x, biased = _centred(view)
        variance = biased * (samples / (samples - 1))
        loss = loss + mu_param / 2 * torch.relu(1 - (variance + eps).sqrt()).mean()
        if side == "samples":
            squares = (x @ x.T).square().sum() / (samples - 1) ** 2
            off_diagonal = squares - variance.square().sum()
        else:
            off_diagonal = _off_diagonal_square_sum(x.T @ x / (samples - 1))
        loss = loss + nu_param / features * off_diagonal
    return loss
