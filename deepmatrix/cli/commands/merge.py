"""``merge``: make one report of a run whose parts ran on several machines."""

from __future__ import annotations

import argparse
from pathlib import Path

from deepmatrix.cli import options as shared
from deepmatrix.cli import running, starting
from deepmatrix.drawing.terminal import make_console, print_line
from deepmatrix.store import runs


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "parts", nargs="*", type=Path, metavar="RUN", help="parts of one run; the newest by default"
    )
    shared.add_runs(parser)
    shared.add_expected_failures(parser)
    shared.add_tables(parser)


def run(options: argparse.Namespace) -> None:
    """Merge the parts of a run, judge, write the reports into the first part."""
    console = make_console()
    parts = [running.open_run(path, options.runs) for path in options.parts]
    if not parts:
        parts = [runs.latest(options.runs)]
        print_line(console, f"the newest run: {parts[0].path}", "dim", wrap=False)
    running.report(
        parts, console, starting.load_expected_failures(options), all_tables=options.tables
    )
