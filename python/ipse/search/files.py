"""A forest in one file: versioned, checked, readable in the middle of a search."""

import json
import os
import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ipse.search.forest import SearchForest
from ipse.search.rules import SearchRules

FORMAT = "ipse search forest"
VERSION = 1
_PENDING_COLUMNS = 5


def save_forest(forest: SearchForest, path: str | os.PathLike[str]) -> None:
    """Writes the forest, open tickets included, to one NumPy archive.

    The file is written beside its place and then moved there: a process killed on the way
    leaves the previous one.
    """
    target = Path(path)
    state = forest.state_dict()
    trees = state["trees"]
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for name in trees[0]:
        parts = [np.ravel(tree[name]) for tree in trees]
        arrays[name] = np.concatenate(parts)
        arrays[f"{name}.lengths"] = np.array([len(part) for part in parts], np.int64)
    header = {"format": FORMAT, "version": VERSION, "rules": state["rules"], "trees": len(trees)}
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    temporary = target.with_name(target.name + ".partial")
    with temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(target)


def load_forest(path: str | os.PathLike[str], *, num_threads: int = 0) -> SearchForest:
    """The forest of a file, with its rules; tickets that were open are open again.

    Raises:
        ValueError: for a file that is no forest, is damaged, or is of a later version.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(bytes(arrays.pop("header")))
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, ValueError) as error:
        raise ValueError(f"load_forest: {path} is damaged or is no forest: {error}") from error
    if header.get("format") != FORMAT or header.get("version") != VERSION:
        raise ValueError(
            f"load_forest: {path} must be version {VERSION} of {FORMAT!r}, "
            f"got version {header.get('version')!r} of {header.get('format')!r}"
        )
    rules = SearchRules(**header["rules"])
    forest = SearchForest(header["trees"], rules, num_threads=num_threads)
    trees: list[dict[str, Any]] = [{} for _ in range(header["trees"])]
    for name in [name for name in arrays if not name.endswith(".lengths")]:
        parts = np.split(arrays[name], np.cumsum(arrays[f"{name}.lengths"])[:-1])
        for tree, part in zip(trees, parts, strict=True):
            tree[name] = part.reshape(-1, _PENDING_COLUMNS) if name == "pending" else part
    forest.load_state_dict({"rules": asdict(rules), "trees": trees})
    return forest
