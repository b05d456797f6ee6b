"""``merge``: make one report of a run whose parts ran on several machines."""

from __future__ import annotations

import argparse
from pathlib import Path

from deepmatrix.cli import options as shared
from deepmatrix.cli import reporting, running, starting
from deepmatrix.config.documents import did_you_mean
from deepmatrix.drawing.terminal import make_console, print_line
from deepmatrix.reports.exports import EXPORTS
from deepmatrix.store import runs


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "parts", nargs="*", type=Path, metavar="RUN", help="parts of one run; the newest by default"
    )
    shared.add_runs(parser)
    shared.add_expected_failures(parser)
    shared.add_tables(parser)
    shared.add_repeated(
        parser,
        "--export",
        type=_export,
        metavar="NAME=FILE",
        help=f"write the results in the format of another tool: {', '.join(EXPORTS)}",
    )


def run(options: argparse.Namespace) -> None:
    """Merge the parts of a run, judge, write the reports into the first part."""
    console = make_console()
    parts = [running.open_run(path, options.runs) for path in options.parts]
    if not parts:
        parts = [runs.latest(options.runs)]
        print_line(console, f"the newest run: {parts[0].path}", "dim", wrap=False)
    reporting.report(
        parts,
        console,
        starting.load_expected_failures(options),
        all_tables=options.tables,
        exports=options.export,
    )


def _export(text: str) -> tuple[str, Path]:
    """Read ``NAME=FILE``. Raises ArgumentTypeError."""
    name, _, path = text.partition("=")
    if name not in EXPORTS:
        suggestion = did_you_mean(name, EXPORTS)
        raise argparse.ArgumentTypeError(
            f"'{name[:80]}' is not a format of results{suggestion}; write NAME=FILE"
        )
    if not path:
        raise argparse.ArgumentTypeError(f"'{text}' names no file; write {name}=FILE")
    return name, Path(path)
