"""Complete methods: each one file, composed of the library's own parts.

import ipse.methods as methods

barlow_twins = methods.get("barlow-twins")
result = methods.run(barlow_twins.Config.create(data="digits", epochs=50))
print(result.scores["trained encoder"].knn)
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ipse.methods.catalogue import CATALOGUE, Entry, module_name

if TYPE_CHECKING:
    from ipse.evaluation import Result
    from ipse.training import Method, Progress, RunConfig

__all__ = ["CATALOGUE", "Entry", "UnknownMethodError", "catalogue", "get", "resume", "run"]


class UnknownMethodError(LookupError):
    """No method of this name, or none yet; the message is one clear line."""


def catalogue() -> Mapping[str, Entry]:
    """All methods by slug."""
    return {entry.slug: entry for entry in CATALOGUE}


def get(slug: str) -> type[Method[Any]]:
    """The class of a method; its `Config` is the class of its settings.

    Raises:
        UnknownMethodError: There is no such method (the nearest name is suggested), or it is in the
            catalogue but not ready.
    """
    known = catalogue()
    if slug not in known:
        near = difflib.get_close_matches(slug, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else "`ipse list` shows all"
        raise UnknownMethodError(f"method: got {slug!r}, which does not exist; {hint}")
    if not known[slug].ready:
        ready = ", ".join(entry.slug for entry in CATALOGUE if entry.ready)
        raise UnknownMethodError(f"method: {slug!r} is not ready yet; ready: {ready}")
    from ipse.training import Method

    module = importlib.import_module(module_name(slug))
    for item in vars(module).values():
        is_method = isinstance(item, type) and issubclass(item, Method)
        # A class between Method and the methods has no Config yet.
        if is_method and hasattr(item, "Config") and item.Config.slug == slug:
            return cast("type[Method[Any]]", item)
    raise UnknownMethodError(f"method: {module_name(slug)} defines no method {slug!r}")


def run(config: RunConfig, progress: Progress | None = None) -> Result:
    """Trains, evaluates and reports the method that `config` belongs to, in a new run folder.

    Args:
        config: An instance of a method's `Config`.
        progress: What to report to; default: nothing is shown.

    Raises:
        As `ipse.training.start_run`.
    """
    from ipse.training import start_run

    return start_run(get(config.slug), config, progress)


def resume(folder: str | Path, progress: Progress | None = None) -> Result:
    """Continues the run in `folder` from its last checkpoint.

    Raises:
        As `ipse.training.continue_run`.
    """
    from ipse.training import RunFolder, continue_run

    path = Path(folder)
    slug = str(RunFolder.open(path).config().get("method"))
    return continue_run(get(slug), path, progress=progress)
