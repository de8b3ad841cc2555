"""Tree search, plainly: one tree of dictionaries, one rule after the other, float32.

The operations stand in the order in which mctx does them, so that visit counts can be compared
exactly and values to rounding.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

F = np.float32
TINY = np.finfo(np.float32).tiny


@dataclass
class Node:
    prior: np.ndarray  # probabilities; logits under Gumbel
    child_values: np.ndarray
    raw: Any = 0.0
    value: Any = 0.0
    visits: int = 0
    terminal: bool = False
    children: dict[int, "Node"] = field(default_factory=dict)
    reward: Any = 0.0
    discount: Any = 1.0
    edge_visits: np.ndarray | None = None
    rolled: dict[int, Any] = field(default_factory=dict)  # MCTS*: values after a rollout

    def __post_init__(self) -> None:
        self.edge_visits = np.zeros(len(self.prior), np.int64)

    def q(self, action: int) -> Any:
        if action in self.children:
            child = self.children[action]
            return child.reward + child.discount * child.value
        return self.rolled.get(action, self.child_values[action])


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum(dtype=np.float32)


def considered_visits(considered: int, simulations: int) -> list[int]:
    """mctx's get_sequence_of_considered_visits, from its definition."""
    if considered <= 1:
        return list(range(simulations))
    phases, width, sequence = math.ceil(math.log2(considered)), considered, []
    visits = [0] * considered
    while len(sequence) < simulations:
        for _ in range(max(1, simulations // (phases * width))):
            sequence += visits[:width]
            visits[:width] = [v + 1 for v in visits[:width]]
        width = max(2, width // 2)
    return sequence[:simulations]


class ReferenceTree:
    """One search; ``evaluate(path)`` gives prior, value, reward, discount, terminal, child values
    and a rollout's value as a dictionary."""

    def __init__(self, rules: Any, evaluate: Any, gumbel: np.ndarray | None = None) -> None:
        self.rules, self.evaluate, self.gumbel = rules, evaluate, gumbel
        self.low, self.high = F(np.inf), F(-np.inf)
        self.root = self.make(())
        self.root.reward, self.root.discount = F(0), F(1)
        self.root.visits = rules.root_visits
        if not rules.root_value:
            self.root.value = F(0)
        elif rules.backup == "mean":
            self.seen(self.root.value)
        self.settle(self.root)

    def make(self, path: tuple[int, ...]) -> Node:
        told = self.evaluate(path)
        prior = np.asarray(told["prior"], np.float32)
        node = Node(prior, np.asarray(told.get("child_values", np.zeros(len(prior))), np.float32))
        node.raw = node.value = F(told["value"])
        node.terminal = told.get("terminal", False)
        node.reward = F(told.get("reward", 0))
        node.discount = F(told.get("discount", self.rules.discount))
        if "rollout" in told and len(prior):
            best = int(np.argmax(node.child_values))
            alpha = F(self.rules.rollout_weight)
            blended = (F(1) - alpha) * node.child_values[best] + alpha * F(told["rollout"])
            node.rolled[best] = blended
            node.edge_visits[best] += 1
        return node

    def seen(self, value: Any) -> None:
        self.low, self.high = min(self.low, value), max(self.high, value)

    def settle(self, node: Node) -> None:
        """MCTS*: the mean of the children by visits replaces the node's own value."""
        if self.rules.backup == "weighted" and node.edge_visits.sum() > 0:
            total = F(0)
            for action in range(len(node.prior)):
                total = total + F(node.edge_visits[action]) * node.q(action)
            node.value = total / F(node.edge_visits.sum())

    # Choosing.

    def choose(self, node: Node, depth: int, above: Any) -> tuple[int, Any]:
        if self.rules.selection == "puct":
            return self.choose_puct(node, depth, above)
        if self.rules.selection == "uct":
            return self.choose_uct(node), above
        return self.choose_gumbel(node, depth), above

    def normalise(self, node: Node, x: Any) -> Any:
        rules = self.rules
        low, width = F(0), F(1)
        visited = [a for a in range(len(node.prior)) if node.edge_visits[a] > 0]
        if rules.normalisation == "siblings":
            values = [node.value, *(node.q(a) for a in visited)]
            low, width = min(values), max(max(values) - min(values), F(rules.smallest_range))
        elif rules.normalisation == "tree" and self.high - self.low > 0:
            low, width = self.low, max(self.high - self.low, F(rules.smallest_range))
        z = (x - low) / width
        return min(max(z, F(0)), F(1)) if rules.clamp else z

    def choose_puct(self, node: Node, depth: int, above: Any) -> tuple[int, Any]:
        rules = self.rules
        visited = [a for a in range(len(node.prior)) if node.edge_visits[a] > 0]
        unvisited = F(0)
        if rules.unvisited == "parent":
            unvisited = self.normalise(node, node.value)
        elif rules.unvisited == "walk_mean":
            total = F(0)
            for a in visited:
                total = total + node.q(a)
            if depth == 0 and visited:
                above = total / F(len(visited))
            else:
                above = ((F(0) if depth == 0 else above) + total) / F(len(visited) + 1)
            unvisited = self.normalise(node, above)
        visits = F(max(node.visits - rules.visit_offset, 0))
        rate = F(rules.c_init)
        if math.isfinite(rules.c_base):
            rate = rate + np.log((visits + F(rules.c_base) + F(1)) / F(rules.c_base))
        factor = np.sqrt(visits) * rate
        scores = []
        for a in range(len(node.prior)):
            z = self.normalise(node, node.q(a)) if node.edge_visits[a] > 0 else unvisited
            scores.append(z + factor * node.prior[a] / (F(node.edge_visits[a]) + F(1)))
        return int(np.argmax(scores)), above

    def choose_uct(self, node: Node) -> int:
        rules = self.rules
        spread = F(rules.log_factor) * np.log(F(max(node.visits, 1)))
        scores = []
        for a in range(len(node.prior)):
            n = node.edge_visits[a]
            bonus = F(rules.first_visit_bonus)
            if n > 0:
                bonus = F(rules.exploration) * np.sqrt(spread / F(n))
            scores.append(node.q(a) + bonus)
        return int(np.argmax(scores))

    def sigmas(self, node: Node) -> np.ndarray:
        rules = self.rules
        visited = node.edge_visits > 0
        prior = np.maximum(softmax(node.prior), TINY)
        unvisited = node.raw
        if rules.mixed_value and visited.any():
            q = np.array([node.q(a) for a in range(len(node.prior))], np.float32)
            mean = (prior * q / prior[visited].sum())[visited].sum()
            count = F(node.edge_visits.sum())
            unvisited = (node.raw + count * mean) / (count + F(1))
        full = np.array(
            [node.q(a) if visited[a] else unvisited for a in range(len(visited))], np.float32
        )
        if rules.rescale_values:
            full = (full - full.min()) / max(full.max() - full.min(), F(rules.smallest_range))
        return (F(rules.c_visit) + F(node.edge_visits.max())) * F(rules.c_scale) * full

    def choose_gumbel(self, node: Node, depth: int) -> int:
        n = node.edge_visits
        if depth > 0:
            return int(np.argmax(softmax(node.prior + self.sigmas(node)) - n / F(1 + n.sum())))
        allowed = node.prior > -np.inf
        row = considered_visits(
            min(self.rules.num_considered, int(allowed.sum())), self.rules.num_simulations
        )
        scores = self.gumbel + (node.prior - node.prior.max()) + self.sigmas(node)
        scores = np.where(allowed & (n == row[n.sum()]), np.maximum(scores, F(-1e9)), -np.inf)
        return int(np.argmax(scores))

    # A simulation.

    def simulate(self) -> None:
        node, path, trail, above = self.root, (), [], F(0)
        while True:
            if len(node.prior) == 0 or node.terminal:
                leaf, value = node, node.value
                leaf.visits += 1
                break
            action, above = self.choose(node, len(path), above)
            trail.append((node, action))
            path = (*path, action)
            known = node.children.get(action)
            if known is None or (len(path) >= self.rules.max_depth and not self.ends(known)):
                leaf = self.make(path)
                if known is not None:  # evaluated again: the value is replaced, visits go on
                    known.raw = known.value = leaf.raw
                    leaf = known
                node.children[action] = leaf
                leaf.visits = int(node.edge_visits[action]) + 1
                self.settle(leaf)
                value = leaf.raw if self.rules.backup == "mean" else leaf.value
                break
            node = known
        self.back_up(trail, leaf, value)

    @staticmethod
    def ends(node: Node) -> bool:
        return node.terminal or len(node.prior) == 0

    def back_up(self, trail: list[tuple[Node, int]], leaf: Node, value: Any) -> None:
        child = leaf
        self.seen(child.reward + child.discount * child.value)
        for node, action in reversed(trail):
            node.edge_visits[action] = child.visits
            value = child.reward + child.discount * value
            if self.rules.backup == "mean":
                node.value = (node.value * F(node.visits) + value) / (F(node.visits) + F(1))
            elif self.rules.backup == "max":
                visited = [a for a in range(len(node.prior)) if node.edge_visits[a] > 0]
                node.value = max(node.q(a) for a in visited)
            else:
                self.settle(node)
            node.visits += 1
            child = node
            self.seen(child.reward + child.discount * child.value)


def process_values(parents: list[int], ended: list[bool], correct: list[bool]) -> list[float]:
    """ReST-MCTS*, the literal algorithm with its sentinel; nan where nothing is emitted."""
    unknown, count = 1024, len(parents)
    children = [[c for c in range(count) if parents[c] == n] for n in range(count)]
    distance, hit = [unknown] * count, [False] * count
    right = [n for n in range(count) if ended[n] and correct[n]]
    for leaf in right:
        distance[leaf], hit[leaf] = 1, True
    for leaf in right:
        node = parents[leaf]
        while node >= 0:
            if node not in right:
                distance[node] = min(distance[c] for c in children[node]) + 1
                distance[node] = min(distance[node], unknown)
            hit[node] = True
            node = parents[node]
    wrong = [n for n in range(count) if ended[n] and not correct[n]]
    copied = dict.fromkeys(range(count), unknown)
    for leaf in wrong:
        path, node = [], leaf
        while node >= 0 and distance[node] == unknown:
            path.append(node)
            node = parents[node]
        if node >= 0:
            for step in path:
                copied[step] = distance[node]
    values = [math.nan] * count
    values[0] = 0.0
    for node in range(1, count):
        d = distance[node] if distance[node] != unknown else copied[node]
        if d != unknown and not math.isnan(values[parents[node]]):
            above = values[parents[node]]
            values[node] = max(0.0, above + (1 - above) * (1 if hit[node] else -1) / d)
    return values
