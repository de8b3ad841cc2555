"""Coresets: a few points that cover many, and the points of a pool nearest to a target set."""

import warnings
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from ipse.functional.clusters import _points
from ipse.functional.neighbours import topk_similarity

__all__ = [
    "FacilityCoreset",
    "FarthestCoreset",
    "facility_location_coreset",
    "farthest_point_coreset",
]


class FarthestCoreset(NamedTuple):
    """Picks in order, and the distance of each to the picks before it."""

    indices: Tensor
    distances: Tensor


class FacilityCoreset(NamedTuple):
    """Picks of a pool in order, the round of each, the value of each round, and the ending."""

    indices: Tensor
    rounds: Tensor
    values: list[float]
    ending: str


def farthest_point_coreset(
    x: Tensor, size: int, *, seed: int = 0, start: int | None = None
) -> FarthestCoreset:
    """Greedy k-centre: each pick is the point farthest from all picks before it.

    The largest distance of any point to its nearest pick is at most twice the best possible.

    Args:
        x: (N, D) points, float32, float64, or 16-bit (computed in float32); any strides.
        size: number of picks, from 1 to N.
        seed: draws the first pick where ``start`` is None.
        start: index of the first pick.

    Returns:
        ``FarthestCoreset(indices, distances)``: (size,) int64, all different, and (size,)
        Euclidean distances to the earlier picks, infinite for the first and never rising. Of
        equally far points the first is picked; the result does not depend on the number of
        threads. No gradient flows.

    Raises:
        ValueError: x is not (N, D) or not finite, ``size`` or ``start`` is out of range.
        TypeError: x is not floating point.

    Memory:
        One copy of x in the kernel's layout and two values for each point.

    Source:
        Gonzalez, Clustering to minimize the maximum intercluster distance, 1985; as an
        active-learning coreset, Sener, Savarese, ICLR 2018 (arXiv 1708.00489).
    """
    points = _points("farthest_point_coreset", "x", x)
    if start is None:
        generator = torch.Generator().manual_seed(seed)
        start = int(torch.randint(max(len(points), 1), (), generator=generator))
    return FarthestCoreset(*torch.ops.ipse.farthest_points(points, start, size))


class _Lists:
    """For every centroid the pool's items from the most similar down, grown when needed."""

    def __init__(self, pool: Tensor, centroids: Tensor, length: int) -> None:
        self.pool = pool
        self.centroids = centroids
        self.cursors = [0] * len(centroids)
        self._grow(length)

    def _grow(self, length: int) -> None:
        self.length = min(length, len(self.pool))
        found = topk_similarity(self.centroids, self.pool, self.length)
        self.items = found.indices.tolist()
        self.values = found.values.tolist()

    def best(self, centroid: int, taken: list[bool]) -> tuple[int, float]:
        """The most similar item that is not taken; there must be one."""
        cursor = self.cursors[centroid]
        while True:
            if cursor == self.length:
                # Longer lists begin with what the old ones hold: every cursor stays right.
                self._grow(2 * self.length)
            if not taken[self.items[centroid][cursor]]:
                self.cursors[centroid] = cursor
                return self.items[centroid][cursor], self.values[centroid][cursor]
            cursor += 1


def _check_facility(
    pool: Tensor, centroids: Tensor, tau: float, patience: int, budget: int | None
) -> None:
    name = "facility_location_coreset"
    if pool.dim() != 2 or len(pool) == 0:
        raise ValueError(f"{name}: pool must be (N, D) with N >= 1, got {tuple(pool.shape)}")
    if centroids.dim() != 2 or len(centroids) == 0:
        shape = tuple(centroids.shape)
        raise ValueError(f"{name}: centroids must be (K, D) with K >= 1, got {shape}")
    if pool.shape[1] != centroids.shape[1]:
        raise ValueError(
            f"{name}: pool and centroids must have the same number of features, "
            f"got {tuple(pool.shape)} and {tuple(centroids.shape)}"
        )
    if not 0 < tau <= 1:
        raise ValueError(f"{name}: tau must be above 0 and at most 1, got {tau}")
    if patience < 1:
        raise ValueError(f"{name}: patience must be at least 1, got {patience}")
    if budget is not None and budget < 1:
        raise ValueError(f"{name}: budget must be at least 1, got {budget}")


