"""Layers that methods share: prototypes, the weight-normalised layer, the moving average."""

import copy

import pytest
import torch
from lightly.models.utils import update_momentum
from torch import Tensor, nn

from ipse.functional import scattering2d
from ipse.nn import Prototypes, Scattering2d, WeightNormLinear, ema_update


def features(samples: int = 6, width: int = 8) -> Tensor:
    return torch.randn(samples, width, generator=torch.Generator().manual_seed(1))


# Prototypes


def test_scores_are_cosines() -> None:
    layer = Prototypes(8, 5)
    x = 7 * features()
    wanted = nn.functional.cosine_similarity(x[:, None], layer.weight[None], dim=2)
    torch.testing.assert_close(layer(x), wanted)
    assert layer(x).shape == (6, 5)
    assert [name for name, _ in layer.named_parameters()] == ["weight"]


def test_input_may_come_normalised() -> None:
    layer = Prototypes(8, 5, normalize_input=False)
    x = features()
    assert torch.equal(layer(x), x @ layer.weight.T)


def test_normalize_brings_rows_to_unit_length_in_place() -> None:
    layer = Prototypes(8, 5)
    torch.testing.assert_close(layer.weight.norm(dim=1), torch.ones(5))
    weight = layer.weight
    with torch.no_grad():
        weight.mul_(torch.arange(1.0, 6.0)[:, None])
    directions = nn.functional.normalize(weight.detach(), dim=1).clone()
    layer.normalize()
    assert layer.weight is weight
    torch.testing.assert_close(weight.detach(), directions)
    assert weight.requires_grad


def test_prototypes_are_frozen_at_first() -> None:
    """With weight decay and momentum, which move a weight whose gradient is merely zero."""
    layer = Prototypes(8, 5, frozen_iterations=2)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    start = layer.weight.detach().clone()
    for iteration in range(4):
        optimizer.zero_grad()
        layer(features()).square().sum().backward()
        assert layer.freeze(iteration) == (iteration < 2)
        optimizer.step()
        assert torch.equal(layer.weight.detach(), start) == (iteration < 2)


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        ((0, 5), {}, "features must be at least 1, got 0"),
        ((8, 0), {}, "prototypes must be at least 1, got 0"),
        ((8, 5), {"frozen_iterations": -1}, "frozen_iterations must be at least 0, got -1"),
    ],
)
def test_prototypes_message(
    arguments: tuple[int, int], keywords: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^Prototypes: {message}$"):
        Prototypes(*arguments, **keywords)


# The last layer of DINO


def test_weight_norm_is_that_of_torch() -> None:
    torch.manual_seed(0)
    mine = WeightNormLinear(8, 5, learn_length=True, normalize_input=False)
    theirs = nn.utils.parametrizations.weight_norm(nn.Linear(8, 5, bias=False))
    with torch.no_grad():
        mine.length.uniform_(0.5, 2)
        theirs.parametrizations.weight.original0.copy_(mine.length)
        theirs.parametrizations.weight.original1.copy_(mine.direction)
    x = features()
    torch.testing.assert_close(mine(x), theirs(x))
    mine(x).square().sum().backward()
    theirs(x).square().sum().backward()
    torch.testing.assert_close(mine.direction.grad, theirs.parametrizations.weight.original1.grad)
    torch.testing.assert_close(mine.length.grad, theirs.parametrizations.weight.original0.grad)


def test_fixed_length_gives_cosines() -> None:
    layer = WeightNormLinear(8, 5)
    assert not layer.length.requires_grad
    x = features()
    wanted = nn.functional.cosine_similarity(x[:, None], layer.direction[None], dim=2)
    torch.testing.assert_close(layer(3 * x), wanted)


@pytest.mark.parametrize("sizes", [(0, 5), (8, 0)], ids=str)
def test_weight_norm_message(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"^WeightNormLinear: (features|outputs) must be at least"):
        WeightNormLinear(*sizes)


# The moving average


def make_pair() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(5)
    teacher, student = (
        nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)) for _ in range(2)
    )
    return teacher, student


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.996, 1.0])
def test_ema_update_equals_lightly(momentum: float) -> None:
    teacher, student = make_pair()
    theirs, before = copy.deepcopy(teacher), copy.deepcopy(student)
    ema_update(teacher, student, momentum)
    update_momentum(student, theirs, momentum)
    for mine, other in zip(teacher.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other)
    for mine, other in zip(student.parameters(), before.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_ema_update_at_its_ends() -> None:
    teacher, student = make_pair()
    before = copy.deepcopy(teacher)
    ema_update(teacher, student, 1.0)
    for mine, other in zip(teacher.parameters(), before.parameters(), strict=True):
        assert torch.equal(mine, other)
    ema_update(teacher, student, 0.0)
    for mine, other in zip(teacher.parameters(), student.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_buffers_are_the_teachers_own_unless_asked() -> None:
    teacher, student = make_pair()
    student(features())
    running = student[1].running_mean.clone()
    ema_update(teacher, student, 0.5)
    assert (teacher[1].running_mean == 0).all()
    ema_update(teacher, student, 0.5, copy_buffers=True)
    assert torch.equal(teacher[1].running_mean, running)
    assert teacher[1].num_batches_tracked == 1


def test_ema_update_keeps_no_graph() -> None:
    teacher, student = make_pair()
    ema_update(teacher, student, 0.9)
    assert all(p.requires_grad and p.is_leaf and p.grad_fn is None for p in teacher.parameters())


@pytest.mark.parametrize("momentum", [-0.1, 1.1, float("nan")])
def test_ema_momentum_message(momentum: float) -> None:
    teacher, student = make_pair()
    with pytest.raises(ValueError, match=r"^ema_update: momentum must be from 0 to 1, got"):
        ema_update(teacher, student, momentum)


def test_ema_update_of_different_networks() -> None:
    with pytest.raises(ValueError, match=r"^ema_update: teacher and student must be alike, .*bias"):
        ema_update(nn.Linear(3, 2), nn.Linear(3, 2, bias=False), 0.9)
    with pytest.raises(
        ValueError, match=r"weight must have one shape in both, got \(2, 3\) and \(2, 4\)"
    ):
        ema_update(nn.Linear(3, 2), nn.Linear(4, 2), 0.9)


# The scattering front end


def test_scattering_layer_has_no_parameters_and_the_functions_values() -> None:
    x = torch.randn(2, 3, 8, 12, generator=torch.Generator().manual_seed(1))
    layer = Scattering2d(scales=2, angles=4, flatten=False)
    assert layer.coefficients == 1 + 8 + 16
    assert not layer.state_dict()
    wanted = scattering2d(x, 2, 4)
    assert torch.equal(layer(x), wanted)
    flat = Scattering2d(scales=2, angles=4)(x)
    assert torch.equal(flat, wanted.flatten(1, 2))
    assert flat.shape == (2, 3 * 25, 2, 3)
    assert Scattering2d(1, 4, order=1).coefficients == 5
    assert repr(layer) == "Scattering2d(scales=2, angles=4, order=2)"


@pytest.mark.parametrize("arguments", [(0, 8, 2), (2, 0, 2), (2, 8, 3)], ids=str)
def test_scattering_layer_refuses(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"^Scattering2d: "):
        Scattering2d(*arguments)
