"""How long ``nox -s matrix`` takes, and when its first verdict stands.

Run with ``nox -s benchmark -- matrix --preset smoke``; what is no option of it goes to the command.
The images should be there: what is built is counted in the time. Shown are medians, with the least
and the most, and how many records have each status.
"""

from __future__ import annotations

import argparse
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from common import run_session, show


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Seconds of a command and until its first verdict; its records by wave and status."""

    wall_s: float
    first_s: float
    records: Counter[str]


def run_matrix(options: Sequence[str]) -> Measured:
    """Run the command once in a folder of its own."""
    ran = run_session("matrix", options)
    verdicts = [
        record["started_at"] + record["wall_s"] - ran.start
        for record in ran.records
        if record["wave"] == "consume" and record["started_at"]
    ]
    counts = Counter(f"{record['wave']} {record['status']}" for record in ran.records)
    return Measured(wall_s=ran.end - ran.start, first_s=min(verdicts), records=counts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    options, arguments = parser.parse_known_args()
    if shutil.which("nox") is None:
        parser.error("nox is not on PATH")
    runs = [run_matrix(arguments) for _ in range(options.repeat)]
    print(f"nox -s matrix -- {' '.join(arguments)}: {len(runs)} times, in seconds")
    print(f"  command             {show([run.wall_s for run in runs], 1)}")
    print(f"  first verdict       {show([run.first_s for run in runs], 1)}")
    for counts in {tuple(sorted(run.records.items())) for run in runs}:
        print("  records:", ", ".join(f"{number} {status}" for status, number in counts))


if __name__ == "__main__":
    main()
