"""What the claims scripts share: the training loop, a claim, and how they end.

The scripts are started as files (their names are slugs), so they find this one beside them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

import torch

from ipse.data import ImageData
from ipse.training import Method
from ipse.training.randomness import Stream, generator, seeded

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Claim:
    """One claim with what was measured for it; `decides` if the exit code depends on it."""

    name: str
    measured: str
    holds: bool
    decides: bool = True


def train(method: Method[Any], data: ImageData) -> None:
    """All epochs of a method's steps; the steps are the library's, the loop is the shortest."""
    config, size = method.config, method.config.batch_size
    method.train()
    for epoch in range(config.epochs):
        order = method.order(epoch)
        for step in range(method.steps_per_epoch):
            batch = data.batch(order[step * size : (step + 1) * size], CPU)
            with seeded(config.seed, Stream.MODULES, epoch, step):  # for dropout
                method.step(batch, generator(config.seed, Stream.STEP, epoch, step))
    method.eval()


def conclude(claims: Sequence[Claim], options: argparse.Namespace, **figures: Any) -> int:
    """Prints the verdicts, writes everything to `options.out` if given, returns the exit code.

    Args:
        figures: what was measured; dataclasses may stand anywhere in it.
    """
    print()
    width = max(len(claim.name) for claim in claims)
    for claim in claims:
        verdict = "holds" if claim.holds else "FAILS" if claim.decides else "no   "
        print(f"{verdict}  {claim.name:<{width}}  {claim.measured}")
    if options.out:
        content = {
            "settings": {name: str(value) for name, value in vars(options).items()},
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "claims": claims,
            **figures,
        }
        options.out.write_text(json.dumps(content, indent=2, default=_plain) + "\n")
    return 0 if all(claim.holds for claim in claims if claim.decides) else 1


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"conclude: figures must be numbers, text or dataclasses, got {type(value)}")
