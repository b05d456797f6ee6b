"""Attempts: one process of a cell, from its control directory to the files it wrote."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepmatrix.boundary.files import write_text
from deepmatrix.engines import Ended, Engine
from deepmatrix.execution.conclusions import conclude, watchdog_report
from deepmatrix.execution.tasks import TaskMaker
from deepmatrix.execution.watching import Watcher
from deepmatrix.machine import energy, locks
from deepmatrix.planning.cells import Capabilities, Cell
from deepmatrix.planning.plan import Job
from deepmatrix.store.output import Output
from deepmatrix.store.records import Status
from deepmatrix.store.runs import Run


class Cancelled(Exception):
    """The user pressed Ctrl-C, or another signal came; the process was ended.

    ``left`` says what may be left behind, where the engine did not answer.
    """

    def __init__(self, left: str = "") -> None:
        super().__init__(left)
        self.left = left


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What one process wrote, how it ended and why; *control* is removed after the attempt."""

    output: Output | None
    status: Status
    cause: str
    control: Path
    ended: Ended
    emulated: bool
    energy_j: float | None


@dataclass(frozen=True, kw_only=True)
class Attempts:
    """Runs processes on an engine that is open, in cells that are ready.

    Every process takes its turn on its CPUs, a one-off job too: it would disturb the times of
    another run.
    """

    run: Run
    engine: Engine
    capabilities: Capabilities
    cancel: threading.Event
    watcher: Watcher

    @contextlib.contextmanager
    def planned(self, job: Job, cell: Cell) -> Iterator[Attempt]:
        """Run a job of the plan; yield its attempt, whose files are there until the block ends.

        Raises:
            Cancelled: the user interrupted it.
        """
        with self._attempt(
            job, cell, lambda maker, control: maker.contents(job, cell, control)
        ) as attempt:
            yield attempt

    @contextlib.contextmanager
    def one_off(
        self,
        cell: Cell,
        subject: str,
        phases: tuple[str, ...],
        fill: Callable[[Path], Mapping[str, Any]],
    ) -> Iterator[Attempt]:
        """Run a one-off job: it is in no plan and has no record.

        *fill* writes its files into the control directory and returns its part of the input.

        Raises:
            Cancelled: the user interrupted it.
        """
        job = Job(wave="consume", cell=cell.id, subject=subject, round=0, phases=phases)

        with self._attempt(
            job, cell, lambda _, control: {**fill(control), "cold": False}
        ) as attempt:
            yield attempt

    @contextlib.contextmanager
    def _attempt(
        self, job: Job, cell: Cell, contents: Callable[[TaskMaker, Path], Mapping[str, Any]]
    ) -> Iterator[Attempt]:
        emulated = self.capabilities.emulates(cell)
        maker = TaskMaker(run=self.run, capabilities=self.capabilities, emulated=emulated)
        with self.run.scratch(job) as control:
            task = maker.task(job, cell, control, contents(maker, control))
            with locks.exclusive_cpus(task.limits.cpus, self.cancel, self.watcher.waiting_for_cpus):
                self.watcher.started(job)
                before = energy.read_counters()
                ended = self.engine.run(task, self.cancel)
                joules = energy.joules_between(before, energy.read_counters())
            if ended.ending == "cancelled":
                raise Cancelled(ended.left)
            write_text(self.run.log_path(job), ended.log + watchdog_report(control))
            output, status, cause = conclude(job, control, ended)
            yield Attempt(
                output=output,
                status=status,
                cause=cause,
                control=control,
                ended=ended,
                emulated=emulated,
                energy_j=joules,
            )
