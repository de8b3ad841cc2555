"""VICReg against lightly 1.6 and torch.compile of the plain formula."""

import torch
from lightly.loss import VICRegLoss as LightlyLoss
from torch import Tensor

from bench import cross_correlation
from ipse.losses import VICRegLoss

CASES = [(256, 8192), (1024, 8192), (2048, 2048), (128, 256), (512, 128)]


def formula(z1: Tensor, z2: Tensor) -> Tensor:
    """The loss as the paper writes it."""
    loss = 25.0 * (z1 - z2).square().mean()
    samples, features = z1.shape
    for view in (z1, z2):
        loss = loss + 12.5 * torch.relu(1 - (view.var(0) + 1e-4).sqrt()).mean()
        centred = view - view.mean(0)
        covariance = (centred.T @ centred / (samples - 1)).square()
        loss = loss + (covariance.sum() - covariance.diagonal().sum()) / features
    return loss


if __name__ == "__main__":
    cross_correlation.run(
        "vicreg: forward + backward, float32, ms and times as long",
        CASES,
        VICRegLoss(),
        LightlyLoss(),
        formula,
        "bench.vicreg",
    )
