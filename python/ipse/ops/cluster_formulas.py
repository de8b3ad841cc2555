"""Plain PyTorch forms of the cluster operators, for devices without a kernel.

The same algorithms and the same random numbers as the core's, so that results agree up to
rounding.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

_BLOCK = 4096
_MASK = 2**64 - 1


def split_mix(seed: int) -> Iterator[float]:
    """SplitMix64 as numbers in [0, 1)."""
    state = seed & _MASK
    while True:
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        yield ((z ^ (z >> 31)) >> 11) * 2.0**-53


def _squared_distances(points: Tensor, point: Tensor) -> Tensor:
    return (points - point).square().sum(1)


def nearest_centroid(points: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """Labels and squared distances, block by block."""
    mean = points.mean(0)
    shifted = centroids - mean
    labels = torch.cat(
        [
            # |x|^2 is the same for every centroid
            (2 * (block - mean) @ shifted.T - shifted.square().sum(1)).argmax(1)
            for block in points.split(_BLOCK)
        ]
    )
    return labels, (points - centroids[labels]).square().sum(1)


def _fill_empty_clusters(
    points: Tensor, centroids: Tensor, labels: Tensor, counts: Tensor
) -> Tensor:
    """The farthest points, one for each empty cluster; points alone in theirs stay."""
    labels = labels.clone()
    apart = (points - centroids[labels]).square().sum(1)
    for cluster in (counts == 0).nonzero().flatten().tolist():
        candidates = torch.where(counts[labels] > 1, apart, 0)
        point = int(candidates.argmax())
        if not candidates[point] > 0:
            break
        counts[labels[point]] -= 1
        counts[cluster] += 1
        labels[point] = cluster
        apart[point] = 0
    return labels


def kmeans(
    points: Tensor, initial: Tensor, max_iterations: int, tolerance: float, spherical: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Lloyd's algorithm: centroids, labels, inertia and the number of iterations."""
    centroids = initial.clone()
    limit = tolerance * float(points.var(0, unbiased=False).mean())
    before = torch.full((points.shape[0],), -1, device=points.device)
    iterations, settled = 0, False
    while iterations < max_iterations and not settled:
        iterations += 1
        assigned, _ = nearest_centroid(points, centroids)
        counts = assigned.bincount(minlength=centroids.shape[0])
        labels = _fill_empty_clusters(points, centroids, assigned, counts)
        sums = torch.zeros(centroids.shape, dtype=torch.float64, device=points.device)
        sums.index_add_(0, labels, points.double())
        scale = counts[:, None].double()
        if spherical:
            scale = sums.norm(dim=1, keepdim=True)
            scale[scale == 0] = torch.inf
        moved = torch.where(counts[:, None] > 0, (sums / scale).to(points.dtype), centroids)
        movement = float((moved.double() - centroids.double()).square().sum())
        centroids = moved
        settled = torch.equal(assigned, before) and torch.equal(labels, assigned)
        before = labels
        if not settled and movement <= limit:
            break
    labels = before if settled else nearest_centroid(points, centroids)[0]
    inertia = (points.double() - centroids[labels].double()).square().sum()
    return centroids, labels, inertia, torch.tensor(iterations, device=points.device)


def kmeans_plus_plus(points: Tensor, count: int, seed: int) -> Tensor:
    """Greedy k-means++: indices of distinct points."""
    random = split_mix(seed)
    samples = points.shape[0]
    picks = [min(int(next(random) * samples), samples - 1)]
    closest = _squared_distances(points, points[picks[0]])
    trials = 2 + int(math.log(count))
    while len(picks) < count:
        total = float(closest.sum(dtype=torch.float64))
        if not total > 0:  # fewer different points than centres
            picks.append(min(set(range(len(picks) + 1)) - set(picks)))
            continue
        running = closest.double().cumsum(0)
        targets = [next(random) * total for _ in range(trials)]
        where = torch.searchsorted(running, running.new_tensor(targets), right=True)
        last = int((closest > 0).nonzero()[-1])
        candidates = where.clamp_max(last).tolist()
        options = [
            torch.minimum(closest, _squared_distances(points, points[c])) for c in candidates
        ]
        sums = [float(option.sum(dtype=torch.float64)) for option in options]
        best = sums.index(min(sums))
        picks.append(candidates[best])
        closest = options[best]
    return torch.tensor(picks, device=points.device)


def farthest_points(points: Tensor, start: int, count: int) -> tuple[Tensor, Tensor]:
    """Greedy k-centre: indices, and each pick's distance to those before it."""
    closest = points.new_full((points.shape[0],), torch.inf)
    picks, distances = [start], [torch.inf]
    while len(picks) < count:
        closest = torch.minimum(closest, _squared_distances(points, points[picks[-1]]))
        closest[picks] = -1  # never again, even among copies at distance 0
        picks.append(int(closest.argmax()))
        distances.append(float(closest[picks[-1]].sqrt()))
    return torch.tensor(picks, device=points.device), points.new_tensor(distances)
