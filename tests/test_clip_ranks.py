"""``ClipLoss`` over ranks in open_clip's four modes: which value, and whose gradients arrive.

open_clip's lines are written out for all ranks in one process: what is gathered without a
gradient is detached, and a rank's own features stand in for its place where open_clip puts
them back.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from ipse.losses import ClipLoss
from tests.cross_correlation_cases import make_views
from tests.process_group import run_ranks

RANKS, ROWS = 2, 3  # open_clip wants batches of equal length
MODES = [(local, grad) for local in (False, True) for grad in (False, True)]


def make_pairs() -> tuple[list[Tensor], list[Tensor]]:
    """Each rank's image and text features."""
    image, text = (normalize(z, dim=1) for z in make_views(RANKS * ROWS, 5, torch.float64))
    return list(image.split(ROWS)), list(text.split(ROWS))


def work(rank: int) -> dict[Any, list[Tensor]]:
    found = {}
    for local, grad in MODES:
        loss = ClipLoss(local, grad, rank=dist.get_rank(), world_size=dist.get_world_size())
        images, texts = make_pairs()
        leaves = [x.clone().requires_grad_() for x in (images[rank], texts[rank])]
        scale = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)
        value = loss(*leaves, scale)
        value.backward()
        found[local, grad] = [value.detach(), *(leaf.grad for leaf in leaves), scale.grad]
    return found


def losses_of_all_ranks(
    images: list[Tensor], texts: list[Tensor], scale: Tensor, local: bool, grad: bool
) -> list[Tensor]:
    """What open_clip computes on each rank."""
    losses = []
    for rank in range(RANKS):

        def gathered(features: list[Tensor], rank: int = rank) -> Tensor:
            parts = [x if grad else x.detach() for x in features]
            if not local:
                parts[rank] = features[rank]
            return torch.cat(parts)

        all_images, all_texts = gathered(images), gathered(texts)
        labels = torch.arange(RANKS * ROWS)
        if local:
            of_images = scale * images[rank] @ all_texts.T
            of_texts = scale * texts[rank] @ all_images.T
            labels = labels[rank * ROWS : (rank + 1) * ROWS]
        else:
            of_images = scale * all_images @ all_texts.T
            of_texts = of_images.T
        losses.append((cross_entropy(of_images, labels) + cross_entropy(of_texts, labels)) / 2)
    return losses


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[Any, list[Tensor]]]:
    folder: Path = tmp_path_factory.mktemp("clip")
    return run_ranks(work, RANKS, folder)


@pytest.mark.parametrize(("local", "grad"), MODES)
def test_equals_open_clip(found: list[dict[Any, list[Tensor]]], local: bool, grad: bool) -> None:
    images, texts = ([x.requires_grad_() for x in side] for side in make_pairs())
    scale = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)
    losses = losses_of_all_ranks(images, texts, scale, local, grad)
    # Every rank starts its backward pass with one; a gathering with gradient adds them up.
    by_scale = torch.autograd.grad(sum(losses), scale, retain_graph=True)[0] / RANKS
    for rank in range(RANKS):
        value, by_image, by_text, _ = found[rank][local, grad]
        torch.testing.assert_close(value, losses[rank].detach(), rtol=1e-12, atol=0)
        objective = sum(losses) if grad else losses[rank]
        wanted = torch.autograd.grad(objective, [images[rank], texts[rank]], retain_graph=True)
        for got, exact in zip((by_image, by_text), wanted, strict=True):
            torch.testing.assert_close(got, exact, rtol=1e-10, atol=1e-13)
    average = sum(rank[local, grad][3] for rank in found) / RANKS
    torch.testing.assert_close(average, by_scale, rtol=1e-10, atol=1e-13)
