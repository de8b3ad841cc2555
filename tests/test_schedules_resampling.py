"""Position tables and optimizer moments at a change of resolution; the replay buffer."""

from __future__ import annotations

import copy
import io
import math

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F

from ipse.schedules import (
    ReplayBuffer,
    resample_grid,
    resample_parameters,
    resample_position_table,
    resample_relative_bias,
    sincos_table,
)

# Tables


def test_grids_are_resampled_bilinearly() -> None:
    """Pixel centres, as `align_corners=False` has them: by hand, 2 to 4 and 4 to 2."""
    grid = torch.tensor([[0.0, 4.0], [8.0, 12.0]])[..., None]
    row = torch.tensor([0.0, 1.0, 3.0, 4.0])
    assert torch.equal(resample_grid(grid, 4)[..., 0], row + 2 * row[:, None])
    assert torch.equal(resample_grid(resample_grid(grid, 4), 2)[0, :, 0], torch.tensor([1.5, 4.5]))
    assert resample_grid(grid, 2) is grid
    assert resample_grid(grid, (1, 3)).shape == (1, 3, 1)


def test_position_tables_keep_the_class_token() -> None:
    table = torch.randn(1, 1 + 36, 8)
    resampled = resample_position_table(table, 10)
    assert resampled.shape == (1, 101, 8)
    assert torch.equal(resampled[:, 0], table[:, 0])
    planes = table[0, 1:].T.reshape(1, 8, 6, 6)
    wanted = F.interpolate(planes, 10, mode="bilinear", align_corners=False)
    torch.testing.assert_close(resampled[0, 1:].T.reshape(1, 8, 10, 10), wanted)
    flat = resample_position_table(table[0], 10)
    assert torch.equal(flat, resampled[0])
    without = resample_position_table(table[:, 1:], 10, prefix_tokens=0)
    assert torch.equal(without, resampled[:, 1:])


def test_relative_bias_tables() -> None:
    table = torch.randn(13 * 13, 3)  # a window of 7
    resampled = resample_relative_bias(table, 5)
    wanted = F.interpolate(table.T.reshape(1, 3, 13, 13), 9, mode="bilinear", align_corners=False)
    torch.testing.assert_close(resampled.T.reshape(1, 3, 9, 9), wanted)
    assert torch.equal(resample_relative_bias(table, 7), table)


def test_sincos_is_maes() -> None:
    """Patch by patch: sines and cosines of the column, then those of the row."""
    table = sincos_table(3, 16, dtype=torch.float64)
    assert table.shape == (10, 16)
    assert torch.equal(table[0], torch.zeros(16).double())
    for row in range(3):
        for column in range(3):
            wanted = []
            for place in (column, row):
                angles = [place / 10000 ** (k / 4) for k in range(4)]
                wanted += [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
            assert table[1 + 3 * row + column].tolist() == pytest.approx(wanted)
    assert sincos_table(2, 8, prefix_tokens=0).shape == (4, 8)


def test_what_tables_refuse() -> None:
    with pytest.raises(ValueError, match="square number of rows after 1 prefix tokens, got 35"):
        resample_position_table(torch.zeros(1, 36, 4), 6)
    with pytest.raises(
        ValueError, match=r"must be of shape \[1, N, D\] or \[N, D\], got \[2, 37, 4\]"
    ):
        resample_position_table(torch.zeros(2, 37, 4), 6)
    with pytest.raises(ValueError, match="must be a float tensor"):
        resample_grid(torch.zeros(3, 3, 2, dtype=torch.int64), 2)
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        resample_grid(torch.zeros(3, 3, 2), 0)
    with pytest.raises(ValueError, match=r"shape \[\(2w - 1\)\^2, heads\]"):
        resample_relative_bias(torch.zeros(9, 2), 0)
    with pytest.raises(ValueError, match="multiple of 4"):
        sincos_table(3, 6)


# Parameters with their moments


def vit(size: int) -> nn.Module:
    return timm.create_model(
        "vit_tiny_patch16_224", img_size=size, embed_dim=24, depth=1, num_heads=2, num_classes=3
    )


def train(model: nn.Module, optimizer: torch.optim.Optimizer, size: int, steps: int = 3) -> None:
    for step in range(steps):
        images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        model(images).square().sum().backward()
        optimizer.step()


@pytest.mark.parametrize("kind", ["adamw", "amsgrad", "sgd"])
def test_moments_follow_their_parameter(kind: str) -> None:
    model = vit(64)
    optimizer = {
        "adamw": lambda p: torch.optim.AdamW(p, lr=1e-3),
        "amsgrad": lambda p: torch.optim.AdamW(p, lr=1e-3, amsgrad=True),
        "sgd": lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9),
    }[kind](model.parameters())
    average = copy.deepcopy(model)
    train(model, optimizer, 64)
    table = model.pos_embed
    before = {name: torch.as_tensor(v).clone() for name, v in optimizer.state[table].items()}
    value, other = table.detach().clone(), average.pos_embed.detach().clone()

    resample = lambda t: resample_position_table(t, 6)  # noqa: E731
    resample_parameters(model, {"pos_embed": resample}, optimizers=[optimizer], averages=[average])
    assert model.pos_embed is table
    assert table.grad is None
    assert torch.equal(table, resample(value))
    assert torch.equal(average.pos_embed, resample(other))
    after = optimizer.state[table]
    for name, moment in before.items():
        if moment.shape == value.shape:
            assert torch.equal(after[name], resample(moment)), name
            if "sq" in name:
                assert (after[name] >= 0).all()
        else:
            assert torch.equal(torch.as_tensor(after[name]), moment), name
    untouched = optimizer.state[model.head.weight]
    assert all(v.shape in ((), model.head.weight.shape) for v in untouched.values())


