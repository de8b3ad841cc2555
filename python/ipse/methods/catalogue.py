"""All methods, one line each, from catalogue.tsv: slug, title, family and summary."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import NamedTuple

__all__ = ["CATALOGUE", "Entry", "module_name"]


class Entry(NamedTuple):
    """One method of the catalogue.

    Attributes:
        slug: Its name on the command line.
        title: Its usual name.
        family: The kind of method; `baseline` for the widely known ones that others are measured
            against.
        summary: One line on what it does.
    """

    slug: str
    title: str
    family: str
    summary: str

    @property
    def ready(self) -> bool:
        """Whether it can be run: whether its module exists."""
        return importlib.util.find_spec(module_name(self.slug)) is not None


def module_name(slug: str) -> str:
    """The module that a method lives in: `barlow-twins` in `ipse.methods.barlow_twins`."""
    return f"ipse.methods.{slug.replace('-', '_')}"


def _read() -> tuple[Entry, ...]:
    table = Path(__file__).with_name("catalogue.tsv").read_text(encoding="utf-8")
    return tuple(Entry(*line.split("\t")) for line in table.splitlines())


CATALOGUE: tuple[Entry, ...] = _read()
"""Every method the library is to have; see `Entry.ready` for those it has."""
