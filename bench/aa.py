"""A cell against itself: how often is a difference reported where there is none, or missed?

Three cells are measured in trials, round by round in a random order, each round a fresh process:
a cell, the same cell, and the same cell slowed down by a known share. Comparing the first two must
give "cannot tell": anything else is a false alarm. Comparing the third with the first must give
"slower". Noisy rounds are retried as in a matrix. With ``--keep`` all rounds are recorded; false
alarms are also counted on trials drawn at random from the recorded rounds.
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
from deepmatrix.config.sections import Infer
from deepmatrix.judging import noise
from deepmatrix.planning.plan import RETRIES
from deepmatrix.results.timing.statistics import Comparison, compare
from deepmatrix.results.timing.timings import steady
from deepmatrix.store.records import JobRecord

BATCH = 32
RECORDED = ROOT / "bench" / "recorded" / "aa.json"


class Trials(VenvLab):
    """Trials of cells, which are measured in turn."""

    def trial(self, rounds: int, names: Sequence[str]) -> dict[str, list[float]]:
        """Measure cells in interleaved rounds; return the medians of their rounds, seconds."""
        records: dict[tuple[str, int], JobRecord] = {}
        order = [(name, number) for number in range(rounds) for name in names]
        for number in range(rounds):
            turn = order[number * len(names) : (number + 1) * len(names)]
            random.shuffle(turn)
            for name, _ in turn:
                records[name, number] = self._measure(name)
        for _ in range(RETRIES):
            for key in self._noisy(records):
                records[key] = self._measure(key[0])
        return {name: [_median(records[name, n]) for n in range(rounds)] for name in names}

    def _measure(self, name: str) -> JobRecord:
        return self.measure("slowed_adapter" if name == "slowed" else None)

    def _noisy(self, records: dict[tuple[str, int], JobRecord]) -> list[tuple[str, int]]:
        """Return the noisy rounds: a busy machine slows down all cells."""
        rates_by_round = {
            f"{name}/{number}": rates
            for (name, number), record in records.items()
            if (rates := noise.rates(record))
        }
        names = [round_id.partition("/") for round_id in noise.noisy_jobs(rates_by_round)]
        return [(name, int(number)) for name, _, number in names]


def _median(record: JobRecord) -> float:
    assert record.output is not None
    infer = record.output.infer()
    assert infer is not None
    measured = infer.batches[str(BATCH)]
    return float(np.median(steady(measured.latency_s, measured.warmup)))


def word(times: Sequence[float], baseline: Sequence[float]) -> str:
    """Return the verdict of comparing two lists of round medians."""
    comparison: Comparison | None = compare(times, baseline)
    assert comparison is not None
    return comparison.direction


def drawn(pool: Sequence[float], rounds: int, trials: int, factor: float = 1.0) -> list[str]:
    """Return the verdicts of trials whose rounds are drawn, without replacement, from a pool."""
    generator = random.Random(0)
    words = []
    for _ in range(trials):
        sample = generator.sample(list(pool), 2 * rounds)
        words.append(word([factor * seconds for seconds in sample[:rounds]], sample[rounds:]))
    return words


def share(words: Sequence[str], wanted: str) -> str:
    """Show how many of the verdicts are the wanted one."""
    count = sum(text == wanted for text in words)
    return f"{count} of {len(words)} ({count / len(words):.1%})"


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
    equal_words, slowdowns, pool = [], [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        Trials(Path(folder), infer, "slowed_adapter") as lab,
    ):
        for number in track(range(options.trials), "trials"):
            names = ["one", "same"] + (["slowed"] if number < options.slowed else [])
            medians = lab.trial(options.rounds, names)
            equal_words.append(word(medians["one"], medians["same"]))
            pool += medians["one"] + medians["same"]
            if "slowed" in medians:
                slowdowns.append(word(medians["slowed"], medians["one"]))
    if options.keep:
        RECORDED.write_text(json.dumps([float(f"{median:.5g}") for median in pool]) + "\n")
    recorded = json.loads(RECORDED.read_text())
    log_medians = np.log(pool)
    print(f"{options.rounds} rounds a cell, {options.seconds} s of sampling a round")
    print(f"  round medians differ by       {log_medians.std():.2%} (standard deviation)")
    print(f"  measured: equal, cannot tell  {share(equal_words, 'cannot tell')}")
    print(f"  measured: 5 % slower, slower  {share(slowdowns, 'slower')}")
    drawn_equal = drawn(recorded, options.rounds, 1000)
    drawn_slower = drawn(recorded, options.rounds, 1000, 1.05)
    print(f"  recorded: equal, cannot tell  {share(drawn_equal, 'cannot tell')}")
    print(f"  recorded times 1.05, slower   {share(drawn_slower, 'slower')}")


if __name__ == "__main__":
    main()
