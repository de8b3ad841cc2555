"""The end of a run: evaluation, pictures, report. It can be repeated any number of times."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from typing import Any

from ipse.data import ImageData
from ipse.evaluation import (
    Picture,
    Result,
    Scores,
    Table,
    embedding,
    extract,
    loss_curve,
    png,
    raw_pixels,
    render_report,
    score,
)
from ipse.training.config import RunConfig
from ipse.training.errors import RunError
from ipse.training.folder import RunFolder
from ipse.training.loop import Loop
from ipse.training.method import Method

__all__ = ["conclude", "stored_result"]


def conclude(folder: RunFolder, method: type[Method[Any]], data: ImageData, loop: Loop) -> Result:
    """Evaluates a trained method and writes pictures, report and result into its folder.

    Args:
        folder: The run's folder.
        method: The method's class, to build the untrained twin.
        data: The data set.
        loop: The loop that has ended.
    """
    begun = time.monotonic()
    scores, tables, pictures = _evaluate(method, data, loop, folder)
    metrics = folder.metrics()
    last = [row["loss"] for row in metrics if row["epoch"] == loop.method.epochs]
    result = Result(
        slug=loop.method.config.slug,
        data=data.name,
        scores=scores,
        final_loss=sum(last) / len(last),
        steps=loop.step,
        train_seconds=loop.seconds,
        evaluation_seconds=time.monotonic() - begun,
        folder=folder.path,
        report=folder.report_file,
        tables={table.name: table.rows for table in tables},
    )
    _write_report(folder, loop.method, result, tables, pictures, data)
    return result


def _evaluate(
    method: type[Method[Any]], data: ImageData, loop: Loop, folder: RunFolder
) -> tuple[dict[str, Scores], Sequence[Table], list[Picture]]:
    trained, config = loop.method, loop.method.config
    # Built from the same seed: exactly the network that training started from.
    untrained = method(config, data)
    untrained.attach(loop.fabric)
    trained.eval()
    untrained.eval()
    before = extract(untrained.features, data, loop.device)
    after = extract(trained.features, data, loop.device)
    scores = {
        "raw pixels": score(raw_pixels(data), data),
        "untrained encoder": score(before, data),
        "trained encoder": score(after, data),
    }
    panels = {"before training": before.test, "after training": after.test}
    pictures = [
        Picture(
            name="loss",
            title="Loss during training",
            caption="The quantity that training makes smaller. Falling and then level means that "
            "training has run its course; still falling at the end means that more epochs would "
            "probably help. The absolute value depends on the settings and says little.",
            figure=loss_curve(folder.metrics()),
        ),
        Picture(
            name="embedding",
            title="Where the test images lie",
            caption="Each dot is one test image, placed by t-SNE so that images with similar "
            "features come close together. Colours are the true classes. Separate islands of one "
            "colour are what good features look like. Distances "
            "between islands and the axes themselves mean nothing.",
            figure=embedding(panels, data.test_labels, data.classes, config.seed),
        ),
        *trained.pictures(untrained, data),
    ]
    return scores, trained.tables(untrained, data), pictures


def _write_report(
    folder: RunFolder,
    method: Method[Any],
    result: Result,
    tables: Sequence[Table],
    pictures: Sequence[Picture],
    data: ImageData,
) -> None:
    images = [(picture, png(picture.figure)) for picture in pictures]
    for picture, content in images:
        folder.write(f"{picture.name}.png", content)
    report = render_report(
        title=method.title,
        about=method.about,
        result=result,
        data=data,
        images=images,
        tables=tables,
        uses_labels=method.uses_labels,
        settings=_settings(method.config),
        described=folder.config(),
    )
    folder.write("report.html", report)
    # Last of all: its presence says that the run is finished.
    folder.write("result.json", json.dumps(result.to_dict(), indent=2) + "\n")


def _settings(config: RunConfig) -> list[tuple[str, str, str]]:
    """Name, value and meaning of every setting."""
    values = config.to_dict()
    return [
        (field.name, str(values[field.name]), str(field.metadata["help"]))
        for field in dataclasses.fields(config)
    ]


def stored_result(folder: RunFolder) -> Result:
    """The result of a finished run.

    Raises:
        RunError: It is damaged.
    """
    try:
        content = json.loads(folder.result_file.read_text())
        return Result.from_dict(content, folder.path, folder.report_file)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{folder.result_file}: damaged: {error}") from error
