"""``readme``: put the tables of a run into a page."""

from __future__ import annotations

import argparse
from pathlib import Path

from deepmatrix import reports
from deepmatrix.cli import options as shared
from deepmatrix.cli import running, starting
from deepmatrix.conformance import suite
from deepmatrix.drawing.terminal import make_console, print_line
from deepmatrix.errors import ArgumentError
from deepmatrix.invocation import command_line
from deepmatrix.paths import ROOT
from deepmatrix.reports import markdown
from deepmatrix.results import merging
from deepmatrix.store import runs


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "into",
        nargs="?",
        type=Path,
        default=ROOT / "README.md",
        metavar="FILE",
        help="the page; it has the marks `<!-- report -->` and `<!-- /report -->`",
    )
    shared.add_runs(parser)
    shared.add_expected_failures(parser)
    parser.add_argument("--run", type=Path, help="the run; the newest by default")


def run(options: argparse.Namespace) -> None:
    """Put the tables of a run into the README, or another page, between its marks."""
    opened_run = (
        running.open_run(options.run, options.runs) if options.run else runs.latest(options.runs)
    )
    if conformities := suite.load_all(opened_run.path):
        page = reports.conformance_page(opened_run.id, conformities)
        markdown.insert(options.into, lambda _: page)
    else:
        merged = merging.merge([opened_run], starting.load_expected_failures(options))
        if not any(row.status == "ok" for row in merged.cells):
            raise ArgumentError(
                f"no cell of {opened_run.id} ran", hint=f"run `{command_line('matrix')}` first"
            )
        markdown.insert(options.into, lambda titles: markdown.document(merged, titles))
    text = f"{options.into}: the tables of {opened_run.id}"
    print_line(make_console(), text, wrap=False)
