"""Clustering from the definitions, in float64, with nothing fused."""

import math

import torch
from torch import Tensor


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """(N, K), from differences."""
    return (x.double()[:, None] - y.double()[None]).square().sum(2)


def nearest_centroid(points: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """argmin and min of the squared distances; the first of equal ones."""
    distances = squared_distances(points, centroids)
    labels = torch.tensor([row.index(min(row)) for row in distances.tolist()])
    return labels, distances.gather(1, labels[:, None])[:, 0]


def kmeans(
    points: Tensor, initial: Tensor, max_iterations: int, tolerance: float, spherical: bool
) -> tuple[Tensor, Tensor, float, int]:
    """Lloyd's algorithm with scikit-learn's stopping rules."""
    points, centroids = points.double(), initial.double().clone()
    limit = tolerance * float(((points - points.mean(0)) ** 2).mean())
    before: list[int] = []
    labels: list[int] = []
    iterations = 0
    for iterations in range(1, max_iterations + 1):  # noqa: B007  # returned
        nearest, distances = nearest_centroid(points, centroids)
        labels, filled = nearest.tolist(), False
        for cluster in range(len(centroids)):
            if cluster in labels:
                continue
            candidates = [
                (float(-distances[i]), i)
                for i in range(len(points))
                if labels.count(labels[i]) > 1 and distances[i] > 0
            ]
            if not candidates:
                break
            _, point = min(candidates)
            labels[point], distances[point], filled = cluster, 0.0, True
        old = centroids.clone()
        for cluster in set(labels):
            total = points[[i for i, label in enumerate(labels) if label == cluster]].sum(0)
            size = total.norm() if spherical else labels.count(cluster)
            centroids[cluster] = total / size if size > 0 else 0
        if labels == before and not filled:
            break
        before = labels
        if float((centroids - old).square().sum()) <= limit:
            break
    final, distances = nearest_centroid(points, centroids)
    return centroids, final, float(distances.sum()), iterations


def uniform(seed: int, count: int) -> list[float]:
    """The first numbers of SplitMix64 in [0, 1)."""
    numbers = []
    for step in range(1, count + 1):
        z = (seed + step * 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        numbers.append((z ^ z >> 31) // 2**11 / 2**53)
    return numbers


def kmeans_plus_plus(points: Tensor, count: int, seed: int) -> Tensor:
    """Each new centre: of 2 + log K candidates drawn by squared distance, the best."""
    trials = 2 + int(math.log(count))
    random = uniform(seed, 1 + trials * count)
    distances = squared_distances(points, points)
    picks = [int(random.pop(0) * len(points))]
    while len(picks) < count:
        closest = distances[picks].min(0).values
        if closest.sum() == 0:
            picks.append(next(i for i in range(len(points)) if i not in picks))
            continue
        running = closest.cumsum(0)
        candidates = [
            int((running > random.pop(0) * running[-1]).nonzero()[0]) for _ in range(trials)
        ]
        sums = [float(torch.minimum(closest, distances[c]).sum()) for c in candidates]
        picks.append(candidates[sums.index(min(sums))])
    return torch.tensor(picks)


def farthest_points(points: Tensor, start: int, count: int) -> tuple[Tensor, Tensor]:
    """Each new pick: the point whose nearest pick is farthest away."""
    distances = squared_distances(points, points).sqrt()
    picks, apart = [start], [math.inf]
    while len(picks) < count:
        closest = distances[picks].min(0).values.tolist()
        left = [i for i in range(len(points)) if i not in picks]
        picks.append(max(left, key=lambda i: (closest[i], -i)))
        apart.append(closest[picks[-1]])
    return torch.tensor(picks), torch.tensor(apart, dtype=torch.float64)


def facility_location(
    similarity: Tensor, tau: float, patience: int, exclude: set[int]
) -> tuple[list[list[int]], list[float], str]:
    """SimCore's rounds from a whole (K, N) matrix: one full sort for each centroid."""
    queues = [
        [j for j in row.argsort(descending=True, stable=True).tolist() if j not in exclude]
        for row in similarity
    ]
    rounds: list[list[int]] = []
    values: list[float] = []
    taken: set[int] = set()
    while len(taken) < len(queues[0]):
        best = [next(j for j in queue if j not in taken) for queue in queues]
        scores = [float(row[j]) for row, j in zip(similarity, best, strict=True)]
        values.append(sum(scores) / len(scores))
        late = len(values) > patience and values[patience - 1] > 0
        if late and values[-1] < tau * values[patience - 1]:
            return rounds, values, "threshold"
        rounds.append(list(dict.fromkeys(best)))
        taken |= set(best)
    return rounds, values, "exhausted"
