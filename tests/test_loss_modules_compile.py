"""The contrastive modules under ``torch.compile``: one graph where they keep no state."""

from typing import Any

import pytest
import torch
from torch import Tensor

from ipse.losses import (
    ClipLoss,
    DCLLoss,
    DCLWLoss,
    InfoNCELoss,
    NegativeCosineSimilarity,
    NTXentLoss,
    SigLipLoss,
    SupConLoss,
)
from tests.cross_correlation_cases import make_views, value_and_gradients

CLIP, SIGLIP, SUPCON = ClipLoss(), SigLipLoss(), SupConLoss(0.5)
MODULES: dict[str, Any] = {
    "ntxent": NTXentLoss(),
    "info_nce": InfoNCELoss(),
    "dcl": DCLLoss(),
    "dclw": DCLWLoss(),
    "cosine": NegativeCosineSimilarity(),
    "clip": lambda a, b: CLIP(a, b, 2.0),
    "siglip": lambda a, b: SIGLIP(a, b, 2.0, -1.0),
    "supcon": lambda a, b: SUPCON(torch.stack([a, b], 1)),
}


@pytest.mark.parametrize("name", MODULES)
def test_whole_graph(name: str) -> None:
    views = make_views(6, 9)
    torch._dynamo.reset()
    compiled = torch.compile(MODULES[name], backend="aot_eager", fullgraph=True)
    eager = value_and_gradients(MODULES[name], *views)
    for got, wanted in zip(value_and_gradients(compiled, *views), eager, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-7)


def test_memory_bank_with_graph_breaks() -> None:
    """Its state changes between graphs; the history is that of the plain module."""
    torch._dynamo.reset()
    plain, inner = (NTXentLoss(0.3, (16, 5)) for _ in range(2))
    compiled = torch.compile(inner, backend="aot_eager")
    for step in range(4):
        z1, z2 = make_views(6, 5, seed=step)
        with_bank = [z1.requires_grad_(), z1.detach().clone().requires_grad_()]
        losses: list[Tensor] = [plain(with_bank[0], z2), compiled(with_bank[1], z2)]
        sum(losses).backward()
        torch.testing.assert_close(losses[0], losses[1], rtol=1e-6, atol=0)
        torch.testing.assert_close(with_bank[0].grad, with_bank[1].grad, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(plain.memory_bank.filled(), inner.memory_bank.filled())