def test_training_goes_on_after_a_change() -> None:
    """The larger network takes the state, and its next step is Adam's with resampled moments."""
    model = vit(64)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    train(model, optimizer, 64)
    resample_parameters(
        model, {"pos_embed": lambda t: resample_position_table(t, 6)}, optimizers=[optimizer]
    )
    larger = vit(96)
    larger.load_state_dict(model.state_dict())
    resumed = torch.optim.Adam(larger.parameters(), lr=1e-3)
    resumed.load_state_dict(optimizer.state_dict())
    train(larger, resumed, 96, steps=1)
    assert torch.isfinite(larger.pos_embed).all()
    state = resumed.state[larger.pos_embed]
    assert int(state["step"]) == 4
    assert state["exp_avg"].shape == larger.pos_embed.shape == (1, 37, 24)


def test_unknown_parameters_change_nothing() -> None:
    model = nn.Linear(4, 4)
    before = model.weight.detach().clone()
    with pytest.raises(ValueError, match="must name parameters, got 'wieght'; there are weight"):
        resample_parameters(model, {"weight": lambda w: w[:2], "wieght": lambda w: w})
    assert torch.equal(model.weight, before)


# The replay buffer


def batch(number: int, size: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.full((size, 1, 2, 2), float(number)), torch.full((size,), number)


def test_replay_gives_the_new_batch_and_drawn_chunks() -> None:
    buffer = ReplayBuffer(capacity=3, replay=4, chunks=4)
    source = torch.Generator().manual_seed(0)
    for number in range(6):
        images, targets = buffer.step(*batch(number), source)
        assert images.shape == (32, 1, 2, 2)
        assert images.dtype == torch.float32
        assert torch.equal(images[:, 0, 0, 0].long(), targets)
        assert (targets[:8] == number).all()
        drawn = targets[8:].view(-1, 2)  # chunks of two
        assert (drawn[:, 0] == drawn[:, 1]).all()
        assert set(targets.tolist()) <= set(range(max(0, number - 2), number + 1))
        assert len(buffer) == min(number + 1, 3)


def test_replay_draws_uniformly_with_replacement() -> None:
    buffer = ReplayBuffer(capacity=4, replay=2, chunks=4)
    source = torch.Generator().manual_seed(0)
    counts = torch.zeros(4)
    for number in range(4):
        buffer.step(torch.arange(4.0).view(4, 1), torch.arange(4) + 10 * number, source)
    for number in range(4, 2004):
        _, targets = buffer.step(
            torch.arange(4.0).view(4, 1), torch.arange(4) + 10 * number, source
        )
        age = number - targets[4:] // 10
        counts += torch.bincount(age, minlength=4)
    assert counts.sum() == 8000
    assert ((counts - 2000).abs() < 5 * (8000 * 0.25 * 0.75) ** 0.5).all()


def test_replay_keeps_halves_and_its_own_copies() -> None:
    buffer = ReplayBuffer(capacity=2, replay=2, chunks=1)
    images = torch.full((2, 3), 1 + 2**-12)
    out, _ = buffer.step(images, torch.zeros(2))
    assert torch.equal(out[:2], images)  # the new batch as it is
    assert torch.equal(out[2:], torch.ones(2, 3))  # kept as half floats
    images.zero_()
    assert buffer.state_dict()["kept"][0][0].dtype == torch.float16
    assert (buffer.state_dict()["kept"][0][0] == 1).all()


def test_replay_resumes() -> None:
    one, other = (ReplayBuffer(capacity=3, replay=3, chunks=2) for _ in range(2))
    for number in range(4):
        one.step(*batch(number))
    file = io.BytesIO()
    torch.save(one.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    draws = [each.step(*batch(9), torch.Generator().manual_seed(1)) for each in (one, other)]
    for mine, theirs in zip(*draws, strict=True):
        assert torch.equal(mine, theirs)
    one.clear()
    assert len(one) == 0


def test_replay_once_is_the_batch() -> None:
    images, targets = ReplayBuffer(capacity=1, replay=1, chunks=1).step(*batch(3))
    assert torch.equal(images, batch(3)[0])
    assert torch.equal(targets, batch(3)[1])


def test_what_replay_refuses() -> None:
    with pytest.raises(ValueError, match="capacity must be at least 1, got 0"):
        ReplayBuffer(0)
    buffer = ReplayBuffer(2)
    with pytest.raises(ValueError, match="multiple of 32 and as many as targets, got 8 and 8"):
        buffer.step(*batch(0))
    with pytest.raises(ValueError, match="got 32 and 31"):
        buffer.step(torch.zeros(32, 1), torch.zeros(31))
