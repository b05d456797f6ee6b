"""What several commands do with a run: open it, announce it, execute it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from deepmatrix.cli.display import Display
from deepmatrix.diagnosis.explain import explain_all
from deepmatrix.diagnosis.scope import BUDGET_S, Scope
from deepmatrix.drawing.terminal import print_line
from deepmatrix.engines import Engine
from deepmatrix.errors import RecordError
from deepmatrix.execution.runner import Runner
from deepmatrix.execution.settling import settle
from deepmatrix.planning.plan import WAVES, Wave
from deepmatrix.store import listing
from deepmatrix.store.records import JobRecord
from deepmatrix.store.reported.output import Output
from deepmatrix.store.runs import Run


def open_run(path: Path, parent: Path) -> Run:
    """Open a run by its path, that of a file in it, or its name among the runs.

    Raises:
        RecordError: it is not a run.
    """
    place = listing.named(path, parent)
    if place.is_file() and (place.parent / "plan.json").is_file():
        return Run.open(place.parent)
    if not (place / "plan.json").is_file() and listing.plans(place):
        raise RecordError(
            f"{place} is the folder of runs, not one of them", hint=listing.known_runs(place)
        )
    return Run.open(place)


#: At most this many cells are listed by name.
LISTED_CELLS = 8

#: When what makes reports is loaded, in seconds after a run began: its first process is started
#: before, which takes some calls of the engine and would wait for the imports.
LOADED_AFTER_S = 0.4


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
        with runner.open(runner.pending_cells(first)) as opened, loading_reporting():
            opened.run_waves(first)
            if check:
                check()
                opened.prepare(runner.pending_cells(waves[1:]))
                opened.run_waves(waves[1:])
            if "consume" not in waves or cells:
                return
            settle(run)
            if explain != "none" and explain_s:
                from deepmatrix.cli import reporting  # noqa: PLC0415 - loaded by now

                reporting.report_verdicts(run, console)
                explain_all(opened, display.explained, explain, explain_s)


@contextlib.contextmanager
def loading_reporting() -> Iterator[None]:
    """Load what makes reports a while after this begins, unless it has ended before."""
    loading = threading.Timer(LOADED_AFTER_S, _load_reporting)
    loading.daemon = True
    loading.start()
    try:
        yield
    finally:
        loading.cancel()


def _load_reporting() -> None:
    """Make ready to read records and write reports, while the first process loads its own.

    That takes half a second, in which this process would only wait.
    """
    for kind in (Output, JobRecord):
        kind.model_rebuild()
    from deepmatrix.cli import reporting  # noqa: PLC0415

    reporting.load_templates()
