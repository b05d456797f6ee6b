"""Collecting from all cells of a run, in several processes where it has many records."""

from __future__ import annotations

import contextlib
import gc
import itertools
import multiprocessing
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection

from deepmatrix.engines.local import usable_cpus
from deepmatrix.errors import EngineError
from deepmatrix.machine.signals import hold_signals, ignore_signals
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
    with _started(collector, runs, cells, processes) as pipes:
        # The cells were dealt out in turn: asked in turn, the processes answer in their order.
        for pipe in itertools.islice(itertools.cycle(pipes), len(cells)):
            part, damage = _receive(pipe)
            collected.absorb(part)
            for run, lines in zip(runs, damage, strict=True):
                run.damage.update(lines)
    return collected


def _add_cell(collector: RowCollector, runs: Sequence[Run], cell: str) -> None:
    for group in groups(*(run.records_of(cell) for run in runs)):
        collector.add(group)


@contextlib.contextmanager
def _started(
    collector: RowCollector, runs: Sequence[Run], cells: Sequence[str], processes: int
) -> Iterator[list[Connection]]:
    """Start processes that take the cells in turn; yield a pipe from each, end them after.

    They are spawned, not forked: this process may have threads. They heed no signal from their
    start on: this process does it for them. A process waits where nobody takes what it has
    collected, so that they do not run ahead with much in memory.
    """
    spawning = multiprocessing.get_context("spawn")
    resource_tracker.ensure_running()  # started lazily, it would unblock signals
    with contextlib.ExitStack() as ending:
        pipes = []
        with hold_signals():
            for _ in range(processes):
                mine, other = spawning.Pipe()
                process = spawning.Process(target=_collect_cells, args=(other,), daemon=True)
                process.start()
                other.close()
                # These run in reverse: kill, join, close.
                ending.callback(mine.close)
                ending.callback(process.join)
                ending.callback(process.kill)
                pipes.append(mine)
        for number, pipe in enumerate(pipes):  # only now: so they load side by side
            with _noticing_its_end():
                pipe.send((collector, runs, cells[number::processes]))
        yield pipes


def _receive(pipe: Connection) -> tuple[Collected, Damage]:
    """Return what a process collected of a cell. Raises what it raised, or EngineError."""
    with _noticing_its_end():
        answer: tuple[Collected, Damage] | Exception = pipe.recv()
    if isinstance(answer, Exception):
        raise answer
    return answer


@contextlib.contextmanager
def _noticing_its_end() -> Iterator[None]:
    """Raise EngineError where a pipe ends, be it within an answer."""
    try:
        yield
    except (EOFError, OSError):
        raise EngineError(
            "a process that reads records was killed",
            hint="close some programs: memory may be short",
        ) from None


def _collect_cells(pipe: Connection) -> None:
    """Answer for cells, in a process of its own. It ends with its parent, as their pipe does."""
    ignore_signals()
    gc.disable()  # rows have no cycles
    with contextlib.suppress(EOFError, OSError):  # the parent has ended
        collector, runs, cells = pipe.recv()
        for cell in cells:
            pipe.send(_answer(collector, runs, cell))


def _answer(
    collector: RowCollector, runs: Sequence[Run], cell: str
) -> tuple[Collected, Damage] | Exception:
    """Return what one cell gives, and what is damaged in each run so far; or what it raised."""
    try:
        _add_cell(collector, runs, cell)
    except Exception as error:  # the parent raises it
        error.add_note(traceback.format_exc())
        return error
    return collector.take(), [run.damage for run in runs]
