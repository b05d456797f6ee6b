"""The error of the harness's clock on a model of known cost, and the time between samples.

The model waits in a busy loop for as many microseconds as its batch is large, by another clock
than the harness's. Shown for each cost: the median that the harness reports, its error, and the
time lost between samples, over the sampled time.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from common import VenvLab, show

from deepmatrix.config.sections import Infer

COSTS_US = (100, 1000, 10_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    print(f"a busy loop of known length, {options.rounds} rounds of fresh processes")
    worst = 0.0
    for cost in COSTS_US:
        infer = Infer(batches=(cost,), samples=100, min_s=1.0, warmup=0)
        medians, lost = [], []
        with (
            tempfile.TemporaryDirectory() as folder,
            VenvLab(Path(folder), infer, "busy_adapter") as lab,
        ):
            for _ in range(options.rounds):
                record = lab.measure("busy_adapter")
                assert record.output is not None
                inference = record.output.infer()
                assert inference is not None
                measured = inference.batches[str(cost)]
                assert measured.wall_s is not None
                medians.append(statistics.median(measured.latency_s) * 1e6)
                lost.append(measured.wall_s / sum(measured.latency_s) - 1)
        error = statistics.median(medians) / cost - 1
        worst = max(worst, abs(error))
        print(
            f"  {cost:6} µs: {show(medians, 2)} µs, error {error:+.3%}, "
            f"lost between samples {statistics.median(lost):.4%} of them"
        )
    print(f"largest error {worst:.3%}")


if __name__ == "__main__":
    main()
