"""Draws docs/speed.png from the JSON of several benchmarks, one panel for each.

python -m bench.barlow_twins --json build/barlow_twins.json
python -m bench.similarity ntxent --json build/ntxent.json
python -m bench.crops --json build/crops.json
python -m bench.picture build/barlow_twins.json build/ntxent.json build/crops.json
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter


@dataclass(frozen=True)
class Panel:
    """What is shown of a benchmark: a title, who takes part, and how many of its first rows."""

    title: str
    peers: tuple[str, str]
    rows: int


# By the first word of the benchmark's title.
PANELS = {
    "barlow_twins": Panel("Barlow Twins, forward + backward", ("compiled", "lightly"), 5),
    "vicreg": Panel("VICReg, forward + backward", ("compiled", "lightly"), 5),
    "contrastive losses": Panel("NT-Xent, forward + backward", ("compiled", "lightly"), 4),
    "crops": Panel("Fourier crop, forward", ("bicubic", "fft2"), 3),
}
OURS = "#1b6ca8"
THEIRS = ("#c9c9c9", "#8f8f8f")
LABELS = {
    "compiled": "torch.compile",
    "lightly": "lightly 1.6",
    "bicubic": "F.interpolate, bicubic",
    "fft2": "torch.fft",
}


def draw_panel(axes: Axes, record: dict[str, Any]) -> None:
    """A group of bars for each case, milliseconds on a logarithmic scale."""
    panel = PANELS[record["title"].split(":")[0]]
    rows = record["rows"][: panel.rows]
    bars = [("ipse", "ipse", OURS)]
    bars += [(name, LABELS[name], colour) for name, colour in zip(panel.peers, THEIRS, strict=True)]
    for offset, (name, label, colour) in enumerate(bars):
        times = [row["seconds"][name] * 1e3 for row in rows]
        places = [index + (offset - 1) * 0.27 for index in range(len(rows))]
        drawn = axes.bar(places, times, 0.25, color=colour, label=label)
        if name != "ipse":
            ratios = [row["seconds"][name] / row["seconds"]["ipse"] for row in rows]
            texts = [f"{ratio:.0f}×" if ratio >= 9.5 else f"{ratio:.1f}×" for ratio in ratios]
            axes.bar_label(drawn, texts, size=5.5)
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** 0.35)  # room for the legend
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="y", labelsize=7)
    cases = [row["case"].removeprefix("ntxent ").replace(" ", "\n") for row in rows]
    axes.set_xticks(range(len(rows)), cases, size=7)
    axes.set_title(panel.title, size=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=7)


def draw(files: list[str], target: Path) -> None:
    """One panel per file."""
    records = [json.loads(Path(file).read_text()) for file in files]
    figure, panels = plt.subplots(1, len(records), figsize=(4.6 * len(records), 3.4))
    for axes, record in zip(panels, records, strict=True):
        draw_panel(axes, record)
    panels[0].set_ylabel("ms")
    machine = records[0]["machine"]
    figure.text(
        0.01,
        0.005,
        f"{machine['processor']}, {machine['threads']} threads, float32, torch {machine['torch']}, "
        f"{machine['date']}; medians of interleaved runs",
        size=6,
        color="#666666",
    )
    figure.tight_layout(rect=(0, 0.02, 1, 1))
    figure.savefig(target, dpi=160)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("files", nargs="+")
    arguments.add_argument("--out", type=Path, default=Path("docs/speed.png"))
    options = arguments.parse_args()
    draw(options.files, options.out)


if __name__ == "__main__":
    main()
