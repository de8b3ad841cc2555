"""ipse: native operations for learning that feeds on itself.

``import ipse`` is quick: the parts below load when first used.

- ``ipse.functional`` stateless functions on tensors
- ``ipse.losses``     drop-in ``nn.Module`` losses
- ``ipse.nn``         layers that methods share
- ``ipse.schedules``  what changes while a network trains, and when
- ``ipse.methods``    complete, runnable methods
- ``ipse.search``     batched tree search
- ``ipse._core``      the compiled core: NumPy arrays in and out, no torch
"""

import importlib
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

try:
    __version__ = version("ipse")
except PackageNotFoundError:  # a source tree on the path, not installed
    __version__ = "0+unknown"

_SUBMODULES = (
    "data",
    "evaluation",
    "functional",
    "kernels",
    "losses",
    "methods",
    "nn",
    "ops",
    "schedules",
    "search",
    "training",
)

__all__ = ["__version__", *_SUBMODULES]


def __getattr__(name: str) -> ModuleType:
    if name in _SUBMODULES:
        return importlib.import_module(f"ipse.{name}")
    raise AttributeError(f"module 'ipse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
