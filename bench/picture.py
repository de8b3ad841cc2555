"""Draws docs/speed.png from the JSON of bench.barlow_twins and bench.vicreg.

python -m bench.barlow_twins --json build/barlow_twins.json
python -m bench.vicreg --json build/vicreg.json
python -m bench.picture build/barlow_twins.json build/vicreg.json
"""

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt

TITLES = {"barlow_twins": "Barlow Twins", "vicreg": "VICReg"}
COLOURS = {"ipse": "#1b6ca8", "compiled": "#c9c9c9", "lightly": "#8f8f8f"}
LABELS = {"ipse": "ipse", "compiled": "torch.compile", "lightly": "lightly 1.6"}


def draw(files: list[str], target: Path) -> None:
    """One panel per file, one group of bars per case, milliseconds on a logarithmic scale."""
    records = [json.loads(Path(file).read_text()) for file in files]
    figure, panels = plt.subplots(1, len(records), figsize=(5.2 * len(records), 3.4), sharey=True)
    for panel, record in zip(panels, records, strict=True):
        rows = record["rows"]
        for offset, name in enumerate(("ipse", "compiled", "lightly")):
            times = [row["seconds"][name] * 1e3 for row in rows]
            places = [index + (offset - 1) * 0.27 for index in range(len(rows))]
            bars = panel.bar(places, times, 0.25, color=COLOURS[name], label=LABELS[name])
            if name != "ipse":
                ratios = [row["seconds"][name] / row["seconds"]["ipse"] for row in rows]
                panel.bar_label(
                    bars, [f"{r:.0f}×" if r >= 9.5 else f"{r:.1f}×" for r in ratios], size=5.5
                )
        panel.set_yscale("log")
        panel.set_xticks(range(len(rows)), [row["case"].replace(" ", "\n") for row in rows], size=7)
        panel.set_title(TITLES[record["title"].split(":")[0]], size=10)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("forward + backward, ms")
    panels[0].legend(frameon=False, fontsize=8)
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
    arguments.add_argument("files", nargs=2)
    arguments.add_argument("--out", type=Path, default=Path("docs/speed.png"))
    options = arguments.parse_args()
    draw(options.files, options.out)


if __name__ == "__main__":
    main()
