"""Reporting a run: merged, held to its budgets and to the last one, written and printed.

It takes half a second to import. `deepmatrix.cli.running` does it while the jobs run.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from rich.console import Console

from deepmatrix import reports
from deepmatrix.boundary.bounds import path_text
from deepmatrix.boundary.writing import write_named
from deepmatrix.comparison.history import lines as history_lines
from deepmatrix.comparison.history.earlier import with_slower
from deepmatrix.config.sections import ExpectedFailure
from deepmatrix.diagnosis.faults import find_faults
from deepmatrix.drawing.terminal import print_line
from deepmatrix.errors import CellFailed, RecordError
from deepmatrix.models import budgets
from deepmatrix.reports.budgets import exceeded
from deepmatrix.reports.exports import EXPORTS
from deepmatrix.reports.html import load_templates
from deepmatrix.results import merging
from deepmatrix.results.rows import Results
from deepmatrix.store.runs import Run

__all__ = ["announce_page", "hold", "load_templates", "report", "report_verdicts", "write"]

#: Why a page leads to no records.
UNLINKED = "its runs are not beside it: it has no links to their records"


def write(run: Run) -> Results:
    """Write the reports of what is known of a run; return its results."""
    merged = merging.merge([run])
    reports.write(run, merged)
    return merged


def report_verdicts(run: Run, console: Console) -> None:
    """Write the reports of what is known before the causes are searched, if there are any."""
    faults = find_faults(run)
    if not faults:
        return
    merged = write(run)
    for verdict in reports.headlines(merged):
        console.print(verdict, soft_wrap=True)
    line = f"verdicts: {run.path}/report.html; {len(faults)} wrong, now searching the causes"
    print_line(console, line, wrap=False)


def announce_page(
    console: Console, page: Path, folders: Collection[str], linked: Collection[str]
) -> None:
    """Say where an HTML page was written, and whether it leads to the records of its runs.

    *folders*: the runs that it is of. *linked*: those that are beside it.
    """
    unlinked = "" if len(linked) == len(folders) else f"; {UNLINKED}"
    print_line(console, f"written: {path_text(page)}{unlinked}", "dim", wrap=False)


def _beside(run: Run, merged: Results, console: Console) -> Results:
    """Hold a run to its budgets and to the last one, and add it to the history.

    Return it with what is wrong there, and slower.
    """

    def say_waiting(history: Path) -> None:
        line = f"waiting for another process that adds to {history}"
        print_line(console, line, "dim", wrap=False)

    held = hold(run, merged)
    try:
        history_lines.append(run.path.parent, merged, say_waiting)
    except RecordError as error:
        return _with_problems(held, f"{error.message}; {error.hint}")
    return held


def hold(run: Run, merged: Results) -> Results:
    """Return the results of a run with the budgets that it breaks, and what became slower.

    A file beside the records that cannot be used does not keep the report from being made.
    """
    try:
        over_budget = tuple(exceeded(budgets.load(run), merged))
    except RecordError as error:
        held = _with_problems(merged, f"{error.message}; {error.hint}")
    else:
        held = _with_problems(merged, *over_budget).model_copy(update={"over_budget": over_budget})
    return with_slower(run, held)


def _with_problems(results: Results, *lines: str) -> Results:
    return results.model_copy(update={"problems": (*results.problems, *lines)})


def report(
    parts: Sequence[Run],
    console: Console,
    expected_failures: Sequence[ExpectedFailure] | None = None,
    *,
    all_tables: bool = False,
    exports: Sequence[tuple[str, Path]] = (),
) -> None:
    """Merge the parts of a run, judge, write the reports into the first part and print them.

    *exports*: names of other tools' formats, each with the file to write.

    Raises:
        ArgumentError: a format cannot hold the results.
        CellFailed: something is not as expected.
    """
    merged = merging.merge(parts, expected_failures)
    merged = _beside(parts[0], merged, console)
    reports.write(parts[0], merged)
    exported = [(path, EXPORTS[name](merged)) for name, path in exports]
    for path, text in exported:  # none is written where one is refused
        write_named(path, text)
    reports.show(console, merged, all_tables=all_tables)
    line = f"written: {parts[0].path}/report.html, report.md, results.json, junit.xml"
    print_line(console, line, "dim", wrap=False)
    if not (all_tables or merged.models):
        print_line(console, "report.html has all of it; --tables prints all tables", "dim")
    if merged.problems:
        plural = "s" if len(merged.problems) > 1 else ""
        raise CellFailed(f"{len(merged.problems)} problem{plural}, listed above")
