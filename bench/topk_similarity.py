"""topk_similarity against faiss's exact index and against torch: product, then topk."""

import faiss
import torch
from torch import Tensor

from bench import harness
from ipse.functional import topk_similarity

TITLE = "topk_similarity: float32, inner product, ms and times as long"
# Rows, columns, features, k; the first is the case that decides.
CASES = [
    (10_000, 10_000, 128, 200),
    (10_000, 10_000, 128, 20),
    (256, 65_536, 128, 200),
    (1, 100_000, 128, 100),
    (100, 100_000, 512, 100),
]


def require_same_neighbours(case: str, values: Tensor, theirs: Tensor) -> None:
    """Neighbours whose similarities are equal up to rounding may change places."""
    harness.require_agreement(case, {"ipse": [values], "peer": [theirs]}, "ipse", 1e-5)


def bench_case(case: tuple[int, int, int, int], budget: float) -> harness.Row:
    rows, columns, depth, k = case
    generator = torch.Generator().manual_seed(0)
    y = torch.nn.functional.normalize(torch.randn(columns, depth, generator=generator), dim=1)
    x = torch.nn.functional.normalize(torch.randn(rows, depth, generator=generator), dim=1)
    index = faiss.IndexFlatIP(depth)
    index.add(y.numpy())
    queries = x.numpy()
    candidates = {
        "ipse": lambda: topk_similarity(x, y, k, "dot"),
        "faiss": lambda: index.search(queries, k),
        "torch": lambda: (x @ y.T).topk(k),
    }
    name = f"N={rows} K={columns} D={depth} k={k}"
    ours = candidates["ipse"]()[0]
    require_same_neighbours(name, ours, torch.from_numpy(candidates["faiss"]()[0]))
    require_same_neighbours(name, ours, candidates["torch"]()[0])
    seconds, spread = harness.time_interleaved(candidates, budget)
    row = harness.Row(name, seconds, spread)
    row.extra = {
        "GFLOP/s": 2e-9 * rows * columns * depth / seconds["ipse"],
        "peak MiB": harness.peak_extra_mib("bench.topk_similarity", *map(str, case)),
    }
    return row


def main() -> None:
    arguments = harness.parser(__doc__).parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    faiss.omp_set_num_threads(torch.get_num_threads())
    if arguments.peak:
        rows, columns, depth, k = map(int, arguments.peak)
        x, y = torch.randn(rows, depth), torch.randn(columns, depth)
        topk_similarity(x[:1], y[:9], 1)  # libraries load before the measurement
        print(harness.measure_peak(lambda: topk_similarity(x, y, k, "dot")))
        return
    rows = [bench_case(case, 2.0 if arguments.quick else 10.0) for case in CASES]
    harness.print_table(TITLE, rows)
    harness.save(arguments.json, TITLE, rows)


if __name__ == "__main__":
    main()
