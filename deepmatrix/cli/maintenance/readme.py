"""``readme``: put the tables of runs into pages."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence, Set
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
    chosen_runs = _choose_runs(pages, options)
    for page in pages:
        chosen = chosen_runs.get(page)
        if chosen is None:
            text = f"{page}: left as it is: {options.runs} has no finished run of its preset"
        else:
            _fill(page, chosen, options)
            text = f"{page}: the tables of {chosen.id}"
        print_line(make_console(), text, wrap=False)


def _choose_runs(pages: Sequence[Path], options: argparse.Namespace) -> dict[Path, Run]:
    """Return the run of each page; of several pages, one without a run of its preset has none."""
    if options.run:
        return dict.fromkeys(pages, running.open_run(options.run, options.runs))
    presets = {page: preset for page in pages if (preset := markdown.preset_of(page))}
    newest = _newest_finished(set(presets.values()), options.runs)
    chosen = {page: newest[preset] for page, preset in presets.items() if preset in newest}
    return chosen if chosen or len(pages) > 1 else {pages[0]: runs.latest(options.runs)}


def _newest_finished(presets: Set[str], parent: Path) -> dict[str, Run]:
    """Return the newest run with a report by preset; one that cannot be read is of none."""
    newest: dict[str, Run] = {}
    for run in runs.newest(parent):
        if newest.keys() >= presets:
            break
        with contextlib.suppress(RecordError):
            preset = run.manifest.plan.preset
            if preset in presets and (run.path / "results.json").is_file():
                newest.setdefault(preset, run)
    return newest


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
