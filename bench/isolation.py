"""Does it matter to a time that a process serves several models, rather than one as ``--isolate``?

Models are verified in turn with and without ``--isolate``, each time in new processes. A pair is a
model on a cell; its rounds are compared as ``compare`` compares those of two runs, with the number
of pairs taken into account. Each pair of runs has a seed of its own, for the order of the queues:
what a model came after moves its time, see `layout`. Goal: no pair is slower or faster. Nothing
else should run.

    nox -s benchmark -- isolation MODEL...
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from common import ROOT, show

from deepmatrix.cli.options import rounds
from deepmatrix.comparison.significance import compare_rounds, holm
from deepmatrix.results.timing.statistics import LEVEL

#: Three runtimes that serve ONNX natively.
CELLS = (
    "onnxruntime-debian12-amd64-cpu",
    "onnxruntime-cpp-debian13-amd64-cpu",
    "openvino-debian12-*",
)

Pair = tuple[str, str]


def medians(models: list[str], cells: list[str], seed: int, *, isolate: bool) -> dict[Pair, float]:
    """Return the median time of a batch, in seconds, by cell and model, of one run."""
    with tempfile.TemporaryDirectory() as runs:
        command = [sys.executable, "-m", "deepmatrix", "verify", *models, "--native"]
        command += [word for cell in cells for word in ("--only", cell)]
        command += ["--explain", "none", "--runs", runs, "--name", "bench", "--seed", str(seed)]
        command += ["--isolate"] if isolate else []
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        results = Path(runs) / "bench" / "results.json"
        if not results.is_file():
            raise SystemExit(ended.stderr)
        rows = json.loads(results.read_text())["inference"]
    return {(row["cell"], row["subject"]): row["p50_s"]["median"] for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--only", action="append", default=[], metavar="GLOB")
    parser.add_argument("--rounds", type=rounds, default=5)
    options = parser.parse_args()
    cells = options.only or list(CELLS)
    times: dict[bool, dict[Pair, list[float]]] = {way: defaultdict(list) for way in (False, True)}
    for number in range(options.rounds):
        for isolate in (False, True) if number % 2 else (True, False):
            for pair, seconds in medians(options.models, cells, number, isolate=isolate).items():
                times[isolate][pair].append(seconds)
    pairs = sorted(times[True].keys() & times[False].keys())
    ratios = compare_rounds([(times[True][pair], times[False][pair]) for pair in pairs])
    differing = [p < 1 - LEVEL for p in holm([ratio.p for ratio in ratios])]  # as in `compare`
    for pair, ratio, differs in zip(pairs, ratios, differing, strict=True):
        cell, model = pair
        alone, shared = (show([1e6 * x for x in times[way][pair]], 1) for way in (True, False))
        print(f"{cell} {model}")
        print(f"  alone {alone} us, with others {shared} us")
        interval = f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]"
        print(f"  with others over alone: {interval}{'  DIFFERS' if differs else ''}")
    inside = sum(ratio.low <= 1 <= ratio.high for ratio in ratios)
    print(f"{inside} of {len(pairs)} intervals hold 1; {sum(differing)} differ")


if __name__ == "__main__":
    main()
