"""What a bug report needs to know about an installation."""

from __future__ import annotations

import importlib.util
import platform
from importlib import metadata

__all__ = ["describe"]


def describe() -> dict[str, str]:
    """Facts about ipse, its native core, Python, torch and the machine, by name.

    Never fails: what is missing is said to be missing.
    """
    import ipse

    # torch first: it brings the OpenMP runtime that the native core is to share with it.
    framework = _torch()
    return {
        "ipse": ipse.__version__,
        **_core(),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("torch", "numpy", "scikit-learn", "triton")},
        **framework,
        "platform": f"{platform.platform()} ({platform.machine()})",
    }


def _core() -> dict[str, str]:
    try:
        from ipse import _core
    except ImportError as error:
        return {"native core": f"not available: {error}"}
    build = _core.build_info()
    return {
        "native core": str(build["version"]),
        "ISA": f"{build['isa']} (compiled: {_listed(build['isas_compiled'])})",
        "compiler": str(build["compiler"]),
        "OpenMP": str(build["openmp"] or "none"),
        "threads at most": str(build["max_threads"]),
    }


def _torch() -> dict[str, str]:
    if importlib.util.find_spec("torch") is None:
        return {"torch threads": "torch is not installed", "CUDA": "torch is not installed"}
    import torch

    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "torch threads": str(torch.get_num_threads()),
        "CUDA": f"{torch.version.cuda}: {', '.join(devices)}" if devices else "no device",
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
