"""Puzzles of pretext tasks: turned images, permutations that are far apart, tiles."""

import pytest
import torch

from ipse.data import jigsaw_permutations, jigsaw_tiles, quarter_turns


def test_quarter_turns_are_clockwise() -> None:
    image = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).expand(1, 1, 2, 2)
    turned, labels = quarter_turns(torch.cat([image, 10 * image]))
    assert labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert turned[2, 0].tolist() == [[3.0, 1.0], [4.0, 2.0]]
    assert turned[5, 0].tolist() == [[40.0, 30.0], [20.0, 10.0]]
    assert turned[6, 0].tolist() == [[2.0, 4.0], [1.0, 3.0]]


def test_quarter_turns_want_squares() -> None:
    with pytest.raises(ValueError, match=r"^quarter_turns: images must be square"):
        quarter_turns(torch.zeros(2, 1, 4, 6))


def test_permutations_are_far_apart() -> None:
    found = jigsaw_permutations(35, seed=3)
    assert found.shape == (35, 9)
    assert torch.equal(found.sort(1).values, torch.arange(9).expand(35, 9))
    distances = (found[:, None] != found).sum(2) + 9 * torch.eye(35, dtype=torch.int64)
    assert int(distances.min()) >= 7
    assert int(distances[:9, :9].min()) == 9, "nine permutations can differ everywhere"
    assert torch.equal(found, jigsaw_permutations(35, seed=3))
    assert not torch.equal(found, jigsaw_permutations(35, seed=4))
    assert torch.equal(found[:10], jigsaw_permutations(10, seed=3))


def test_all_permutations() -> None:
    found = jigsaw_permutations(6, tiles=3)
    assert len({tuple(row) for row in found.tolist()}) == 6


@pytest.mark.parametrize(("count", "tiles"), [(0, 3), (7, 3), (1, 0), (1, 10)])
def test_permutations_message(count: int, tiles: int) -> None:
    with pytest.raises(ValueError, match=r"^jigsaw_permutations: (count|tiles) must be from 1 to"):
        jigsaw_permutations(count, tiles)


def test_tiles_come_in_order_and_full_size() -> None:
    rows, cols = torch.meshgrid(torch.arange(7), torch.arange(10), indexing="ij")
    image = (rows // 2 * 3 + cols // 3).clamp(max=8).float()  # its tile's number, but for the ends
    images = torch.stack([image, image + 100])[:, None]
    order = torch.stack([torch.arange(9), torch.tensor([8, 7, 6, 5, 4, 3, 2, 1, 0])])
    tiles = jigsaw_tiles(images, order)
    assert tiles.shape == (2, 9, 1, 7, 10)
    torch.testing.assert_close(tiles.amax((2, 3, 4)), tiles.amin((2, 3, 4)))
    torch.testing.assert_close(tiles[:, :, 0, 0, 0], order.float() + torch.tensor([[0.0], [100]]))


@pytest.mark.parametrize("shape", [(2, 8), (3, 9), (2, 64)])
def test_tiles_message(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"^jigsaw_tiles: permutations must be \[N, tiles\]"):
        jigsaw_tiles(torch.zeros(2, 1, 6, 6), torch.zeros(shape, dtype=torch.int64))
