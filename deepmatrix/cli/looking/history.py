"""``history``: plot a measurement over all runs, and mark where it changed."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from deepmatrix.boundary.writing import write_named, writing_named
from deepmatrix.comparison.history import lines as history_lines
from deepmatrix.comparison.history import series
from deepmatrix.drawing.terminal import make_console, print_line
from deepmatrix.errors import ArgumentError, EngineError
from deepmatrix.paths import RUNS
from deepmatrix.reports import history as drawn
from deepmatrix.reports import html

#: So many series are plotted; more are listed.
PLOTTED = 4


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "series",
        nargs="?",
        default="*",
        metavar="SERIES",
        help="a series or a glob: up to four are plotted, more are listed; all by default",
    )
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write a page of the series instead"
    )
    parser.add_argument("--runs", type=Path, default=RUNS, help="the folder of all runs")
    parser.add_argument(
        "--parquet",
        type=Path,
        metavar="FILE",
        help="write the history as Parquet instead; needs the package duckdb",
    )


def run(options: argparse.Namespace) -> None:
    """Plot a measurement over all runs, and mark where it changed."""
    console = make_console()
    path = options.runs / history_lines.FILE
    lines = history_lines.read(path)
    if options.parquet:
        _export(path, options.parquet)
        print_line(console, f"{options.parquet}: {len(lines)} measurements", wrap=False)
        return
    matching = series.series(lines, options.series)
    if options.html:
        write_named(options.html, html.history_page(matching))
        print_line(console, f"{options.html}: {len(matching)} series", wrap=False)
        return
    if len(matching) > PLOTTED:
        drawn.show_list(console, matching)
        return
    for line_series in matching:
        drawn.show_series(console, line_series)
        console.print()


def _export(path: Path, target: Path) -> None:
    """Write a history as Parquet.

    Raises:
        ArgumentError: the package duckdb is missing.
        EngineError: it refuses.
    """
    try:
        import duckdb  # noqa: PLC0415  # an optional package
    except ImportError:
        raise ArgumentError(
            "--parquet needs the package duckdb", hint="pip install 'duckdb==2.0.1'"
        ) from None
    with tempfile.TemporaryDirectory() as folder, writing_named(target) as file:
        parquet = Path(folder) / "history.parquet"
        try:
            lines = duckdb.read_json(str(path), format="newline_delimited", sample_size=-1)
            lines.write_parquet(str(parquet))
        except duckdb.Error as error:
            raise EngineError(f"{target}: {str(error).splitlines()[0]}") from None
        with parquet.open("rb") as content:
            shutil.copyfileobj(content, file)
