"""A cell against itself: how often is a difference seen where there is none, or missed?

Three cells are measured in trials, round by round in a random order, each round a fresh process:
one, the same again, and the same with every answer slowed down by a known share. The first
against the second is a false alarm where it is not "cannot tell"; the third against the first
has to be "slower". Rounds on a disturbed machine are run again as a matrix does. All rounds are
then kept, and false alarms counted once more on trials drawn at random from those recorded.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from common import ROOT, VenvLab
from rich.progress import track

from deepmatrix.config import matrix_file
from deepmatrix.config.matrix_file import Infer
from deepmatrix.execution.runner import MOST_RETRIES
from deepmatrix.judging import noise
from deepmatrix.results.statistics import Comparison, compare
from deepmatrix.results.timings import steady
from deepmatrix.store.records import JobRecord

BATCH = 32
RECORDED = ROOT / "bench" / "recorded" / "aa.json"


class Trials(VenvLab):
    """Trials of cells, which are measured in turn."""

    def trial(self, rounds: int, names: Sequence[str]) -> dict[str, list[float]]:
        """Measure cells in interleaved rounds; return the medians of their rounds, seconds."""
        found: dict[tuple[str, int], JobRecord] = {}
        order = [(name, number) for number in range(rounds) for name in names]
        for number in range(rounds):
            turn = order[number * len(names) : (number + 1) * len(names)]
            random.shuffle(turn)
            for name, _ in turn:
                found[name, number] = self._measure(name)
        for _ in range(MOST_RETRIES):
            for key in self._noisy_jobs(found):
                found[key] = self._measure(key[0])
        return {name: [_median(found[name, n]) for n in range(rounds)] for name in names}

    def _measure(self, name: str) -> JobRecord:
        return self.measure("slowed_adapter" if name == "slowed" else None)

    def _noisy_jobs(self, found: dict[tuple[str, int], JobRecord]) -> list[tuple[str, int]]:
        """Return the rounds that a disturbed machine touched: the machine is one for all cells."""
        taken = {
            f"{name}/{number}": rates
            for (name, number), record in found.items()
            if (rates := noise.rates(record))
        }
        names = [one.partition("/") for one in noise.noisy_jobs(taken)]
        return [(name, int(number)) for name, _, number in names]


def _median(record: JobRecord) -> float:
    assert record.output is not None
    infer = record.output.infer()
    assert infer is not None
    measured = infer.batches[str(BATCH)]
    return float(np.median(steady(measured.latency_s, measured.warmup)))


def word(one: Sequence[float], other: Sequence[float]) -> str:
    """Say what may be said of two lists of round medians."""
    found: Comparison | None = compare(one, other)
    assert found is not None
    return found.word


def drawn(pool: Sequence[float], rounds: int, trials: int, factor: float = 1.0) -> list[str]:
    """Return the words of trials whose rounds are drawn, without return, from a pool."""
    generator = random.Random(0)
    said = []
    for _ in range(trials):
        chosen = generator.sample(list(pool), 2 * rounds)
        said.append(word([factor * one for one in chosen[:rounds]], chosen[rounds:]))
    return said


def share(said: Sequence[str], wanted: str) -> str:
    """Show how many of the words are as wanted."""
    count = sum(one == wanted for one in said)
    return f"{count} of {len(said)} ({count / len(said):.1%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = matrix_file.load(ROOT / "matrix.yaml").presets["default"].rounds.native
    parser.add_argument("--rounds", type=int, default=default)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--slowed", type=int, default=100, help="trials of the slow-down")
    parser.add_argument("--seconds", type=float, default=0.2, help="of sampling a round")
    parser.add_argument("--keep", action="store_true", help="replace the recorded rounds")
    options = parser.parse_args()
    infer = Infer(batches=(BATCH,), samples=50, min_s=options.seconds, warmup=5)
    alarms, found, pool = [], [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        Trials(Path(folder), infer, "slowed_adapter") as lab,
    ):
        for number in track(range(options.trials), "trials"):
            names = ["one", "same"] + (["slowed"] if number < options.slowed else [])
            medians = lab.trial(options.rounds, names)
            alarms.append(word(medians["one"], medians["same"]))
            pool += medians["one"] + medians["same"]
            if "slowed" in medians:
                found.append(word(medians["slowed"], medians["one"]))
    if options.keep:
        RECORDED.write_text(json.dumps([float(f"{one:.5g}") for one in pool]) + "\n")
    recorded = json.loads(RECORDED.read_text())
    logs = np.log(pool)
    print(f"{options.rounds} rounds a cell, {options.seconds} s of sampling a round")
    print(f"  round medians differ by        {logs.std():.2%} (standard deviation)")
    print(f"  fresh: equal and said so       {share(alarms, 'cannot tell')}")
    print(f"  fresh: 5 % slower and said so  {share(found, 'slower')}")
    calm = drawn(recorded, options.rounds, 1000)
    slow = drawn(recorded, options.rounds, 1000, 1.05)
    print(f"  recorded: equal and said so    {share(calm, 'cannot tell')}")
    print(f"  recorded, times 1.05: slower   {share(slow, 'slower')}")


if __name__ == "__main__":
    main()
