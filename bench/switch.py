"""Where the samples side and the features side cost the same: the measurement behind
``ipse.ops.cross_correlation.choose_side``.

Prints, for N / D around one, how many times as long the features side takes (forward
and backward). Above 1 the samples side is the right choice.
"""

import argparse

import torch

from bench import harness
from bench.cross_correlation import make_step, make_views
from ipse import functional


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments.add_argument("--features", type=int, nargs="+", default=[128, 512, 1536])
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    losses = {"barlow_twins": functional.barlow_twins_loss, "vicreg": functional.vicreg_loss}
    for name, loss in losses.items():
        for features in options.features:
            for quarters in (2, 3, 4, 5, 6, 8):
                samples = features * quarters // 4
                views = make_views(samples, features)
                candidates = {
                    side: make_step(lambda a, b, side=side: loss(a, b, side=side), views)  # noqa: B023
                    for side in ("samples", "features")
                }
                results = {side: step() for side, step in candidates.items()}
                harness.require_agreement(name, results, "samples", 1e-4)
                seconds, _ = harness.time_interleaved(candidates, 1.0)
                ratio = seconds["features"] / seconds["samples"]
                print(f"{name:13s} D={features:5d} N/D={quarters / 4:.2f} costs {ratio:.2f}")


if __name__ == "__main__":
    main()
