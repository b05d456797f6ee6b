"""``readme``: put the tables of runs into pages."""

from __future__ import annotations

import argparse
import contextlib
import functools
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from deepmatrix import reports
from deepmatrix.boundary.writing import write_named
from deepmatrix.cli import options as shared
from deepmatrix.cli import running, starting
from deepmatrix.cli.looking import claims, evaluation
from deepmatrix.config.matrix import Matrix
from deepmatrix.conformance import suite
from deepmatrix.drawing.terminal import make_console, print_line
from deepmatrix.errors import ArgumentError, RecordError
from deepmatrix.invocation import command_line
from deepmatrix.paths import ROOT
from deepmatrix.planning import matrix_plan, suite_plan
from deepmatrix.planning.plan import Plan
from deepmatrix.planning.selection import Selection
from deepmatrix.reports import markdown, unfinished
from deepmatrix.reports.markdown import Shown
from deepmatrix.results import merging
from deepmatrix.store import runs
from deepmatrix.store.runs import Run


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The runs whose report a page can have again: of a command, with all cells of a preset.

    *is_finished*: whether all of a run has been tried. *preset*: that of a report which names none.
    """

    command: str
    has_all_cells: Callable[[Plan, Matrix], bool]
    is_finished: Callable[[Run], bool]
    preset: str = ""


def _is_finished(run: Run) -> bool:
    """Return whether all jobs of a run of the matrix have ended, and one of its cells ran."""
    merged = merging.merge([run])
    has_result = any(row.status == "ok" for row in merged.cells)
    return has_result and not unfinished.pending_problems(merged)


def _has_tried_suite(run: Run) -> bool:
    """Return whether each cell that tries the suite has an outcome."""
    tried = {conformity.cell for conformity in suite.load_all(run.path)}
    return tried >= {cell.id for cell in run.manifest.plan.cells if cell.serves}


#: The kinds, by the titles of their reports. A verification is none of them: its models are a
#: user's, so that a later one of the same preset may be of others.
KINDS: Mapping[str, Kind] = {
    "Matrix": Kind(
        command="matrix", has_all_cells=matrix_plan.has_all_cells, is_finished=_is_finished
    ),
    "Conformance": Kind(
        command="conformance",
        has_all_cells=functools.partial(suite_plan.has_all_cells, format=suite.SUITE_FORMAT),
        is_finished=_has_tried_suite,
        preset=Selection().preset,
    ),
}

#: The commands that fill a page themselves, by the titles of their tables.
FILLED_BY: Mapping[str, str] = {claims.TITLE: "claims", evaluation.TITLE: "evaluation"}


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
        help="the run; by default the newest finished one of the command and the preset that the "
        "page has now, with all cells of this preset. A page that has no report yet gets the "
        "newest of all, if it is the only page",
    )


def run(options: argparse.Namespace) -> None:
    """Put the tables of runs into the README, or other pages, between their marks."""
    pages = {page: markdown.shown_in(page) for page in options.into or [ROOT / "README.md"]}
    chosen = _choose_runs(pages, options)
    texts = {page: _filled(page, opened_run, options) for page, opened_run in chosen.items()}
    for page, shown in pages.items():
        if page in texts:
            write_named(page, texts[page])
            line = f"{page}: the tables of {chosen[page].id}"
        else:
            line = f"{page}: left as it is: {_why_left(shown, options.runs)}"
        print_line(make_console(), line, wrap=False)


def _choose_runs(pages: Mapping[Path, Shown], options: argparse.Namespace) -> dict[Path, Run]:
    """Return the runs of pages, by what these show now; a page that is left as it is has none."""
    if options.run:
        return dict.fromkeys(pages, running.open_run(options.run, options.runs))
    if list(pages.values()) == [Shown()]:
        return dict.fromkeys(pages, runs.latest(options.runs))
    wanted = {page: report for page, shown in pages.items() if (report := _wanted(shown))}
    newest = _newest(set(wanted.values()), options.runs)
    return {page: newest[report] for page, report in wanted.items() if report in newest}


def _wanted(shown: Shown) -> Shown | None:
    """Return the report that a page should have again, None where nothing says of which run."""
    kind = KINDS.get(shown.title)
    preset = shown.preset or (kind.preset if kind else "")
    return Shown(title=shown.title, preset=preset) if kind and preset else None


def _newest(wanted: Set[Shown], parent: Path) -> dict[Shown, Run]:
    """Return the newest finished run of each report; one that cannot be read is of none."""
    newest: dict[Shown, Run] = {}
    for run in runs.newest(parent):
        missing = wanted - newest.keys()
        if not missing:
            break
        with contextlib.suppress(RecordError, ArgumentError):
            for report in missing:
                if _has_report(run, report):
                    newest[report] = Run.open(run.path)
    return newest


def _has_report(run: Run, report: Shown) -> bool:
    """Return whether a run has ended with such a report, of all cells of its preset.

    Raises:
        RecordError: its plan or its records cannot be read.
        ArgumentError: its matrix file does not have its preset.
    """
    kind, plan = KINDS[report.title], run.manifest.plan
    if (plan.command, plan.preset) != (kind.command, report.preset):
        return False
    has_report = (run.path / "report.md").is_file()
    return has_report and kind.has_all_cells(plan, run.manifest.matrix) and kind.is_finished(run)


def _why_left(shown: Shown, parent: Path) -> str:
    """Return why a page gets no tables."""
    if shown.title in FILLED_BY:
        return f"`{command_line(FILLED_BY[shown.title])}` fills it"
    if report := _wanted(shown):
        command = KINDS[report.title].command
        return f"{parent} has no finished run of {command} with all cells of {report.preset}"
    reason = "its models are of no preset" if shown.preset else "it names no preset"
    return f"{reason}; name its run with --run"


def _filled(page: Path, opened_run: Run, options: argparse.Namespace) -> str:
    """Return a page with the tables of a run. Raises ArgumentError where it has none for it."""
    if conformities := suite.load_all(opened_run.path):
        tables = reports.conformance_page(opened_run.id, conformities)
        return markdown.filled(page, lambda _: tables)
    merged = merging.merge([opened_run], starting.load_expected_failures(options))
    if not any(row.status == "ok" for row in merged.cells):
        raise ArgumentError(
            f"no cell of {opened_run.id} ran", hint=f"run `{command_line('matrix')}` first"
        )
    return markdown.filled(page, lambda titles: markdown.document(merged, titles))
