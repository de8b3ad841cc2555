"""A model of a world that needs no storage: everything follows from a hash of the path.

Integer arithmetic and exact conversions only, so that NumPy and JAX give the same bits.
"""

from typing import Any, NamedTuple

import numpy as np

DISCOUNT = np.float32(0.97)


def scramble(x: Any) -> Any:
    """A 32-bit finaliser on uint32 arrays (of NumPy or of JAX)."""
    x = x ^ (x >> 16)
    x = x * np.uint32(0x7FEB352D)
    x = x ^ (x >> 15)
    x = x * np.uint32(0x846CA68B)
    return x ^ (x >> 16)


def child_state(state: Any, action: Any) -> Any:
    return scramble(state ^ ((action + np.uint32(1)) * np.uint32(0x9E3779B9)))


def fraction(x: Any) -> Any:
    """In [0, 1), a multiple of 2^-24."""
    return (scramble(x) >> 8).astype(np.float32) * np.float32(2**-24)


def logits_of(state: Any, num_actions: int) -> Any:
    """(..., A) in [-2, 2)."""
    actions = np.arange(num_actions, dtype=np.uint32)
    return fraction(state[..., None] + np.uint32(0x1000) + actions) * np.float32(4) - np.float32(2)


def value_of(state: Any) -> Any:
    """In [-1, 1)."""
    return fraction(state + np.uint32(0x2000)) * np.float32(2) - np.float32(1)


def reward_of(state: Any) -> Any:
    """Of the edge that leads to the state, in [-0.25, 0.25)."""
    return (fraction(state + np.uint32(0x3000)) - np.float32(0.5)) * np.float32(0.5)


def root_states(batch: int, seed: int) -> np.ndarray:
    return scramble(np.arange(batch, dtype=np.uint32) * np.uint32(7919) + np.uint32(seed))


class Case(NamedTuple):
    """One search of the recorded fixture."""

    policy: str  # "muzero" or "gumbel"
    batch: int
    actions: int
    simulations: int
    seed: int
    max_depth: int = 0  # 0: as many as simulations

    @property
    def name(self) -> str:
        return "-".join(str(part) for part in self)


class StateStore:
    """The states of a forest's nodes: grows as nodes are told in the order of their ids."""

    def __init__(self, roots: np.ndarray) -> None:
        self.roots = roots
        self.states: list[list[np.uint32]] = [[] for _ in roots]

    def of_leaves(self, leaves: Any) -> np.ndarray:
        states = np.empty(len(leaves.ticket), np.uint32)
        for index, (tree, parent, action) in enumerate(
            zip(leaves.tree, leaves.parent, leaves.action, strict=True)
        ):
            above = self.states[tree][parent] if parent >= 0 else None
            if above is None:
                states[index] = self.roots[tree]
            else:
                states[index] = child_state(above, np.uint32(action))
            if leaves.node[index] < 0:
                self.states[tree].append(states[index])
        return states
