"""kmeans against scikit-learn and faiss: the same first centroids and number of iterations."""

import warnings

import faiss
import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from bench import harness
from ipse.functional import kmeans

TITLE = "kmeans: Lloyd, float32, 10 iterations from given centroids, ms and times as long"
# Points, features, clusters; the first is the case that decides.
CASES = [(100_000, 64, 100), (20_000, 64, 16), (20_000, 256, 200)]
ITERATIONS = 10


def make_points(points: int, depth: int, clusters: int) -> Tensor:
    """Overlapping clusters, as features have them."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(clusters, depth, generator=generator)
    chosen = torch.randint(clusters, (points,), generator=generator)
    return centres[chosen] + torch.randn(points, depth, generator=generator)


def scikit_learn(x: np.ndarray, start: np.ndarray) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that ten iterations are not convergence
        model = KMeans(
            len(start), init=start, n_init=1, max_iter=ITERATIONS, tol=0, algorithm="lloyd"
        )
        return float(model.fit(x).inertia_)


def faiss_kmeans(x: np.ndarray, start: np.ndarray) -> float:
    model = faiss.Kmeans(
        x.shape[1], len(start), niter=ITERATIONS, max_points_per_centroid=len(x), nredo=1
    )
    model.train(x, init_centroids=start)
    return float(model.obj[-1])


def bench_case(case: tuple[int, int, int], budget: float) -> harness.Row:
    points, depth, clusters = case
    x = make_points(*case)
    start = x[torch.randperm(points, generator=torch.Generator().manual_seed(1))[:clusters]]
    array, first = x.numpy(), start.numpy()

    def ours() -> float:
        found = kmeans(x, clusters, initial=start, max_iterations=ITERATIONS, tolerance=0)
        return found.inertia

    candidates = {
        "ipse": ours,
        "scikit-learn": lambda: scikit_learn(array, first),
        "faiss": lambda: faiss_kmeans(array, first),
    }
    name = f"N={points} D={depth} K={clusters}"
    # faiss reports the inertia before its last update, which is a little larger.
    for peer, allowed in (("scikit-learn", 1e-5), ("faiss", 1e-2)):
        results = {c: [torch.tensor(candidates[c]())] for c in ("ipse", peer)}
        harness.require_agreement(name, results, "ipse", allowed)
    seconds, spread = harness.time_interleaved(candidates, budget)
    row = harness.Row(name, seconds, spread)
    row.extra = {"GFLOP/s": 2e-9 * points * depth * clusters * ITERATIONS / seconds["ipse"]}
    return row


def main() -> None:
    arguments = harness.parser(__doc__).parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    faiss.omp_set_num_threads(torch.get_num_threads())
    rows = [bench_case(case, 2.0 if arguments.quick else 10.0) for case in CASES]
    harness.print_table(TITLE, rows)
    harness.save(arguments.json, TITLE, rows)


if __name__ == "__main__":
    main()
