"""``readme``: put the tables of runs into pages."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from deepmatrix import reports
from deepmatrix.cli import options as shared
from deepmatrix.cli import running, starting
from deepmatrix.conformance import suite
from deepmatrix.drawing.terminal import make_console, print_line
from deepmatrix.errors import ArgumentError, RecordError
from deepmatrix.invocation import command_line
from deepmatrix.paths import ROOT
from deepmatrix.reports import markdown
from deepmatrix.results import merging
from deepmatrix.store import runs
from deepmatrix.store.runs import Run


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "into",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="the pages, README.md by default; each has the marks `<!-- report -->` and "
        "`<!-- /report -->`",
    )
    shared.add_runs(parser)
    shared.add_expected_failures(parser)
    parser.add_argument(
        "--run",
        type=Path,
        help="the run; by default the newest of the preset that the page has now, or of all",
    )


def run(options: argparse.Namespace) -> None:
    """Put the tables of runs into the README, or other pages, between their marks."""
    pages = options.into or [ROOT / "README.md"]
    for page in pages:
        chosen = _choose_run(page, options, alone=len(pages) == 1)
        if chosen is None:
            text = f"{page}: left as it is: {options.runs} has no finished run of its preset"
        else:
            _fill(page, chosen, options)
            text = f"{page}: the tables of {chosen.id}"
        print_line(make_console(), text, wrap=False)


def _choose_run(page: Path, options: argparse.Namespace, *, alone: bool) -> Run | None:
    """Return the run for a page: of several pages, None where there is none of its preset."""
    if options.run:
        return running.open_run(options.run, options.runs)
    preset = markdown.preset_of(page)
    candidates = runs.newest(options.runs) if preset else iter(())
    chosen = next((run for run in candidates if _is_finished(run, preset)), None)
    return chosen or (runs.latest(options.runs) if alone else None)


def _is_finished(run: Run, preset: str) -> bool:
    """Return whether a run of this preset has its report; one that cannot be read has none."""
    with contextlib.suppress(RecordError):
        return run.manifest.plan.preset == preset and (run.path / "results.json").is_file()
    return False


def _fill(page: Path, opened_run: Run, options: argparse.Namespace) -> None:
    if conformities := suite.load_all(opened_run.path):
        tables = reports.conformance_page(opened_run.id, conformities)
        markdown.insert(page, lambda _: tables)
        return
    merged = merging.merge([opened_run], starting.load_expected_failures(options))
    if not any(row.status == "ok" for row in merged.cells):
        raise ArgumentError(
            f"no cell of {opened_run.id} ran", hint=f"run `{command_line('matrix')}` first"
        )
    markdown.insert(page, lambda titles: markdown.document(merged, titles))
