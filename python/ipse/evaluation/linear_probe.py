"""Linear probe: how much of the classes a linear classifier can read off frozen features."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

__all__ = ["linear_probe"]


def linear_probe(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    inverse_penalty: float = 1.0,
    max_iterations: int = 200,
) -> Tensor:
    """Fits multinomial logistic regression on frozen features and predicts the test samples.

    Features are standardised with the training part's mean and deviation first, so that the
    penalty means the same for every feature space that is compared. The solver is deterministic.

    Args:
        train_features: float tensor [N, ...]; everything after the first dimension is flattened.
        train_labels: int64 tensor [N] with at least two classes.
        test_features: float tensor [M, ...], the same feature size.
        inverse_penalty: scikit-learn's `C`; larger fits the training part more closely.
        max_iterations: Limit for the L-BFGS solver. Stopping there is part of the protocol, the
            same for every feature space, and raises no warning.

    Returns:
        int64 tensor [M] of predicted labels, on the CPU.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = make_pipeline(
        StandardScaler(), LogisticRegression(C=inverse_penalty, max_iter=max_iterations)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(train_features.flatten(1).cpu().numpy(), train_labels.cpu().numpy())
    return torch.from_numpy(classifier.predict(test_features.flatten(1).cpu().numpy())).long()
