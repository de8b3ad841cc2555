"""The launcher: Lightning Fabric, which owns device placement and precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ipse.training.config import ConfigError, RunConfig

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["launcher"]

_PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed"}


def launcher(config: RunConfig) -> Fabric:
    """Fabric for one process on the configured device, at the configured precision.

    Raises:
        ConfigError: No such device on this machine.
    """
    from lightning_fabric import Fabric

    device = _device(config.device)
    fabric = Fabric(
        accelerator=device.type,
        devices=[device.index or 0] if device.type == "cuda" else 1,
        precision=_PRECISIONS[config.precision],  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(
            f"device: got {name!r}, must be auto, cpu, cuda, cuda:N or mps"
        ) from error
    present = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    # torch wraps an index beyond 127 to a negative one.
    if not 0 <= (device.index or 0) < present.get(device.type, 0):
        raise ConfigError(f"device: got {name!r}, which this machine does not have")
    return device
