"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path
from typing import Any, get_args

from deepmatrix.config.documents import LONGEST_REGISTRY, REGISTRY, REGISTRY_HELP
from deepmatrix.diagnosis.scope import BUDGET_S, NODES_S, Scope
from deepmatrix.errors import ArgumentError
from deepmatrix.paths import MATRIX_FILE, RUN_NAME, RUNS
from deepmatrix.planning.plan import LARGEST_SEED
from deepmatrix.planning.selection import Selection

#: The most values of one sample input: 8 GiB as float32.
MOST_VALUES = 2**31

#: The most threads of a cell.
MOST_THREADS = 1024

#: The longest search for one cause, in seconds.
LONGEST_S = 7 * 24 * 3600


def add_matrix_file(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the matrix file."""
    parser.add_argument("--file", type=Path, default=MATRIX_FILE, help="the matrix file")


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add the options that select cells and workloads."""
    parser.add_argument(
        "globs", nargs="*", metavar="GLOB", help="cells to run instead of the preset's"
    )
    add_exclude(parser)
    add_repeated(
        parser,
        "--tag",
        metavar="TAG",
        help="only cells with this tag: a system, role, base, architecture, device, or one of the "
        "entry's tags",
    )
    parser.add_argument(
        "--preset", help="a preset of the matrix file, such as smoke or full; `default` if left out"
    )
    add_repeated(
        parser,
        "--threads",
        type=thread_count,
        metavar="N",
        help="also run each native cell with N threads, and say how it scales; several times for "
        "several numbers",
    )
    parser.add_argument(
        "--seed", type=seed, default=0, help="seed of the orders and the initial weights"
    )


def add_repeated(parser: argparse.ArgumentParser, name: str, **options: Any) -> None:
    """Add an option that can be given several times: a list, empty where it is not."""
    parser.add_argument(name, action="append", default=[], **options)


def add_tables(parser: argparse.ArgumentParser) -> None:
    """Add the option that prints all tables."""
    parser.add_argument(
        "--tables", action="store_true", help="print all tables of the report, not the summary"
    )


def add_exclude(parser: argparse.ArgumentParser) -> None:
    """Add the option that leaves cells out."""
    add_repeated(parser, "--exclude", metavar="GLOB", help="cells to leave out")


def add_runs(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the folder of the runs."""
    parser.add_argument("--runs", type=Path, default=RUNS, help="the folder of all runs")


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the engine and the folder of the runs."""
    add_engine_name(parser)
    add_runs(parser)


def add_engine_name(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the engine."""
    parser.add_argument(
        "--engine",
        default="auto",
        help="docker; docker:CONTEXT_OR_URL; venv (virtual environments on this machine); "
        "here (the interpreter that runs this); auto: docker if an engine answers, else venv, "
        "unless DOCKER_HOST or a context names one",
    )


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add the option that lets code of others run outside a container."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="run code of others outside a container, since you trust its authors: models of "
        "formats that are programs (TorchScript, SavedModel, Keras, .pt2), and what the plan of a "
        "run starts that the matrix file does not",
    )


def add_explain(parser: argparse.ArgumentParser) -> None:
    """Add the options of the search for causes: what is explained, and for how long."""
    parser.add_argument(
        "--explain",
        choices=get_args(Scope),
        default="drift",
        help="drift: search the first wrong node of each wrong answer, and store the error of "
        f"every node along the graph, in {NODES_S:g} seconds for all answers together; all: store "
        "these errors of right answers too; none: search nothing",
    )
    parser.add_argument(
        "--explain-for",
        type=duration,
        default=f"{BUDGET_S / 60:g}m",
        metavar="TIME",
        help="how long to search the first wrong node of each wrong answer, such as 30s or 10m; "
        "0s: not at all",
    )


def add_isolate(parser: argparse.ArgumentParser) -> None:
    """Add the option that gives each artifact a process of its own."""
    parser.add_argument(
        "--isolate",
        action="store_true",
        help="serve every artifact in a process of its own; a process serves many by default",
    )


def add_run_name(parser: argparse.ArgumentParser) -> None:
    """Add the option that names a new run."""
    parser.add_argument("--name", help="name of the run; the time of its start if left out")


def add_reuse(parser: argparse.ArgumentParser) -> None:
    """Add the option that takes over what an earlier run did."""
    parser.add_argument(
        "--reuse",
        nargs="?",
        const="",
        metavar="RUN",
        help="copy what an earlier run of this command measured and this one would only repeat; "
        "from the one with most of its jobs by default",
    )


def add_expected_failures(parser: argparse.ArgumentParser) -> None:
    """Add the option that replaces the expected failures of a run."""
    parser.add_argument(
        "--expected-failures",
        type=Path,
        metavar="FILE",
        help="the expected failures that count, instead of those of the run",
    )


def selection(options: argparse.Namespace) -> Selection:
    """Return the selection that `add_selection` asks for."""
    return Selection(
        preset=options.preset or "default",
        include=tuple(options.globs),
        exclude=tuple(options.exclude),
        tags=tuple(options.tag),
        threads=tuple(options.threads),
    )


def check_run_name(name: str | None) -> str:
    """Return the name of a new run, empty if the user gave none. Raises ArgumentError."""
    if name is not None and not RUN_NAME.fullmatch(name):
        raise ArgumentError(
            f"'{name}' cannot name a run",
            hint="use up to 100 letters, digits, '.', '_' and '-'",
        )
    return name or ""


def shape(text: str) -> tuple[str, tuple[int, ...]]:
    """Read ``x=1x3x224x224`` or ``batch=4``; return name and sizes. Raises ArgumentTypeError."""
    match = re.fullmatch(r"(.+)=([0-9]{1,10}(?:x[0-9]{1,10}){0,31})", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(
            f"'{_short(text)}' is not a valid shape; write it like x=1x3x224x224, or "
            "batch=4 for a dynamic dimension"
        )
    sizes = tuple(map(int, match[2].split("x")))
    if math.prod(sizes) > MOST_VALUES:
        raise argparse.ArgumentTypeError(
            f"'{_short(text)}': a sample input has {MOST_VALUES} values at most"
        )
    return match[1], sizes


def value_range(text: str) -> tuple[str, tuple[float, float]]:
    """Read ``x=0:255``; return name, smallest and largest value. Raises ArgumentTypeError."""
    name, _, values = text.strip().rpartition("=")
    try:
        low, high = map(float, values.split(":"))
    except ValueError:
        low, high = math.nan, math.nan
    if not name or not -math.inf < low <= high < math.inf:
        raise argparse.ArgumentTypeError(
            f"'{_short(text)}' is not a valid range; write it like x=0:255"
        )
    return name, (low, high)


def duration(text: str) -> float:
    """Read ``30s``, ``2m`` or ``1h``; return seconds. Raises ArgumentTypeError."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smh])", text.strip())
    seconds = float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]] if match else math.inf
    if seconds > LONGEST_S:
        raise argparse.ArgumentTypeError(
            f"'{_short(text)}' is not a duration of up to a week; write it like 30s, 2m or 1h"
        )
    return seconds


