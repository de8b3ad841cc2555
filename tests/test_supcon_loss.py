"""``SupConLoss``: SupContrast's and pytorch-metric-learning's conventions, and the errors."""

from typing import Any

import pytest
import torch
from pytorch_metric_learning.losses import SupConLoss as MetricLearningSupConLoss
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor
from torch.nn.functional import normalize

from ipse.functional import supcon_loss
from ipse.losses import NTXentLoss, SupConLoss
from tests.reference.similarity import supcon as reference

LABELS = {
    "mixed": torch.tensor([0, 1, 0, 2, 0, 1, 5]),
    "all the same": torch.zeros(7, dtype=torch.int64),
    "all different": torch.arange(7),
    "negative and far apart": torch.tensor([-3, 10**12, -3, 4, 10**12, 4, 4]),
}


def make_features(views: int, samples: int = 7, features: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(samples, views, features, generator=generator, dtype=torch.float64)
    return normalize(z, dim=2)


def value_and_gradient(loss: Any, features: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
    leaf = features.clone().requires_grad_()
    value = loss(leaf, *arguments)
    value.backward()
    return value.detach(), leaf.grad


def assert_same(mine: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> None:
    for got, wanted in zip(mine, theirs, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("views", [1, 2, 3])
@pytest.mark.parametrize("contrast_mode", ["all", "one"])
@pytest.mark.parametrize("reduction", ["mean", "positives"])
def test_labels(labels: Tensor, views: int, contrast_mode: str, reduction: str) -> None:
    features = make_features(views)
    keywords = {"contrast_mode": contrast_mode, "reduction": reduction}
    mine = value_and_gradient(SupConLoss(0.2, **keywords), features, labels)
    exact = lambda f, y: reference(f, y, temperature=0.2, **keywords)  # noqa: E731
    assert_same(mine, value_and_gradient(exact, features, labels))


@pytest.mark.parametrize("views", [2, 3])
@pytest.mark.parametrize("contrast_mode", ["all", "one"])
def test_without_labels_it_is_simclr(views: int, contrast_mode: str) -> None:
    features = make_features(views)
    loss = SupConLoss(0.2, contrast_mode, 0.2)
    keywords = {"temperature": 0.2, "base_temperature": 0.2, "contrast_mode": contrast_mode}
    exact = lambda f: reference(f, **keywords)  # noqa: E731
    assert_same(value_and_gradient(loss, features), value_and_gradient(exact, features))
    if contrast_mode == "all":
        simclr = NTXentLoss(0.2)(*features.unbind(1))
        torch.testing.assert_close(loss(features), simclr, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", ["boolean", "asymmetric", "without own", "weights", "nothing"])
@pytest.mark.parametrize("contrast_mode", ["all", "one"])
@pytest.mark.parametrize("reduction", ["mean", "positives"])
def test_mask(kind: str, contrast_mode: str, reduction: str) -> None:
    generator = torch.Generator().manual_seed(1)
    weights = torch.rand(7, 7, generator=generator, dtype=torch.float64)
    mask = {
        "boolean": LABELS["mixed"][:, None] == LABELS["mixed"],
        "asymmetric": weights > 0.6,
        "without own": (weights > 0.6) & ~torch.eye(7, dtype=torch.bool),
        "weights": weights * (weights > 0.3),
        "nothing": torch.zeros(7, 7),
    }[kind]
    features = make_features(2)
    keywords = {"contrast_mode": contrast_mode, "reduction": reduction}
    mine = value_and_gradient(SupConLoss(0.2, **keywords), features, None, mask)
    exact = lambda f, m: reference(f, mask=m, temperature=0.2, **keywords)  # noqa: E731
    assert_same(mine, value_and_gradient(exact, features, mask))


def test_factor_of_the_base_temperature() -> None:
    features, labels = make_features(2), LABELS["mixed"]
    plain = SupConLoss(0.2, base_temperature=0.2)(features, labels)
    torch.testing.assert_close(SupConLoss(0.2, base_temperature=0.1)(features, labels), 2 * plain)


@pytest.mark.parametrize("labels", [LABELS["mixed"], LABELS["negative and far apart"]], ids=str)
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_equals_pytorch_metric_learning(labels: Tensor, temperature: float) -> None:
    """Run, not quoted: the mean over the anchors that have a positive, of unit vectors."""
    features = 3 * make_features(1)
    theirs = MetricLearningSupConLoss(temperature)
    mine = SupConLoss(temperature, base_temperature=temperature, reduction="positives")
    wanted = value_and_gradient(lambda f, y: theirs(f[:, 0], y), features, labels)
    got = value_and_gradient(lambda f, y: mine(normalize(f, dim=2), y), features, labels)
    # It adds the dtype's smallest step to the number of positives.
    torch.testing.assert_close(got[0], wanted[0], rtol=1e-6, atol=0)
    torch.testing.assert_close(got[1], wanted[1], rtol=1e-6, atol=1e-9)


def test_the_mean_equals_pytorch_metric_learning_with_its_mean() -> None:
    features, labels = make_features(1), LABELS["mixed"]
    theirs = MetricLearningSupConLoss(0.1, reducer=MeanReducer())
    mine = SupConLoss(0.1, base_temperature=0.1, reduction="mean")
    torch.testing.assert_close(
        mine(features, labels), theirs(features[:, 0], labels), rtol=1e-6, atol=0
    )


def test_memory_of_many_rows_of_few_classes() -> None:
    """pytorch-metric-learning's NT-Xent wanted 120 GB for 1200 rows of 10 classes."""
    features = normalize(
        torch.randn(1200, 1, 32, generator=torch.Generator().manual_seed(0)), dim=2
    )
    value, gradient = value_and_gradient(SupConLoss(), features, torch.arange(1200) % 10)
    assert value.isfinite()
    assert gradient.isfinite().all()


def test_nobody_has_a_positive() -> None:
    features = make_features(1)
    for reduction in ("mean", "positives"):
        value, gradient = value_and_gradient(
            SupConLoss(reduction=reduction), features, LABELS["all different"]
        )
        assert value == 0
        assert (gradient == 0).all()


def test_dimensions_after_the_second_are_flattened() -> None:
    features = make_features(2, features=12)
    square = features.view(7, 2, 3, 4)
    labels = LABELS["mixed"]
    assert torch.equal(SupConLoss()(square, labels), SupConLoss()(features, labels))
    assert torch.equal(SupConLoss()(features, labels[:, None]), SupConLoss()(features, labels))


def test_features_are_not_normalised() -> None:
    features = make_features(2)
    got = SupConLoss(0.5)(3 * features, LABELS["mixed"])
    torch.testing.assert_close(got, reference(3 * features, LABELS["mixed"], temperature=0.5))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype) -> None:
    features = make_features(2).to(dtype)
    value, gradient = value_and_gradient(SupConLoss(0.2), features, LABELS["mixed"])
    exact, wanted = value_and_gradient(SupConLoss(0.2), features.double(), LABELS["mixed"])
    assert value.dtype is torch.float32
    assert gradient.dtype is dtype
    assert value.item() == pytest.approx(exact.item(), rel=1e-5)
    assert (gradient.double() - wanted).abs().max() < 2**-7 * wanted.abs().max()


def test_module_is_the_function() -> None:
    features, labels = make_features(2), LABELS["mixed"]
    assert torch.equal(SupConLoss(0.2)(features, labels), supcon_loss(features, labels, None, 0.2))
    assert repr(SupConLoss()) == (
        "SupConLoss(temperature=0.07, contrast_mode='all', base_temperature=0.07, "
        "reduction='mean', gather_distributed=False)"
    )


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        ((torch.ones(4, 3),), {}, r"features must be \(N, V, ...\), got shape \(4, 3\)"),
        (
            (torch.ones(4, 2, 3), torch.ones(4), torch.eye(4)),
            {},
            "labels and mask must not both be given",
        ),
        (
            (torch.ones(4, 2, 3), torch.ones(3)),
            {},
            "labels must be one for each of the 4 samples, got 3",
        ),
        (
            (torch.ones(4, 2, 3), None, torch.eye(3)),
            {},
            r"mask must have shape \(4, 4\), got \(3, 3\)",
        ),
        (
            (torch.ones(4, 2, 3),),
            {"contrast_mode": "both"},
            "contrast_mode must be one of all, one, got 'both'",
        ),
        (
            (torch.ones(4, 2, 3),),
            {"reduction": "sum"},
            "reduction must be one of mean, positives, got 'sum'",
        ),
    ],
)
def test_errors(arguments: Any, keywords: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^supcon_loss: {message}$"):
        SupConLoss(**keywords)(*arguments)


def test_no_temperature() -> None:
    with pytest.raises(ValueError, match="SupConLoss: temperature must be at least 1e-08"):
        SupConLoss(0.0)
