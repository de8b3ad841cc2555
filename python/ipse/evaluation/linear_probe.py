"""Linear probe: how much of the classes a linear classifier can read off frozen features."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["LinearProbe", "fit_linear_probe", "linear_probe"]


class LinearProbe(NamedTuple):
    """A linear classifier on plain features: logits are `features @ weight.T + bias`.

    Attributes:
        weight: float32 tensor [C, D].
        bias: float32 tensor [C].
        classes: int64 tensor [C], the label of each logit, ascending.
    """

    weight: Tensor
    bias: Tensor
    classes: Tensor

    def logits(self, features: Tensor) -> Tensor:
        """Logits [N, C] of features [N, D]."""
        return features.flatten(1).float() @ self.weight.T + self.bias


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
    classifier = _fit(train_features, train_labels, inverse_penalty, max_iterations)
    return torch.from_numpy(classifier.predict(test_features.flatten(1).cpu().numpy())).long()


def fit_linear_probe(
    train_features: Tensor,
    train_labels: Tensor,
    inverse_penalty: float = 1.0,
    max_iterations: int = 200,
) -> LinearProbe:
    """The classifier that `linear_probe` fits, for those who need its logits.

    Args:
        train_features, train_labels, inverse_penalty, max_iterations: As for `linear_probe`.
    """
    scaler, regression = _fit(train_features, train_labels, inverse_penalty, max_iterations)
    # Standardising first is the same as other weights on the plain features.
    weight, bias = torch.from_numpy(regression.coef_), torch.from_numpy(regression.intercept_)
    if len(regression.classes_) == 2:  # scikit-learn keeps one logit, the second class's
        weight, bias = (torch.cat([torch.zeros_like(x), x]) for x in (weight, bias))
    weight = weight.double() / torch.from_numpy(scaler.scale_)
    bias = bias.double() - weight @ torch.from_numpy(scaler.mean_)
    return LinearProbe(weight.float(), bias.float(), torch.from_numpy(regression.classes_).long())


def _fit(
    train_features: Tensor, train_labels: Tensor, inverse_penalty: float, max_iterations: int
) -> Any:
    """scikit-learn's pipeline of standardising and logistic regression, fitted."""
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
    return classifier
