"""report.html: one self-contained page that a newcomer can read. No script, no network."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ipse.data import ImageData
from ipse.evaluation.pictures import Picture
from ipse.evaluation.report_style import STYLE
from ipse.evaluation.result import Result
from ipse.evaluation.table import Table

__all__ = ["render_report"]

_TERMS = (
    (
        "kNN accuracy",
        "Each test image takes the class that its 20 nearest training images vote for, nearer "
        "ones counting more (cosine similarity s votes with weight exp(s / 0.07)). Nothing is "
        "fitted, so it shows how well similar images already lie together.",
    ),
    (
        "Linear probe",
        "A logistic regression is fitted to the features with the training labels and applied to "
        "the test images. The encoder stays frozen, so it shows how much of the classes can be "
        "read off the features by a weighted sum.",
    ),
    ("Raw pixels", "The image itself as its feature vector: what you have without any network."),
    (
        "Untrained encoder",
        "The same network with the same random start, before the first step. Random "
        "convolutions are a fair baseline: only what lies above it was learned.",
    ),
    (
        "Trained encoder",
        "The network after training, which never saw the test images.",
    ),
)


def render_report(
    *,
    title: str,
    about: str,
    result: Result,
    data: ImageData,
    images: Sequence[tuple[Picture, bytes]],
    tables: Sequence[Table] = (),
    uses_labels: bool = False,
    settings: Sequence[tuple[str, str, str]],
    described: Mapping[str, Any],
) -> str:
    """The report as one HTML page with its pictures inlined.

    Args:
        title: The method's name.
        about: One paragraph on how the method works.
        result: What the run found out.
        data: The data set, for its sizes.
        images: Pictures with their PNG content.
        tables: What the method measured beside the accuracies.
        uses_labels: Whether training saw labels.
        settings: Name, value and meaning of every setting.
        described: The run's config.json: command, versions, threads.
    """
    sections = [
        _section("What came out", _verdict(result, uses_labels) + _score_table(result, data)),
        *(_section(table.title, _table(table)) for table in tables),
        _section("What the numbers mean", _terms()),
        *(_section(picture.title, _figure(picture, content)) for picture, content in images),
        _section("Do it again", _again(result, described)),
        _section("All settings", _settings(settings)),
    ]
    heading = f"{title} on {data.name}"
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(heading)} · ipse</title>\n<style>{STYLE}</style>\n"
        f"</head>\n<body>\n<main>\n"
        f"<header><h1>{escape(heading)}</h1><p>{escape(about)}</p></header>\n"
        f"{''.join(sections)}</main>\n</body>\n</html>\n"
    )


def _section(heading: str, body: str) -> str:
    return f"<section><h2>{escape(heading)}</h2>{body}</section>\n"


def _verdict(result: Result, uses_labels: bool) -> str:
    """One sentence that says what happened, whichever way it went."""
    before, after = result.scores["untrained encoder"], result.scores["trained encoder"]
    parts = []
    for name, start, end in (
        ("kNN accuracy", before.knn, after.knn),
        ("linear-probe accuracy", before.linear, after.linear),
    ):
        change = end - start
        if change == 0:
            parts.append(f"{name} stayed at {end:.1f} %")
            continue
        verb = "rose" if change > 0 else "fell"
        parts.append(f"{name} {verb} from {start:.1f} % to {end:.1f} % ({change:+.1f} points)")
    how = "with" if uses_labels else "without"
    note = "" if uses_labels else " Labels were used only for this comparison."
    return f'<p class="verdict">By training {how} labels, {" and ".join(parts)}.{note}</p>'


def _score_table(result: Result, data: ImageData) -> str:
    rows = []
    worst = min(min(scores.knn, scores.linear) for scores in result.scores.values())
    for name, scores in result.scores.items():
        own = ' class="own"' if name == "trained encoder" else ""
        cells = _cells(scores.knn, worst) + _cells(scores.linear, worst)
        rows.append(f"<tr{own}><td>{escape(name)}</td>{cells}</tr>")
    tests = len(data.test_images)
    rate = result.scores["trained encoder"].knn / 100.0
    error = 100.0 * math.sqrt(max(rate * (1.0 - rate), 0.0) / tests)
    return (
        '<table><thead><tr><th></th><th colspan="2">kNN accuracy</th>'
        f'<th colspan="2">linear probe</th></tr></thead><tbody>{"".join(rows)}</tbody></table>'
        f'<p class="note">Bars show the errors that remain: shorter is better. '
        f"Measured on {tests} test images that training never saw "
        f"({len(data.train_images)} training images). One image is {100.0 / tests:.2f} points, "
        f"and the standard error of the trained encoder's kNN accuracy is about "
        f"{error:.1f} points: smaller differences mean nothing.</p>"
    )


def _cells(accuracy: float, worst: float) -> str:
    """The number, and a bar for its errors on a scale that begins at none."""
    width = 100.0 * (100.0 - accuracy) / max(100.0 - worst, 1e-9)
    return (
        f'<td class="number">{accuracy:.2f} %</td>'
        f'<td><div class="bar"><i style="width:{width:.1f}%"></i></div></td>'
    )


def _terms() -> str:
    return (
        "<dl>"
        + "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in _TERMS)
        + "</dl>"
    )


def _table(table: Table) -> str:
    heading = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    rows = "".join(
        f"<tr><td>{escape(name)}</td>"
        + "".join(f'<td class="number">{value:.2f}</td>' for value in row.values())
        + "</tr>"
        for name, row in table.rows.items()
    )
    return (
        f"<table><thead><tr><th></th>{heading}</tr></thead><tbody>{rows}</tbody></table>"
        f'<p class="note">{escape(table.caption)}</p>'
    )


def _figure(picture: Picture, content: bytes) -> str:
    inlined = base64.b64encode(content).decode("ascii")
    return (
        f'<figure><img alt="{escape(picture.title)}" src="data:image/png;base64,{inlined}">'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )


def _again(result: Result, described: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in described["versions"].items())
    return (
        f"<pre>{escape(described['command'])}</pre>"
        f'<p class="note">{result.steps} steps; training took {result.train_seconds:.0f} s, '
        f"evaluation {result.evaluation_seconds:.0f} s. Made with {escape(versions)} on "
        f"{described['threads']} CPU threads. On the same machine with the same versions and "
        f"threads the command gives the same numbers, bit for bit. All metrics are in "
        f"<code>metrics.jsonl</code> beside this page, the trained network in "
        f"<code>checkpoint.pt</code>.</p>"
    )


def _settings(settings: Sequence[tuple[str, str, str]]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td><code>{escape(value)}</code></td>"
        f"<td>{escape(meaning)}</td></tr>"
        for name, value, meaning in settings
    )
    return (
        f"<table><thead><tr><th>setting</th><th>value</th><th>meaning</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )
