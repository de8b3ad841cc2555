"""Mixed Barlow Twins: the loss against six correlation matrices, and the method."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ipse import methods
from ipse.data import load
from ipse.functional import barlow_twins_loss, mixed_barlow_twins_loss, mixed_correlation_penalty
from ipse.losses import MixedBarlowTwinsLoss
from ipse.methods.mixed_barlow_twins import MixedBarlowTwins, MixedBarlowTwinsConfig, mix_images
from tests.cross_correlation_cases import SIDES, both_sides
from tests.reference import mixed_barlow_twins as reference

flag = pytest.mark.parametrize("detach_targets", [False, True])


def make_case(
    samples: int, features: int, dtype: torch.dtype = torch.float64, seed: int = 0
) -> tuple[list[Tensor], Tensor]:
    """Two correlated views, their imperfect mix, and the permutation it was made with."""
    generator = torch.Generator().manual_seed(seed)
    shared = torch.randn(samples, features, generator=generator, dtype=torch.float64)
    noise = torch.randn(3, samples, features, generator=generator, dtype=torch.float64)
    permutation = torch.randperm(samples, generator=generator)
    z1, z2 = shared + 0.5 * noise[0], shared + 0.5 * noise[1] + 3
    mixed = 0.3 * z1 + 0.7 * z2[permutation] + 0.5 * noise[2]
    return [z.to(dtype).requires_grad_() for z in (z1, z2, mixed)], permutation


def assert_equals_reference(
    views: list[Tensor], permutation: Tensor, weight: Any, tolerance: float, **keywords: Any
) -> None:
    """Value and all three gradients of loss and penalty, relative to their largest entry."""
    side = keywords.pop("side", "auto")
    for function, wanted in (
        (mixed_barlow_twins_loss, reference.mixed_barlow_twins),
        (mixed_correlation_penalty, reference.penalty),
    ):
        exact = [z.detach().double().requires_grad_() for z in views]
        expected = wanted(*exact, permutation, float(weight), **keywords)
        expected_gradients = torch.autograd.grad(expected, exact)
        value = function(*views, permutation, weight, side=side, **keywords)
        gradients = torch.autograd.grad(value, views)
        torch.testing.assert_close(value.double(), expected, rtol=tolerance, atol=0)
        size = max(float(g.abs().max()) for g in expected_gradients)
        for mine, theirs in zip(gradients, expected_gradients, strict=True):
            assert mine.dtype == views[0].dtype
            assert float((mine.double() - theirs).abs().max()) <= tolerance * size


@both_sides
@flag
@pytest.mark.parametrize("shape", [(3, 1), (16, 40), (40, 16), (33, 33)], ids=str)
def test_equals_six_matrices(side: str, detach_targets: bool, shape: tuple[int, int]) -> None:
    views, permutation = make_case(*shape)
    assert_equals_reference(
        views, permutation, 0.3, 1e-10, side=side, detach_targets=detach_targets
    )


@both_sides
def test_equals_six_matrices_in_float32(side: str) -> None:
    views, permutation = make_case(64, 200, torch.float32)
    assert_equals_reference(views, permutation, torch.tensor(0.6), 1e-5, side=side)


@given(
    samples=st.integers(3, 20),
    features=st.integers(1, 20),
    weight=st.floats(0, 1),
    eps=st.sampled_from([1e-5, 1e-2]),
    side=st.sampled_from(SIDES),
    detach_targets=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_shape(
    samples: int,
    features: int,
    weight: float,
    eps: float,
    side: str,
    detach_targets: bool,
    seed: int,
) -> None:
    views, permutation = make_case(samples, features, seed=seed)
    assert_equals_reference(
        views, permutation, weight, 1e-9, eps=eps, side=side, detach_targets=detach_targets
    )


@both_sides
def test_gradcheck(side: str) -> None:
    views, permutation = make_case(5, 4)

    def loss(*z: Tensor) -> Tensor:
        return mixed_barlow_twins_loss(*z, permutation, 0.4, side=side)

    assert torch.autograd.gradcheck(loss, views)
    assert torch.autograd.gradgradcheck(loss, views)


@both_sides
def test_second_derivative_with_detached_targets(side: str) -> None:
    """gradcheck cannot see a detached target; the reference can be differentiated twice."""
    views, permutation = make_case(6, 5)
    results = []
    for function, extra in (
        (mixed_correlation_penalty, {"side": side}),
        (reference.penalty, {}),
    ):
        value = function(*views, permutation, 0.4, detach_targets=True, **extra)
        first = torch.autograd.grad(value, views, create_graph=True)
        results.append(torch.autograd.grad(sum(g.square().sum() for g in first), views))
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


def test_a_perfect_mix_costs_nothing() -> None:
    """Where embeddings mix as images do, and standardising keeps it so, there is no penalty."""
    h = torch.tensor([[1, 1, 1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1]], dtype=torch.float64)
    views = (h, h, h)
    identity = torch.arange(4)
    assert mixed_correlation_penalty(*views, identity, 0.3, eps=0.0).item() < 1e-28
    swapped = torch.tensor([1, 0, 3, 2])
    assert mixed_correlation_penalty(*views, swapped, 1.0, eps=0.0).item() < 1e-28
    assert mixed_correlation_penalty(*views, swapped, 0.0, eps=0.0).item() > 1


def test_without_regularization_it_is_barlow_twins_with_unbiased_deviation() -> None:
    """The two differ by terms of the order 1 / N."""
    (z1, z2, mixed), permutation = make_case(20000, 8)
    value = mixed_barlow_twins_loss(z1, z2, mixed, permutation, 0.5, 0.1, regularization=0.0)
    torch.testing.assert_close(value, barlow_twins_loss(z1, z2, 0.1), rtol=1e-3, atol=0)


def test_constant_features_stay_finite() -> None:
    views, permutation = make_case(8, 6, torch.float32)
    with torch.no_grad():
        views[0][:, 2] = 1.0
        views[2][:, 3] = 0.0
    loss = mixed_barlow_twins_loss(*views, permutation, 0.5)
    loss.backward()
    assert all(torch.isfinite(z.grad).all() for z in views)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    views, permutation = make_case(32, 64, dtype)
    loss = mixed_barlow_twins_loss(*views, permutation, 0.5)
    exact = reference.mixed_barlow_twins(*(z.detach().double() for z in views), permutation, 0.5)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), exact, rtol=1e-5, atol=0)


def test_autocast_changes_nothing() -> None:
    views, permutation = make_case(32, 64, torch.float32)
    plain = mixed_barlow_twins_loss(*views, permutation, 0.5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(mixed_barlow_twins_loss(*views, permutation, 0.5), plain)


def test_under_compile() -> None:
    views, permutation = make_case(16, 24, torch.float32)
    compiled = torch.compile(mixed_barlow_twins_loss, fullgraph=True, backend="aot_eager")
    value = compiled(*views, permutation, 0.5)
    torch.testing.assert_close(value, mixed_barlow_twins_loss(*views, permutation, 0.5))


def test_module_is_the_function() -> None:
    views, permutation = make_case(16, 24)
    module = MixedBarlowTwinsLoss(0.1, 2.0, detach_targets=True)
    expected = mixed_barlow_twins_loss(*views, permutation, 0.5, 0.1, 2.0, detach_targets=True)
    assert torch.equal(module(*views, permutation, 0.5), expected)
    assert repr(module) == (
        "MixedBarlowTwinsLoss(lambda_param=0.1, regularization=2.0, detach_targets=True)"
    )


Z = torch.randn(4, 3)
P = torch.arange(4)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((Z[:1], Z[:1], Z[:1], P[:1], 0.5), ValueError, "at least 2 samples, got 1"),
        ((Z, Z[:3], Z, P, 0.5), ValueError, r"same shape, got \(4, 3\) and \(3, 3\)"),
        (
            (Z, Z, Z[:3], P, 0.5),
            ValueError,
            r"z_mixed must have the shape of z1, \(4, 3\), got \(3, 3\)",
        ),
        (
            (Z, Z, Z.double(), P, 0.5),
            TypeError,
            "z_mixed must have the dtype of z1, torch.float32, got torch.float64",
        ),
        (
            (Z, Z, Z.to("meta"), P, 0.5),
            ValueError,
            "z_mixed must have the device of z1, cpu, got meta",
        ),
        ((Z, Z, Z, P, 1.5), ValueError, r"mix_weight must be in \[0, 1\], got 1.5"),
        ((Z, Z, Z, P, -0.1), ValueError, r"mix_weight must be in \[0, 1\], got -0.1"),
        ((Z, Z, Z, P, float("nan")), ValueError, r"mix_weight must be in \[0, 1\], got nan"),
        (
            (Z, Z, Z, P, torch.full((4,), 0.5)),
            ValueError,
            r"mix_weight must be one number a batch, got shape \(4,\)",
        ),
        (
            (Z, Z, Z, P[:3], 0.5),
            ValueError,
            r"permutation must be \(4,\) of integers, got \(3,\) of torch.int64",
        ),
        (
            (Z, Z, Z, P.float(), 0.5),
            ValueError,
            r"permutation must be \(4,\) of integers, got \(4,\) of torch.float32",
        ),
        (
            (Z, Z, Z, torch.tensor([0, 1, 1, 3]), 0.5),
            ValueError,
            "permutation must hold each of 0 ... 3 once",
        ),
    ],
)
@pytest.mark.parametrize("function", [mixed_barlow_twins_loss, mixed_correlation_penalty])
def test_messages(
    function: Any, arguments: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{function.__name__}: .*{message}$"):
        function(*arguments)


def test_unknown_side() -> None:
    with pytest.raises(ValueError, match=r"^mixed_barlow_twins_loss: side must be one of"):
        mixed_barlow_twins_loss(Z, Z, Z, P, 0.5, side="rows")


TINY = {
    "train_size": 96,
    "test_size": 40,
    "batch_size": 16,
    "epochs": 3,
    "dimension": 8,
    "hidden": 16,
    "device": "cpu",
}


def test_mix_is_a_weighted_mean_of_images() -> None:
    view1, view2 = torch.rand(2, 10, 1, 4, 4)
    source = torch.Generator().manual_seed(0)
    mixed, permutation, weight = mix_images(view1, view2, source)
    assert 0 <= weight <= 1
    assert permutation.sort().values.tolist() == list(range(10))
    for row in range(10):
        expected = weight * view1[row] + (1 - weight) * view2[permutation[row]]
        torch.testing.assert_close(mixed[row], expected)
    other, *_ = mix_images(view1, view2, source)
    assert not torch.equal(mixed, other)


def test_step_is_the_papers() -> None:
    """One step's loss, from the six matrices of the three passes that the network made."""
    digits = load("digits", train_size=96, test_size=40)
    method = MixedBarlowTwins(MixedBarlowTwinsConfig.create(**TINY), digits)
    method.train()
    seen, passes = [], []
    method.encoder.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    method.projector.register_forward_hook(lambda module, inputs, output: passes.append(output))
    batch = digits.batch(torch.arange(16), torch.device("cpu"))
    scalars = method.step(batch, torch.Generator().manual_seed(0))
    source = torch.Generator().manual_seed(0)
    views = method.two_views(batch.images, source)
    mixed, permutation, weight = mix_images(*views, source)
    for image, expected in zip(seen, (*views, mixed), strict=True):
        assert torch.equal(image, expected)
    z = [output.detach().double() for output in passes]
    loss = reference.mixed_barlow_twins(*z, permutation, float(weight), 1 / 8, 4.0)
    torch.testing.assert_close(scalars["loss"].double(), loss, rtol=1e-4, atol=0)
    penalty = reference.penalty(*z, permutation, float(weight))
    torch.testing.assert_close(scalars["penalty"].double(), penalty, rtol=1e-4, atol=0)


def test_killed_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def config(out: str) -> MixedBarlowTwinsConfig:
        changes = {"checkpoint_seconds": 0, "out": str(tmp_path / out)}
        return MixedBarlowTwinsConfig.create(**TINY, **changes)

    whole = methods.run(config("whole"))
    original, calls = MixedBarlowTwins.step, []

    def dying(self: MixedBarlowTwins, *arguments: Any) -> Any:
        calls.append(0)
        if len(calls) > 7:
            raise MemoryError
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(MixedBarlowTwins, "step", dying)
        with pytest.raises(MemoryError):
            methods.run(config("killed"))
    resumed = methods.resume(tmp_path / "killed")
    assert resumed.scores == whole.scores
    metrics = [(tmp_path / run / "metrics.jsonl").read_bytes() for run in ("whole", "killed")]
    assert metrics[0] == metrics[1]
