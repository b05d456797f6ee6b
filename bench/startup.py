"""How long a command takes before its work begins, and a plan as a whole.

Run with ``nox -s benchmark -- startup``. Every command is started in turn, so that a busy moment of
the machine touches all alike. The first start of each is left out: it compiles.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

from common import ROOT, show

#: By title: a command.
COMMANDS = {
    "Python": ["-c", "pass"],
    "plan --help": ["-m", "deepmatrix", "plan", "--help"],
    "plan, no engine asked": ["-m", "deepmatrix", "plan", "--preset", "smoke", "--native", "amd64"],
    "plan": ["-m", "deepmatrix", "plan", "--preset", "smoke"],
    "verify --help": ["-m", "deepmatrix", "verify", "--help"],
}


def measure(command: list[str]) -> float:
    """Return the seconds of one start."""
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }
    began = time.perf_counter()
    subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
    return time.perf_counter() - began


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=20)
    options = parser.parse_args()
    commands = {title: [sys.executable, *words] for title, words in COMMANDS.items()}
    commands["nox -s plan"] = ["nox", "-s", "plan", "--", "--preset", "smoke"]
    samples: dict[str, list[float]] = {title: [] for title in commands}
    for number in range(options.repeat + 1):
        for title, command in commands.items():
            seconds = measure(command)
            if number:
                samples[title].append(seconds)
    print(f"{options.repeat} starts of each, in seconds")
    for title, values in samples.items():
        print(f"  {title:<24} {show(values)}")


if __name__ == "__main__":
    main()
