"""What every benchmark shares: agreement first, then interleaved timing, then memory.

Times are medians over rounds in which the candidates run one after the other (A B C A
B C …), so a machine whose speed drifts slows all of them alike; only the ratios mean
anything. A ratio is refused where the results disagree.
"""

import argparse
import ctypes
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from ipse import _core


class DisagreementError(Exception):
    """Two candidates computed different results; no ratio of theirs means anything."""


@dataclass
class Row:
    """One case: the median time of each candidate, and figures that belong beside it."""

    case: str
    seconds: dict[str, float]
    spread: dict[str, float]  # interquartile range over the median
    note: str = ""
    extra: dict[str, float] = field(default_factory=dict)

    def ratio(self, candidate: str, ours: str = "ipse") -> float:
        return self.seconds[candidate] / self.seconds[ours]


def time_interleaved(
    candidates: Mapping[str, Callable[[], object]], budget: float = 8.0, least: int = 5
) -> tuple[dict[str, float], dict[str, float]]:
    """Medians and relative interquartile ranges, in rounds until ``budget`` seconds are spent."""
    for run in candidates.values():
        run()  # compile, warm caches and thread pools
    times: dict[str, list[float]] = {name: [] for name in candidates}
    started = time.perf_counter()
    while len(next(iter(times.values()))) < least or time.perf_counter() - started < budget:
        for name, run in candidates.items():
            before = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - before)
    medians = {name: statistics.median(values) for name, values in times.items()}
    spreads = {}
    for name, values in times.items():
        low, _, high = statistics.quantiles(values, n=4)
        spreads[name] = (high - low) / medians[name]
    return medians, spreads


def require_agreement(
    case: str, results: Mapping[str, Sequence[torch.Tensor]], ours: str, tolerance: float
) -> None:
    """Raises DisagreementError unless all results equal ours, relative to the largest entry."""
    for name, tensors in results.items():
        for index, (theirs, mine) in enumerate(zip(tensors, results[ours], strict=True)):
            error = (theirs - mine).abs().max() / theirs.abs().max()
            if not error <= tolerance:
                raise DisagreementError(
                    f"{case}: result {index} of {name} and {ours} differ by {float(error):.1e} "
                    f"of the largest entry, allowed {tolerance:.0e}"
                )


def peak_extra_mib(module: str, *arguments: str) -> float:
    """Peak memory that ``python -m MODULE --peak ARGUMENTS`` reports, from a fresh process."""
    command = [sys.executable, "-m", module, "--peak", *arguments]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(output.split()[-1])


def measure_peak(run: Callable[[], object]) -> float:
    """MiB by which ``run`` raises the resident peak of this process (Linux only)."""
    status = Path("/proc/self/status")
    # What the allocator keeps of freed memory would be used again without a rise.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = _status_kib(status, "VmRSS")
    run()
    return (_status_kib(status, "VmHWM") - before) / 1024


def _status_kib(status: Path, key: str) -> float:
    line = next(line for line in status.read_text().splitlines() if line.startswith(key))
    return float(line.split()[1])


def machine() -> dict[str, str]:
    """What a figure is worth nothing without."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [ln.split(":")[1] for ln in cpuinfo.read_text().splitlines() if "model name" in ln]
        model = names[0].strip() if names else model
    return {
        "processor": model,
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "isa": _core.build_info()["isa"],
        "compiler": _core.build_info()["compiler"],
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def print_table(title: str, rows: Sequence[Row], ours: str = "ipse") -> None:
    """Milliseconds of ours, and how many times as long the others take."""
    print(f"\n{title}")
    print("  ".join(f"{key} {value}" for key, value in machine().items()))
    for row in rows:
        peers = [name for name in row.seconds if name != ours]
        ratios = "  ".join(f"{name} x{row.ratio(name, ours):.2f}" for name in peers)
        spread = max(row.spread.values())
        extra = "  ".join(f"{key} {value:.4g}" for key, value in row.extra.items())
        print(
            f"{row.case:34s} {ours} {row.seconds[ours] * 1e3:9.3f} ms  {ratios}  "
            f"(spread {spread:.0%})  {extra} {row.note}"
        )


def save(path: str | None, title: str, rows: Sequence[Row]) -> None:
    """Writes the rows with the machine they come from as JSON."""
    if path is not None:
        record = {"title": title, "machine": machine(), "rows": [asdict(row) for row in rows]}
        Path(path).write_text(json.dumps(record, indent=2) + "\n")


def parser(description: str | None) -> argparse.ArgumentParser:
    """The flags that every benchmark takes."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument("--quick", action="store_true", help="fewer rounds: a look, not a figure")
    result.add_argument("--threads", type=int, default=0, help="default: all that torch uses")
    result.add_argument("--json", help="also write the table to this file")
    result.add_argument("--peak", nargs="*", help=argparse.SUPPRESS)
    return result
