"""Collecting from all cells of a run, in several processes where it has many records."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from deepmatrix.engines.local import usable_cpus
from deepmatrix.errors import EngineError
from deepmatrix.machine.signals import SIGNALS, end_with_parent
from deepmatrix.planning.plan import WAVES, Plan
from deepmatrix.results.collecting.collected import Collected
from deepmatrix.results.collecting.groups import groups
from deepmatrix.results.collecting.row_collector import RowCollector
from deepmatrix.store.records import cells_with_records
from deepmatrix.store.runs import Run

#: Jobs from which on further processes save more time than the second that they take to start.
LEAST_JOBS = 20_000

#: More processes would wait for the one that joins what they collect.
MOST_PROCESSES = 8

#: Damage of each run, as `Run.damage` has it.
Damage = list[dict[str, None]]


def processes_for(plan: Plan) -> int:
    """Return how many processes collect fastest from the records of a plan."""
    if sum(map(plan.size, WAVES)) < LEAST_JOBS:
        return 1
    return min(len(usable_cpus()), MOST_PROCESSES)


def collect(collector: RowCollector, runs: Sequence[Run], processes: int) -> Collected:
    """Return what the records of all cells give; note in the runs what is damaged.

    Raises:
        RecordError: two different records of one job, or one that was not planned.
        EngineError: one of the processes was killed.
    """
    cells = sorted({cell for run in runs for cell in cells_with_records(run.path)})
    if processes == 1:
        for cell in cells:
            _add_cell(collector, runs, cell)
        return collector.take()
    collected = Collected()
    with _pool(processes, collector, runs) as pool:
        for part, damage in pool.map(_collect_cell, cells):
            collected.absorb(part)
            for run, lines in zip(runs, damage, strict=True):
                run.damage.update(lines)
    return collected


def _add_cell(collector: RowCollector, runs: Sequence[Run], cell: str) -> None:
    for group in groups(*(run.records_of(cell) for run in runs)):
        collector.add(group)


@contextlib.contextmanager
def _pool(
    processes: int, collector: RowCollector, runs: Sequence[Run]
) -> Iterator[ProcessPoolExecutor]:
    """Start processes that collect from the same runs; end them whatever happens.

    They are spawned, not forked: this process may have threads.
    """
    pool = ProcessPoolExecutor(
        processes, multiprocessing.get_context("spawn"), _begin, (collector, runs)
    )
    try:
        yield pool
    except BrokenProcessPool:
        raise EngineError(
            "a process that reads records was killed",
            hint="close some programs: memory may be short",
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


#: In a process of the pool: what it collects with, and from.
_work: list[tuple[RowCollector, Sequence[Run]]] = []


def _begin(collector: RowCollector, runs: Sequence[Run]) -> None:
    """Prepare a process of the pool: it ends with its parent, which heeds the signals for it."""
    for number in SIGNALS:
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)
    end_with_parent()
    gc.disable()  # rows have no cycles
    _work.append((collector, runs))


def _collect_cell(cell: str) -> tuple[Collected, Damage]:
    """Return what one cell gives, and what is damaged in each run so far."""
    collector, runs = _work[0]
    _add_cell(collector, runs, cell)
    return collector.take(), [run.damage for run in runs]
