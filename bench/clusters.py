"""Seeding, nearest centroids and the greedy k-centre against scikit-learn and plain torch."""

from collections.abc import Callable

import torch
from sklearn.cluster import kmeans_plusplus
from torch import Tensor

from bench import harness
from ipse.functional import farthest_point_coreset, nearest_centroid

TITLE = "clusters: 100000 points of 64 features, float32, ms and times as long"
POINTS, DEPTH, CLUSTERS, PICKS = 100_000, 64, 100, 200


def potential(x: Tensor, picks: Tensor) -> Tensor:
    """Sum of squared distances to the nearest pick: what seeding keeps small."""
    return nearest_centroid(x, x[picks]).distances.double().sum()


def seeding(x: Tensor) -> dict[str, Callable[[], Tensor]]:
    """Different random numbers: compared by what the picks are good for."""
    array = x.numpy()
    return {
        "ipse": lambda: torch.ops.ipse.kmeans_plus_plus(x, CLUSTERS, 0),
        "scikit-learn": lambda: torch.from_numpy(
            kmeans_plusplus(array, CLUSTERS, random_state=0)[1]
        ),
    }


def nearest(x: Tensor) -> dict[str, Callable[[], Tensor]]:
    centroids = x[:CLUSTERS].clone()
    return {
        "ipse": lambda: nearest_centroid(x, centroids).labels,
        "cdist": lambda: torch.cdist(x, centroids).argmin(1),
    }


def plain_farthest(x: Tensor) -> Tensor:
    closest = x.new_full((len(x),), torch.inf)
    picks = [0]
    for _ in range(PICKS - 1):
        closest = torch.minimum(closest, (x - x[picks[-1]]).square().sum(1))
        picks.append(int(closest.argmax()))
    return torch.tensor(picks)


def farthest(x: Tensor) -> dict[str, Callable[[], Tensor]]:
    return {
        "ipse": lambda: farthest_point_coreset(x, PICKS, start=0).indices,
        "torch": lambda: plain_farthest(x),
    }


def main() -> None:
    arguments = harness.parser(__doc__).parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    x = torch.randn(POINTS, DEPTH, generator=torch.Generator().manual_seed(0))
    rows = []
    for name, candidates, tolerance in (
        (f"kmeans_plus_plus K={CLUSTERS}", seeding(x), 0.02),
        (f"nearest_centroid K={CLUSTERS}", nearest(x), 0.0),
        (f"farthest_points S={PICKS}", farthest(x), 0.0),
    ):
        results = {peer: [run().double()] for peer, run in candidates.items()}
        if tolerance > 0:
            results = {peer: [potential(x, run())] for peer, run in candidates.items()}
        harness.require_agreement(name, results, "ipse", tolerance)
        seconds, spread = harness.time_interleaved(candidates, 2.0 if arguments.quick else 10.0)
        rows.append(harness.Row(name, seconds, spread))
    harness.print_table(TITLE, rows)
    harness.save(arguments.json, TITLE, rows)


if __name__ == "__main__":
    main()
