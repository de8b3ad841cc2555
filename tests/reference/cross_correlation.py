"""Barlow Twins and VICReg as the papers write them: whole D x D matrices, no shortcuts.

Any floating dtype and device, differentiable as often as wanted. In float64 these are
the oracle of the tests; they are not meant to be fast.
"""

import torch
from torch import Tensor


def standardise(view: Tensor, eps: float) -> Tensor:
    """What a BatchNorm without affine parameters does to (N, D) during training."""
    variance = view.var(dim=0, unbiased=False)
    return (view - view.mean(dim=0)) / torch.sqrt(variance + eps)


def covariance(view: Tensor) -> Tensor:
    """The unbiased (D, D) covariance matrix of (N, D)."""
    centred = view - view.mean(dim=0)
    return centred.T @ centred / (view.shape[0] - 1)


def off_diagonal(matrix: Tensor) -> Tensor:
    """The elements beside the diagonal, flattened."""
    beside = ~torch.eye(matrix.shape[0], dtype=torch.bool, device=matrix.device)
    return matrix[beside]


def barlow_twins(z1: Tensor, z2: Tensor, lambda_param: float = 5e-3, eps: float = 1e-5) -> Tensor:
    """Zbontar et al. 2021, equations 1 and 2."""
    samples = z1.shape[0]
    correlation = standardise(z1, eps).T @ standardise(z2, eps) / samples
    invariance = (1 - torch.diagonal(correlation)).pow(2).sum()
    redundancy = off_diagonal(correlation).pow(2).sum()
    return invariance + lambda_param * redundancy


def vicreg(
    z1: Tensor,
    z2: Tensor,
    lambda_param: float = 25.0,
    mu_param: float = 25.0,
    nu_param: float = 1.0,
    eps: float = 1e-4,
) -> Tensor:
    """Bardes et al. 2022, equations 1 to 6, with the official code's mean over the views."""
    features = z1.shape[1]
    # The paper's equation 5 divides by N alone; the official code, and everyone since, by N D.
    invariance = (z1 - z2).pow(2).mean()
    variance = torch.zeros_like(invariance)
    redundancy = torch.zeros_like(invariance)
    for view in (z1, z2):
        deviation = torch.sqrt(view.var(dim=0, unbiased=True) + eps)
        variance = variance + torch.relu(1 - deviation).mean() / 2
        redundancy = redundancy + off_diagonal(covariance(view)).pow(2).sum() / features
    return lambda_param * invariance + mu_param * variance + nu_param * redundancy
