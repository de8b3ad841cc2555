"""Runs a function on W processes of a gloo group and collects what each returns."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

# Generous: the processes share the cores with whatever else runs.
SECONDS = 600


def run_ranks(
    work: Callable[..., Any], world_size: int, folder: Path, *arguments: Any
) -> list[Any]:
    """``work(rank, *arguments)`` of each rank; ``work`` is a function of a module."""
    context = mp.spawn(
        _process, (work, world_size, str(folder), arguments), nprocs=world_size, join=False
    )
    deadline = time.monotonic() + SECONDS
    try:
        while not context.join(timeout=1):
            assert time.monotonic() < deadline, "the ranks wait for each other"
    finally:
        for child in context.processes:
            child.kill()
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(world_size)]


def _process(
    rank: int, work: Callable[..., Any], world_size: int, folder: str, arguments: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=world_size
    )
    try:
        torch.save(work(rank, *arguments), f"{folder}/rank{rank}.pt")
    finally:
        dist.destroy_process_group()
