"""Plain PyTorch forms of the losses and their gradients, by the same algebra as the core.

They serve the devices that have no kernel yet, and the double backward. Every function
takes two (N, D) views; ``side`` is ``"samples"`` (N x N matrices) or ``"features"``
(D x D). A loss is a scalar in the compute dtype (float32 for 16-bit input). A gradient
function returns ``grad`` times the gradient by the first view it is given; it is written
out rather than left to autograd because an operator's kernel runs below autograd.
"""

import torch
from torch import Tensor

from ipse.ops._registry import COMPUTE_DTYPES


def _centred(view: Tensor) -> tuple[Tensor, Tensor]:
    """The centred view and the biased variance of its columns."""
    view = view.to(COMPUTE_DTYPES[view.dtype])
    centred = view - view.mean(0)
    return centred, centred.square().mean(0)


def _off_diagonal(matrix: Tensor) -> Tensor:
    return matrix - torch.diag_embed(matrix.diagonal())


def _off_diagonal_square_sum(matrix: Tensor) -> Tensor:
    return _off_diagonal(matrix).square().sum()


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


def barlow_twins_gradient(
    grad: Tensor, own: Tensor, other: Tensor, lambda_param: float, eps: float, side: str
) -> Tensor:
    """d loss / d own. The loss is symmetric in its views: swap them for the other gradient."""
    samples = own.shape[0]
    x, variance = _centred(own)
    y, other_variance = _centred(other)
    scale = (variance + eps).rsqrt()
    x = x * scale
    y = y * (other_variance + eps).rsqrt()
    on_diagonal = (x * y).sum(0) / samples
    direct = 2 * (on_diagonal - 1)
    if side == "samples":
        # This way through holds the diagonal of C too: its share is taken off again.
        through = (y @ y.T) @ x / samples
        direct = direct - 2 * lambda_param * on_diagonal
    else:
        through = y @ _off_diagonal(y.T @ x / samples)
    g = (2 * lambda_param * through + y * direct) / samples
    # Back through the standardisation; the columns of g sum to zero as those of x and y do.
    return (grad * scale * (g - x * (x * g).mean(0))).to(own.dtype)


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


def vicreg_gradient(
    grad: Tensor,
    own: Tensor,
    other: Tensor,
    lambda_param: float,
    mu_param: float,
    nu_param: float,
    eps: float,
    side: str,
) -> Tensor:
    """d loss / d own. The loss is symmetric in its views: swap them for the other gradient."""
    samples, features = own.shape
    compute = COMPUTE_DTYPES[own.dtype]
    x, biased = _centred(own)
    variance = biased * (samples / (samples - 1))
    std = (variance + eps).sqrt()
    hinge = torch.where(std < 1, mu_param / (2 * features * (samples - 1) * std), 0)
    weight = 4 * nu_param / (features * (samples - 1))
    if side == "samples":
        through = (x @ x.T) @ x / (samples - 1) - x * variance
    else:
        through = x @ _off_diagonal(x.T @ x / (samples - 1))
    apart = own.to(compute) - other.to(compute)
    pull = 2 * lambda_param / (samples * features)
    return (grad * (pull * apart - hinge * x + weight * through)).to(own.dtype)