def repeats(text: str) -> int:
    """Read how often to answer. Raises ArgumentTypeError."""
    return _whole_number(text, 2, 100_000)


def rounds(text: str) -> int:
    """Read how many rounds to measure. Raises ArgumentTypeError."""
    return _whole_number(text, 2, 1000)


def job_count(text: str) -> int:
    """Read how many jobs of CI there may be. Raises ArgumentTypeError."""
    return _whole_number(text, 1, 100_000)


def port(text: str) -> int:
    """Read the number of a port, 0 for any. Raises ArgumentTypeError."""
    return _whole_number(text, 0, 65_535)


def thread_count(text: str) -> int:
    """Read a number of threads."""
    return _whole_number(text, 1, MOST_THREADS)


def registry(text: str) -> str:
    """Read the name of a registry. Raises ArgumentTypeError."""
    if len(text) > LONGEST_REGISTRY or not re.fullmatch(REGISTRY, text):
        raise argparse.ArgumentTypeError(f"'{_short(text)}' names no registry; {REGISTRY_HELP}")
    return text


def seed(text: str) -> int:
    """Read a seed. Raises ArgumentTypeError."""
    return _whole_number(text, 0, LARGEST_SEED)


def _whole_number(text: str, smallest: int, largest: int) -> int:
    if not re.fullmatch("[0-9]{1,10}", text) or not smallest <= int(text) <= largest:
        raise argparse.ArgumentTypeError(
            f"'{_short(text)}' is not a whole number from {smallest} to {largest}"
        )
    return int(text)


def _short(text: str) -> str:
    """Return an argument as long as a message can show it."""
    return text if len(text) <= 80 else f"{text[:79]}…"
