"""``claims``: decide the study's statements."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from deepmatrix import reports
from deepmatrix.boundary.writing import write_named
from deepmatrix.cli import options as shared
from deepmatrix.cli import reporting, running, starting
from deepmatrix.drawing.layout import Table
from deepmatrix.drawing.terminal import make_console, print_line
from deepmatrix.paths import CLAIMS
from deepmatrix.reports import html, markdown, unfinished
from deepmatrix.reports.tables.study.claims import brief
from deepmatrix.reports.tables.study.claims import tables as statement_tables
from deepmatrix.reports.tables.study.editions import tables as edition_tables
from deepmatrix.reports.tables.study.sources import about_run
from deepmatrix.results import merging
from deepmatrix.results.rows import Results
from deepmatrix.store.runs import Run
from deepmatrix.study import decisions, statements
from deepmatrix.study.decisions import DecidedStatement

#: The title of the tables.
TITLE = "The study's statements"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "parts",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="the runs; of several that tried the same, the last one counts",
    )
    shared.add_runs(parser)
    shared.add_expected_failures(parser)
    parser.add_argument("--claims", type=Path, default=CLAIMS, help="the file of the statements")
    parser.add_argument(
        "--into", type=Path, metavar="FILE", help="put the tables into this page, between its marks"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write an HTML page")
    shared.add_tables(parser)


def run(options: argparse.Namespace) -> None:
    """Decide the study's statements by some runs; if several can decide, the last one counts."""
    document, runs = statements.load(options.claims), open_runs(options)
    results = merged(runs, options)
    decided = decisions.decide(document, results, starting.load_matrix(options))
    tables = [*statement_tables(decided), *edition_tables(document)]
    show(options, tables, brief(decided), decided)
    write(options, TITLE, tables, runs, map(about_run, results))


def open_runs(options: argparse.Namespace) -> list[Run]:
    """Open the runs that are named. Raises ArgumentError."""
    return [running.open_run(path, options.runs) for path in options.parts]


def merged(runs: Sequence[Run], options: argparse.Namespace) -> list[Results]:
    """Return the results of runs, each with its own expected failures; say which is unfinished."""
    expected_failures = starting.load_expected_failures(options)
    results = [merging.merge([run], expected_failures) for run in runs]
    for merged_run in results:
        if unfinished.pending_problems(merged_run):
            print_line(make_console(), f"! {merged_run.run}: {unfinished.describe(merged_run)}")
    return results


def show(
    options: argparse.Namespace,
    tables: Sequence[Table],
    short: Sequence[Table],
    decided: Sequence[DecidedStatement],
) -> None:
    """Print all tables where the user wants them, else the *short* ones and what they leave out."""
    console = make_console()
    reports.show_tables(console, tables if options.tables else short)
    undecided = sum(not statement.is_decided for statement in decided)
    if undecided and not options.tables:
        line = (
            f"{undecided} of {len(decided)} statements are not decided by these runs; --tables "
            "prints why, and --html FILE writes a page"
        )
        print_line(console, line)


def write(
    options: argparse.Namespace,
    title: str,
    tables: list[Table],
    runs: Sequence[Run],
    about: Iterable[str],
) -> None:
    """Write tables of runs into the pages that are asked for. *about*: lines on the runs."""
    if options.into:
        markdown.insert(
            options.into,
            lambda titles: reports.tables_page(title, markdown.select(tables, titles)),
        )
        print_line(make_console(), f"{options.into}: the tables of {', '.join(r.id for r in runs)}")
    if options.html:
        folders = _folders(runs)
        evidence = html.beside(options.html, folders)
        write_named(options.html, html.tables_page(title, tables, evidence, about=list(about)))
        reporting.announce_page(make_console(), options.html, folders, evidence)


def _folders(runs: Sequence[Run]) -> dict[str, Path]:
    """Return the folder of each run by its name, without names that two runs share."""
    paths: dict[str, set[Path]] = {}
    for run in runs:
        paths.setdefault(run.id, set()).add(run.path.resolve())
    return {name: path for name, (path, *further) in paths.items() if not further}
