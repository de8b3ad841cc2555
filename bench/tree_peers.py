"""What the forest is compared with: mctx, and a plain MCTS in Python, on one table of states.

The world: state s has a row of priors and a value; action a leads to (s A + a + 1) mod STATES.
"""

import math
from typing import NamedTuple

import numpy as np

STATES = 4093


class World(NamedTuple):
    logits: np.ndarray  # (STATES, A) float32
    priors: np.ndarray
    values: np.ndarray  # (STATES,) float32

    @property
    def actions(self) -> int:
        return int(self.logits.shape[1])


def make_world(actions: int) -> World:
    generator = np.random.default_rng(0)
    logits = generator.standard_normal((STATES, actions)).astype(np.float32)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    priors = exponentials / exponentials.sum(axis=1, keepdims=True)
    return World(logits, priors, generator.uniform(-1, 1, STATES).astype(np.float32))


def roots(batch: int) -> np.ndarray:
    return (np.arange(batch) * 97 % STATES).astype(np.int32)


def mctx_search(world: World, batch: int, simulations: int):  # type: ignore[no-untyped-def]
    """A compiled ``mctx.muzero_policy`` without root noise: call it for visits and values."""
    import jax
    import jax.numpy as jnp
    import mctx

    logits, values = jnp.asarray(world.logits), jnp.asarray(world.values)
    start = jnp.asarray(roots(batch))

    def recurrent(_params, _key, action, state):  # type: ignore[no-untyped-def]
        state = (state * world.actions + action + 1) % STATES
        output = mctx.RecurrentFnOutput(
            reward=jnp.zeros(batch),
            discount=jnp.ones(batch),
            prior_logits=logits[state],
            value=values[state],
        )
        return output, state

    def search(key):  # type: ignore[no-untyped-def]
        root = mctx.RootFnOutput(prior_logits=logits[start], value=values[start], embedding=start)
        output = mctx.muzero_policy(
            (), key, root, recurrent, num_simulations=simulations, dirichlet_fraction=0.0
        )
        summary = output.search_tree.summary()
        return summary.visit_counts, summary.value

    compiled = jax.jit(search)
    key = jax.random.PRNGKey(0)
    return lambda: jax.block_until_ready(compiled(key))


class PlainNode:
    """A node as one writes it in Python."""

    __slots__ = ("children", "prior", "state", "value", "visits")

    def __init__(self, prior: float, state: int) -> None:
        self.prior, self.state = prior, state
        self.visits, self.value = 0, 0.0
        self.children: list[PlainNode] = []


def plain_search(world: World, root: int, simulations: int) -> list[int]:
    """PUCT with mctx's normalisation, one simulation after the other; visits of the root."""
    priors, values, actions = world.priors.tolist(), world.values.tolist(), world.actions

    def evaluate(node: PlainNode) -> float:
        node.children = [
            PlainNode(prior, (node.state * actions + action + 1) % STATES)
            for action, prior in enumerate(priors[node.state])
        ]
        node.visits, node.value = 1, values[node.state]
        return node.value

    top = PlainNode(1.0, root)
    evaluate(top)
    for _ in range(simulations):
        path, node = [top], top
        while node.children:
            node = _best_child(node)
            path.append(node)
        value = evaluate(node)
        for above in path[:-1]:
            above.value = (above.value * above.visits + value) / (above.visits + 1)
            above.visits += 1
    return [child.visits for child in top.children]


def _best_child(node: PlainNode) -> PlainNode:
    visited = [child.value for child in node.children if child.visits]
    low, high = min([node.value, *visited]), max([node.value, *visited])
    width = max(high - low, 1e-8)
    rate = 1.25 + math.log((node.visits + 19653.0) / 19652.0)
    factor = math.sqrt(node.visits) * rate
    best, best_score = node.children[0], -math.inf
    for child in node.children:
        score = (child.value - low) / width if child.visits else 0.0
        score += factor * child.prior / (child.visits + 1)
        if score > best_score:
            best, best_score = child, score
    return best
