"""Barlow Twins against lightly 1.6 and torch.compile of the plain formula."""

import torch
from lightly.loss import BarlowTwinsLoss as LightlyLoss
from torch import Tensor

from bench import cross_correlation
from ipse.losses import BarlowTwinsLoss

CASES = [(256, 8192), (1024, 8192), (2048, 2048), (128, 256), (256, 2048), (512, 128)]


def formula(z1: Tensor, z2: Tensor) -> Tensor:
    """The loss as the paper writes it."""
    samples, features = z1.shape
    z1 = (z1 - z1.mean(0)) / (z1.var(0, unbiased=False) + 1e-5).sqrt()
    z2 = (z2 - z2.mean(0)) / (z2.var(0, unbiased=False) + 1e-5).sqrt()
    difference = (z1.T @ z2 / samples - torch.eye(features)).square()
    weight = torch.full((features, features), 5e-3).fill_diagonal_(1.0)
    return (difference * weight).sum()


if __name__ == "__main__":
    cross_correlation.run(
        "barlow_twins: forward + backward, float32, ms and times as long",
        CASES,
        BarlowTwinsLoss(),
        LightlyLoss(),
        formula,
        "bench.barlow_twins",
    )
