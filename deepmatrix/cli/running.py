"""What several commands do with a run: open it, execute it, report it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from deepmatrix import reports
from deepmatrix.boundary.writing import write_named
from deepmatrix.cli.display import Display
from deepmatrix.comparison.history import lines as history_lines
from deepmatrix.comparison.history.earlier import with_slower
from deepmatrix.config.sections import ExpectedFailure
from deepmatrix.diagnosis.explain import explain_all
from deepmatrix.diagnosis.faults import find_faults
from deepmatrix.diagnosis.scope import BUDGET_S, Scope
from deepmatrix.drawing.terminal import print_line
from deepmatrix.engines import Engine
from deepmatrix.errors import CellFailed, RecordError
from deepmatrix.execution.runner import Runner
from deepmatrix.execution.settling import settle
from deepmatrix.planning.plan import WAVES, Wave
from deepmatrix.reports import budgets
from deepmatrix.reports.exports import EXPORTS
from deepmatrix.results import merging
from deepmatrix.results.rows import Results
from deepmatrix.store import listing
from deepmatrix.store.runs import Run


def open_run(path: Path, parent: Path) -> Run:
    """Open a run by its path, or by its name among the runs. Raises ArgumentError."""
    return Run.open(listing.named(path, parent))


#: At most this many cells are listed by name.
LISTED_CELLS = 8


def announce(run: Run, console: Console) -> None:
    """Print the name of a run, where it is, and its cells: the user may see that they are many."""
    ids = [cell.id for cell in run.manifest.plan.cells]
    unlisted = f" and {len(ids) - LISTED_CELLS} more" if len(ids) > LISTED_CELLS else ""
    lines = (
        f"run {run.id} in {run.path}",
        f"{len(ids)} cell{'s' * (len(ids) != 1)}: {', '.join(ids[:LISTED_CELLS])}{unlisted}",
    )
    for line in lines:
        print_line(console, line, "dim", wrap=False)


def execute(
    run: Run,
    engines: Sequence[Engine],
    console: Console,
    *,
    cells: Sequence[str] = (),
    waves: Sequence[Wave] = WAVES,
    check: Callable[[], None] | None = None,
    explain: Scope = "drift",
    explain_s: float = BUDGET_S,
) -> None:
    """Run the jobs of a run that have no record yet, and diagnose answers.

    All verdicts are stored before the first diagnosis, which may take *explain_s* seconds a fault.
    With *cells*, only their jobs; a diagnosis then waits for the whole run. *check* is called after
    the first wave, and may raise; only then the cells of the others are made ready.
    """
    first = waves[:1] if check else waves
    with Display(console, run.manifest) as display:
        runner = Runner(
            run=run, engine=engines[0], watcher=display, cells=cells, others=engines[1:]
        )
        with runner.open(runner.pending_cells(first)) as opened:
            opened.run_waves(first)
            if check:
                check()
                opened.prepare(runner.pending_cells(waves[1:]))
                opened.run_waves(waves[1:])
            if "consume" not in waves or cells:
                return
            settle(run)
            if explain != "none" and explain_s:
                _store_verdicts(run, console)
                explain_all(opened, display.explained, explain, explain_s)


def _store_verdicts(run: Run, console: Console) -> None:
    """Write the reports of what is known before the causes are searched, if there are any."""
    faults = find_faults(run)
    if not faults:
        return
    merged = merging.merge([run])
    reports.write(run, merged)
    for verdict in reports.headlines(merged):
        console.print(verdict, soft_wrap=True)
    line = f"verdicts: {run.path}/report.html; {len(faults)} wrong, now searching the causes"
    print_line(console, line, wrap=False)


def _beside(run: Run, merged: Results, console: Console) -> Results:
    """Hold a run to its budgets and to the last one, and add it to the history.

    Return it with what is wrong there, and slower.

    A file beside the records that cannot be used does not keep the report from being made.
    """

    def say_waiting(history: Path) -> None:
        line = f"waiting for another process that adds to {history}"
        print_line(console, line, "dim", wrap=False)

    exceeded: tuple[str, ...] = ()
    damaged = []
    try:
        exceeded = tuple(budgets.load(run).exceeded(merged))
    except RecordError as error:
        damaged.append(f"{error.message}; {error.hint}")
    try:
        history_lines.append(run.path.parent, merged, say_waiting)
    except RecordError as error:
        damaged.append(f"{error.message}; {error.hint}")
    problems = (*merged.problems, *exceeded, *damaged)
    held = merged.model_copy(update={"problems": problems, "over_budget": exceeded})
    return with_slower(run, held)


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
