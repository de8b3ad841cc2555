"""Token subsets in plain Python."""

import torch
from torch import Tensor

WORD = 2**64


def _fold(key: int, part: int) -> int:
    """SplitMix64's finaliser over the key and one part of it."""
    bits = ((key ^ part) + 0x9E3779B97F4A7C15) % WORD
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB % WORD
    return bits ^ (bits >> 31)


def random_subsets(seed: int, num_rows: int, num_tokens: int, keep: int) -> Tensor:
    """Floyd's algorithm with Lemire's bounded numbers."""
    rows = []
    for row in range(num_rows):
        key, counter = _fold(seed % WORD, row), 0
        count = num_tokens - keep if 2 * keep > num_tokens else keep
        chosen: set[int] = set()
        for last in range(num_tokens - count, num_tokens):
            while True:
                product = _fold(key, counter) * (last + 1)
                counter += 1
                if product % WORD >= WORD % (last + 1):
                    break
            token = product // WORD
            chosen.add(last if token in chosen else token)
        kept = chosen if count == keep else set(range(num_tokens)) - chosen
        rows.append(sorted(kept))
    return torch.tensor(rows, dtype=torch.int64).reshape(num_rows, keep)


def gather_tokens(x: Tensor, indices: Tensor) -> Tensor:
    rows = [torch.stack([t[i] for i in row]) for t, row in zip(x, indices.tolist(), strict=True)]
    return torch.stack(rows)


def add_tokens(tokens: Tensor, indices: Tensor, num_tokens: int) -> Tensor:
    samples = []
    for sample, row in zip(tokens, indices.tolist(), strict=True):
        places = [torch.zeros_like(sample[0]) for _ in range(num_tokens)]
        for token, place in zip(sample, row, strict=True):
            places[place] = places[place] + token
        samples.append(torch.stack(places))
    return torch.stack(samples)


def scatter_tokens(tokens: Tensor, indices: Tensor, num_tokens: int, fill: Tensor) -> Tensor:
    samples = []
    for sample, row in zip(tokens, indices.tolist(), strict=True):
        places = [fill] * num_tokens
        for token, place in zip(sample, row, strict=True):
            places[place] = token
        samples.append(torch.stack(places))
    return torch.stack(samples)
