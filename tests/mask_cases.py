"""Rows of responses that the tests of pruning masks share."""

import torch
from hypothesis import strategies as st
from torch import Tensor

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
MASSES = [-1.0, 0.05, 0.5, 0.9, 0.999, 0.9999999, 1.0]


def responses(kind: str, rows: int, channels: int, seed: int = 0) -> Tensor:
    """Float64 rows that every dtype can hold: nothing above 65504."""
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(rows, channels, generator=generator, dtype=torch.float64)
    if kind == "uniform":
        return uniform
    if kind == "activations":
        return torch.randn(rows, channels, generator=generator, dtype=torch.float64).abs()
    if kind == "ties":
        return (4 * uniform).floor()
    if kind == "saturated":
        return uniform.clamp_max(0.1)
    if kind == "nearly equal":
        return 1 + 1e-6 * uniform
    if kind == "dominated":
        uniform = 1e-3 * uniform
        uniform[:, channels // 2] = 50
        return uniform
    if kind == "many octaves":
        return torch.exp(40 * uniform - 30)
    if kind == "sparse":
        return torch.where(uniform < 0.9, torch.zeros_like(uniform), uniform)
    assert kind == "zeros"
    return torch.zeros_like(uniform)


KINDS = [
    "uniform",
    "activations",
    "ties",
    "saturated",
    "nearly equal",
    "dominated",
    "many octaves",
    "sparse",
    "zeros",
]
# Around what is sorted at once (24), what is looked at together (8) and a vector.
CHANNELS = [1, 2, 7, 8, 9, 24, 25, 33, 64, 100, 512, 1000, 4096]

# Any finite responses at all, ties and zeros included.
rows_of_any = st.integers(1, 40).flatmap(
    lambda channels: st.lists(
        st.lists(
            st.one_of(
                st.sampled_from([0.0, 0.5, 1.0, 6.0]),
                st.floats(0, 2.0**100, width=32),
                st.floats(0, 1, width=32),
            ),
            min_size=channels,
            max_size=channels,
        ),
        min_size=1,
        max_size=4,
    )
)