def _exclusions(exclude: Tensor | Iterable[int] | None, count: int) -> list[bool]:
    taken = [False] * count
    if isinstance(exclude, Tensor):
        exclude = exclude.flatten().tolist()
    for item in exclude or ():
        if not 0 <= item < count:
            raise ValueError(
                f"facility_location_coreset: exclude must name items from 0 to {count - 1}, "
                f"got {item}"
            )
        taken[item] = True
    return taken


def _random_subset(items: list[int], count: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(items), generator=generator)[:count].sort().values
    return [items[i] for i in chosen.tolist()]


def facility_location_coreset(
    pool: Tensor,
    centroids: Tensor,
    *,
    tau: float = 0.95,
    patience: int = 20,
    budget: int | None = None,
    exclude: Tensor | Iterable[int] | None = None,
    seed: int = 0,
) -> FacilityCoreset:
    """SimCore: the items of an open pool that are closest to a target set, as many as fit.

    In every round each centroid of the target set takes its most similar item (cosine) that no
    earlier round took; items taken by several centroids of one round count once. A round's
    value is the mean similarity of the centroids to what they took. The rounds end, and the
    last one is discarded, as soon as the value falls below ``tau`` times that of round
    ``patience`` (the paper's rule has ``patience=1``, the first round; the authors' code 20).

    Args:
        pool: (N, D) features of the open set: float, any norm.
        centroids: (K, D) of the target set's features, the same dtype:
            ``kmeans(target, K, normalize=True).centroids``.
        tau: in (0, 1]; how far the similarity may fall.
        patience: the round whose value is the reference; no stop before it.
        budget: at most so many picks; of the round that passes it a random part is kept.
        exclude: items never picked, such as copies of a test set.
        seed: of that random part.

    Returns:
        ``FacilityCoreset(indices, rounds, values, ending)``: (S,) int64 items in the order of
        rounds and, within one, of centroids; the round of each, from 1; the value of every
        round, the discarded one included; and why it ended: ``"threshold"``, ``"budget"``
        or ``"exhausted"``. Equal similarities go to the lower item. No gradient flows.

    Raises:
        ValueError: shapes do not fit, a value is not finite, or a setting is out of range.
        TypeError: dtypes differ or are not floating point.

    Warns:
        UserWarning: the reference value is not positive, so that a share of it means nothing
            (untrained features): rounds then end at the budget or with the pool.

    Memory:
        As :func:`topk_similarity` with the K lists, which are as long as the rounds need (they
        start at 4 ``patience`` and double); never (N, K).

    Source:
        Kim et al., Coreset Sampling from Open-Set for Fine-Grained Self-Supervised Learning,
        CVPR 2023 (arXiv 2303.11101), section 3, and its code for the reference round.
    """
    name = "facility_location_coreset"
    _check_facility(pool, centroids, tau, patience, budget)
    pool, centroids = _points(name, "pool", pool), _points(name, "centroids", centroids)
    taken = _exclusions(exclude, len(pool))
    left = len(pool) - sum(taken)
    lists = _Lists(pool, centroids, 4 * patience)
    picks: list[int] = []
    rounds: list[int] = []
    values: list[float] = []
    reference = 0.0
    ending = "exhausted"
    while left > 0:
        best = [lists.best(centroid, taken) for centroid in range(len(centroids))]
        values.append(sum(value for _, value in best) / len(best))
        if len(values) == patience:
            reference = values[-1]
            if reference <= 0:
                warnings.warn(
                    f"{name}: the value of round {patience} is {reference:.3g}, not positive: "
                    "no threshold can be set (are the features trained?)",
                    stacklevel=2,
                )
        if len(values) > patience and values[-1] < tau * reference and reference > 0:
            ending = "threshold"
            break
        items = list(dict.fromkeys(item for item, _ in best))
        if budget is not None and len(picks) + len(items) > budget:
            items = _random_subset(items, budget - len(picks), seed)
            ending = "budget"
        for item in items:
            taken[item] = True
        picks += items
        rounds += [len(values)] * len(items)
        left -= len(items)
        if ending == "budget":
            break
    return FacilityCoreset(
        torch.tensor(picks, dtype=torch.int64), torch.tensor(rounds), values, ending
    )
