"""A searched tree for the eye: NetworkX, Graphviz text, and a page that unfolds in a browser."""

import html
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ipse.search.solutions import Table

if TYPE_CHECKING:
    import networkx

Label = Callable[[int], str]


def to_networkx(found: Table, *, label: Label | None = None) -> "networkx.DiGraph":
    """A ``networkx.DiGraph``: rows are nodes, with the table's columns as attributes.

    Args:
        found: of :func:`ipse.search.table`.
        label: what to call a row, for example the text of its step; becomes the attribute
            ``label``.
    """
    import networkx

    graph = networkx.DiGraph()
    for row in range(len(found.parent)):
        attributes: dict[str, Any] = {
            name: column[row].item() for name, column in found._asdict().items() if name != "parent"
        }
        if label is not None:
            attributes["label"] = label(row)
        graph.add_node(row, **attributes)
        if found.parent[row] >= 0:
            graph.add_edge(int(found.parent[row]), row, action=int(found.action[row]))
    return graph


def to_graphviz(found: Table, *, label: Label | None = None, least_visits: int = 0) -> str:
    """The tree in Graphviz's language; rows with fewer visits are left out."""
    lines = ["digraph tree {", "  node [shape=box, fontname=Helvetica];"]
    for row in _shown(found, least_visits):
        text = _quoted("\n".join([_name(found, row, label), _numbers(found, row)]))
        style = ", peripheries=2" if found.terminal[row] else ""
        lines.append(f"  {row} [label={text}{style}];")
        if found.parent[row] >= 0:
            lines.append(f"  {found.parent[row]} -> {row};")
    return "\n".join([*lines, "}", ""])


_CLOSE = -1  # in place of a row: the one opened before it ends here
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff; }
details { margin-left: 1.3rem; border-left: 1px solid #ccc; padding-left: .5rem; }
summary { cursor: pointer; } .leaf { margin-left: 2.4rem; }
.numbers { color: #666; font-size: 85%; margin-left: .6rem; }
.bar { display: inline-block; height: .6em; background: #3a7; margin-right: .4rem; }
.best { font-weight: 600; } .end::after { content: " \\25a0"; color: #3a7; }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818; } }
"""


def to_html(
    found: Table,
    *,
    label: Label | None = None,
    title: str = "Search tree",
    least_visits: int = 0,
    highlight: list[int] | None = None,
) -> str:
    """One page, no scripts, nothing loaded: every node unfolds to its children.

    Args:
        found: of :func:`ipse.search.table`.
        label: what to call a row.
        title: of the page.
        least_visits: rows with fewer visits are left out.
        highlight: rows to unfold and set in bold, for example ``best_path(found)``.
    """
    shown = _shown(found, least_visits)
    children: dict[int, list[int]] = {row: [] for row in shown}
    for row in shown:
        if found.parent[row] >= 0:
            children[int(found.parent[row])].append(row)
    for below in children.values():
        below.sort(key=lambda row: (-found.visits[row], found.action[row]))
    marked = set(highlight or [])
    parts: list[str] = []
    # A stack, not recursion: trees may be deeper than Python's.
    stack = shown[:1]
    while stack:
        row = stack.pop()
        if row == _CLOSE:
            parts.append("</details>")
            continue
        line = _line(found, row, label, row in marked)
        if children[row]:
            opened = " open" if row in marked or row == 0 else ""
            parts.append(f"<details{opened}><summary>{line}</summary>")
            stack += [_CLOSE, *reversed(children[row])]
        else:
            parts.append(f'<div class="leaf">{line}</div>')
    name = html.escape(title)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{name}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{name}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _shown(found: Table, least_visits: int) -> list[int]:
    """Rows with enough visits; a parent has at least those of its children, but check anyway."""
    keep = found.visits >= least_visits
    keep[:1] = True
    for row in range(1, len(keep)):
        keep[row] &= keep[found.parent[row]]
    return [int(row) for row in np.flatnonzero(keep)]


def _name(found: Table, row: int, label: Label | None) -> str:
    if label is not None:
        return label(row)
    return "root" if row == 0 else f"action {found.action[row]}"


def _numbers(found: Table, row: int) -> str:
    prior = found.prior[row]
    text = f"{found.visits[row]} visits, value {found.q[row]:.3f}"
    return text + (f", prior {prior:.3f}" if row and math.isfinite(prior) else "")


def _line(found: Table, row: int, label: Label | None, best: bool) -> str:
    share = found.visits[row] / max(found.visits[0], 1)
    classes = " ".join(
        word for word, wanted in (("best", best), ("end", found.terminal[row])) if wanted
    )
    return (
        f'<span class="bar" style="width:{6 * share:.2f}rem"></span>'
        f'<span class="{classes}">{html.escape(_name(found, row, label))}</span>'
        f'<span class="numbers">{_numbers(found, row)}</span>'
    )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
