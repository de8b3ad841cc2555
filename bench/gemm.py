"""The tile GEMM against torch.mm: one thread and all, both forms, float32 and float64."""

import numpy as np
import torch

from bench import harness
from ipse import _core

TITLE = "gemm: C = A B^T (and A^T B, symmetric A A^T) against torch.mm"
SHAPES = [(1536, 1536, 1536), (1536, 4096, 128), (192, 192, 8192), (2048, 2048, 2048)]


def bench_case(
    shape: tuple[int, int, int], dtype: torch.dtype, threads: int, budget: float
) -> harness.Row:
    rows, cols, depth = shape
    torch.set_num_threads(threads)
    left, right = torch.randn(rows, depth, dtype=dtype), torch.randn(cols, depth, dtype=dtype)
    left_t, right_t = left.t().contiguous(), right.t().contiguous()
    ours, theirs = torch.empty(rows, cols, dtype=dtype), torch.empty(rows, cols, dtype=dtype)
    a, b, c = left.numpy(), right.numpy(), ours.numpy()
    at, bt = left_t.numpy().T, right_t.numpy().T
    candidates = {
        "ipse": lambda: _core.gemm(a, b, c, num_threads=threads),
        "mm(A,B^T)": lambda: torch.mm(left, right.t(), out=theirs),
        "ipse(A^T,B)": lambda: _core.gemm(at, bt, c, num_threads=threads),
        "mm(A^T,B)": lambda: torch.mm(left_t.t(), right_t, out=theirs),
    }
    case = f"{'x'.join(map(str, shape))} {str(dtype)[6:]} {threads}t"
    for name, run in candidates.items():
        run()
        result = ours if name.startswith("ipse") else theirs
        exact = left.double() @ right.double().t()
        tolerance = 1e-5 if dtype is torch.float32 else 1e-12
        harness.require_agreement(
            f"{case} {name}", {"exact": [exact], name: [result.double()]}, name, tolerance
        )
    if rows == cols:
        square = np.empty_like(c)
        candidates["ipse(sym)"] = lambda: _core.gemm(
            a, a, square, symmetric=True, num_threads=threads
        )
    seconds, spread = harness.time_interleaved(candidates, budget)
    row = harness.Row(case, seconds, spread)
    work = 2e-9 * rows * cols * depth
    row.extra = {
        "GFLOP/s": work / seconds["ipse"],
        "mm GFLOP/s": work / seconds["mm(A,B^T)"],
        "A^T B ratio": seconds["mm(A^T,B)"] / seconds["ipse(A^T,B)"],
    }
    return row


def main() -> None:
    arguments = harness.parser(__doc__).parse_args()
    most = arguments.threads or torch.get_num_threads()
    budget = 1.0 if arguments.quick else 6.0
    rows = [
        bench_case(shape, dtype, threads, budget)
        for dtype in (torch.float32, torch.float64)
        for threads in sorted({1, most})
        for shape in SHAPES
    ]
    harness.print_table(TITLE, rows)
    harness.save(arguments.json, TITLE, rows)


if __name__ == "__main__":
    main()
