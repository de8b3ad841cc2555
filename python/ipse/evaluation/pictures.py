"""The pictures of a report. Figures are made without pyplot: it keeps global state."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Picture", "embedding", "loss_curve", "matrices", "png", "spreads"]

_POINTS = 1500
_INK = "#1f2933"
_ACCENT = "#0b6e99"


@dataclass(frozen=True)
class Picture:
    """One figure for the report.

    Attributes:
        name: File name without ending.
        title: Heading.
        caption: What it shows and how to read it, for a newcomer.
        figure: The matplotlib figure.
    """

    name: str
    title: str
    caption: str
    figure: Figure


def png(figure: Figure) -> bytes:
    """A figure as a PNG file's content."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=160)
    return buffer.getvalue()


def loss_curve(metrics: Sequence[Mapping[str, Any]]) -> Figure:
    """The loss of every step (thin) and its mean over each epoch (thick)."""
    figure, (axes,) = _figure(1, width=8.0, height=3.6)
    steps = np.array([row["step"] for row in metrics])
    losses = np.array([row["loss"] for row in metrics])
    epochs = np.array([row["epoch"] for row in metrics])
    axes.plot(steps, losses, color=_ACCENT, alpha=0.3, linewidth=0.8, label="each step")
    ends = [steps[epochs == epoch].mean() for epoch in np.unique(epochs)]
    means = [losses[epochs == epoch].mean() for epoch in np.unique(epochs)]
    axes.plot(ends, means, color=_ACCENT, linewidth=2.0, label="mean of each epoch")
    if losses.min() > 0:
        axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.grid(alpha=0.25, which="both")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def embedding(
    panels: Mapping[str, Tensor], labels: Tensor, classes: Sequence[str], seed: int
) -> Figure:
    """One t-SNE map per feature space, coloured by class.

    Args:
        panels: Features float tensor [N, D] by heading; all of the same samples.
        labels: int64 tensor [N].
        classes: Name of each class.
        seed: Seed of the projection.
    """
    from matplotlib import colormaps

    figure, row = _figure(len(panels), width=5.0 * len(panels), height=5.2)
    colours = colormaps["tab10" if len(classes) <= 10 else "tab20"]
    shown = labels[:_POINTS].numpy()
    for axes, (heading, features) in zip(row, panels.items(), strict=True):
        points = _project(features[:_POINTS].numpy(), seed)
        for index, name in enumerate(classes):
            mine = points[shown == index]
            axes.scatter(
                mine[:, 0], mine[:, 1], s=9, color=colours(index), label=name, linewidths=0
            )
        axes.set_title(heading, color=_INK)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_color("#cbd2d9")
    handles, names = row[0].get_legend_handles_labels()
    # Long names need two rows; one row for short ones keeps them in order.
    columns = len(classes) if max(map(len, classes)) <= 3 else -(-len(classes) // 2)
    figure.legend(
        handles, names, loc="outside lower center", ncols=columns, frameon=False, markerscale=2.5
    )
    return figure


def matrices(panels: Mapping[str, Tensor]) -> Figure:
    """Matrices with entries in [-1, 1] side by side on one colour scale, blue for negative."""
    figure, row = _figure(len(panels), width=5.0 * len(panels), height=4.8)
    for axes, (heading, matrix) in zip(row, panels.items(), strict=True):
        image = axes.imshow(
            matrix.float().numpy(), cmap="RdBu_r", vmin=-1.0, vmax=1.0, interpolation="nearest"
        )
        axes.set_title(heading, color=_INK)
        axes.set_xlabel("coordinate, second view")
        axes.spines[:].set_color("#cbd2d9")
    row[0].set_ylabel("coordinate, first view")
    figure.colorbar(image, ax=row, label="correlation", shrink=0.85)
    return figure


def spreads(groups: Mapping[str, Tensor], quantity: str) -> Figure:
    """How a quantity is spread within each group: one box with whiskers for every name.

    Args:
        groups: float tensor [N] of values by name; a group may be empty.
        quantity: Label of the values' axis.
    """
    figure, (axes,) = _figure(1, width=8.0, height=3.6)
    axes.boxplot(
        [values.float().numpy() for values in groups.values()],
        tick_labels=list(groups),
        medianprops={"color": _ACCENT, "linewidth": 2.0},
        flierprops={"markersize": 2.0, "markeredgecolor": "#9aa5b1"},
    )
    if max(map(len, groups), default=0) > 3:
        axes.tick_params(axis="x", rotation=30)
    axes.set_ylabel(quantity)
    axes.grid(alpha=0.25, axis="y")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _project(features: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    from sklearn.manifold import TSNE
    from sklearn.preprocessing import StandardScaler

    # t-SNE needs more points than its perplexity.
    perplexity = min(30.0, max(1.0, (len(features) - 1) / 3))
    projection = TSNE(
        init="random" if min(features.shape) < 2 else "pca",
        perplexity=perplexity,
        random_state=seed,
    )
    points: NDArray[np.float32] = projection.fit_transform(StandardScaler().fit_transform(features))
    return points


def _figure(columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])
