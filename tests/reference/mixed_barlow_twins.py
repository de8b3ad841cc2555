"""Mixed Barlow Twins as the paper writes it: six D x D correlation matrices, no shortcut."""

import torch
from torch import Tensor

from tests.reference.cross_correlation import off_diagonal


def standardise(view: Tensor, eps: float) -> Tensor:
    """By the unbiased deviation, as the official code (which has no eps)."""
    return (view - view.mean(0)) / torch.sqrt(view.var(0, unbiased=True) + eps)


def penalty(
    z1: Tensor,
    z2: Tensor,
    z_mixed: Tensor,
    permutation: Tensor,
    mix_weight: float,
    eps: float = 1e-5,
    detach_targets: bool = False,
) -> Tensor:
    """Squared distance of the mixed correlations from their targets, over all D^2 entries."""
    a, b, mixed = (standardise(z, eps) for z in (z1, z2, z_mixed))
    samples, shuffled = len(a), b[permutation]
    total = a.new_zeros(())
    for view in (a, b):
        correlation = mixed.T @ view / samples
        target = mix_weight * a.T @ view / samples + (1 - mix_weight) * shuffled.T @ view / samples
        if detach_targets:
            target = target.detach()
        total = total + (correlation - target).pow(2).sum()
    return total


def mixed_barlow_twins(
    z1: Tensor,
    z2: Tensor,
    z_mixed: Tensor,
    permutation: Tensor,
    mix_weight: float,
    lambda_param: float = 1 / 128,
    regularization: float = 4.0,
    eps: float = 1e-5,
    detach_targets: bool = False,
) -> Tensor:
    """Barlow Twins of the two views, and the penalty."""
    correlation = standardise(z1, eps).T @ standardise(z2, eps) / len(z1)
    invariance = (torch.diagonal(correlation) - 1).pow(2).sum()
    redundancy = off_diagonal(correlation).pow(2).sum()
    mixture = penalty(z1, z2, z_mixed, permutation, mix_weight, eps, detach_targets)
    return invariance + lambda_param * redundancy + regularization * lambda_param * mixture
