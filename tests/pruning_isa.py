"""The part of isa_suite.py that is about pruning: masks exactly, responses within tolerance."""

import itertools

import numpy as np
import torch

from ipse.functional import (
    channel_response,
    gather_tokens,
    mass_curve,
    mass_topk_mask,
    random_subsets,
    scatter_tokens,
    uniform_topk_mask,
)
from tests.mask_cases import KINDS, MASSES, responses
from tests.reference import channel_response as reference
from tests.reference import pruning_masks as mask_reference

UNITS = {torch.float32: 2e-5, torch.float64: 1e-12}
# Positions and channels below, at and above one vector of each level and four of them.
SHAPES = [(2, 3, 1, 1), (1, 17, 3, 5), (2, 70, 4, 4), (1, 2, 24, 25)]


def masks() -> dict[str, np.ndarray]:
    results = {}
    for kind, channels, dtype in itertools.product(KINDS, (1, 9, 33, 300), UNITS):
        x = responses(kind, 2, channels).to(dtype)
        for mass in MASSES:
            for mine, exact in zip(
                mass_topk_mask(x, mass, keep_at_least=1),
                mask_reference.mass_topk_mask(x, mass, 1),
                strict=True,
            ):
                assert torch.equal(mine, exact)
        assert torch.equal(mass_curve(x, MASSES), mask_reference.mass_curve(x, MASSES))
        uniform = uniform_topk_mask(x, 0.4)
        assert torch.equal(uniform.mask, mask_reference.uniform_topk_mask(x, 0.4)[0])
        # A difference of one channel is far above the tolerance of 1.
        results[f"masks {kind} {channels} {dtype}"] = 10.0 * uniform.counts.numpy()
    return results


def channel_responses() -> dict[str, np.ndarray]:
    results = {}
    cases = itertools.product(SHAPES, UNITS, reference.ACTIVATIONS, ("avg", "max"), (False, True))
    for shape, dtype, activation, pool, last in cases:
        generator = torch.Generator().manual_seed(sum(shape))
        wide = torch.randn(shape, generator=generator, dtype=torch.float64)
        scale, shift = torch.randn(2, shape[1], generator=generator, dtype=torch.float64)
        mask = torch.rand(shape[:2], generator=generator) < 0.7
        x = wide.to(dtype)
        x = x.movedim(1, -1).contiguous().movedim(-1, 1) if last else x
        leaves = [t.requires_grad_() for t in (x, scale.to(dtype), shift.to(dtype))]
        got = channel_response(*leaves, mask, activation=activation, pool=pool)
        exact = [t.detach().double() for t in leaves]
        wanted = reference.channel_response(*exact, mask, activation, pool)
        key = f"channel_response {shape} {dtype} {activation} {pool} {last}"
        unit = UNITS[dtype]
        grads = torch.autograd.grad([t.square().sum() for t in got], leaves)
        for index, (mine, right) in enumerate(zip(got, wanted, strict=True)):
            assert bool(((mine.double() - right).abs() <= unit).all())
            results[f"{key} {index}"] = mine.detach().double().numpy() / unit
        for name, grad in zip(("x", "scale", "shift"), grads, strict=True):
            size = unit * (1 + float(grad.abs().max())) * 10
            results[f"{key} {name}"] = grad.double().numpy() / size
    return results


def tokens() -> dict[str, np.ndarray]:
    x = torch.arange(2 * 9 * 33, dtype=torch.float32).view(2, 9, 33)
    indices = random_subsets(2, 9, 4, seed=0)
    back = scatter_tokens(gather_tokens(x, indices), indices, 9)
    kept = torch.zeros(2, 9, 1).scatter_(1, indices.unsqueeze(2), 1)
    assert torch.equal(back, x * kept)
    return {"tokens": 10 * back.double().numpy()}
