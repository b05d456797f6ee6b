"""Attempts: one process of a cell, from its control directory to the files it wrote."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from deepmatrix.boundary.writing import write_text
from deepmatrix.engines import Ended, Engine, Prepared, Task
from deepmatrix.engines.hardware import WORKER
from deepmatrix.execution.conclusions import conclude, watchdog_report
from deepmatrix.execution.reuse.provenance import Parts, Provenance
from deepmatrix.execution.sessions import lanes
from deepmatrix.execution.sessions.lanes import Lane
from deepmatrix.execution.sessions.queues import JobQueue
from deepmatrix.execution.tasks import TaskMaker
from deepmatrix.execution.watching import Place, Watcher
from deepmatrix.machine import locks
from deepmatrix.planning.cells import Capabilities, Cell
from deepmatrix.planning.plan import Job
from deepmatrix.store.records import Status
from deepmatrix.store.reported.output import Output
from deepmatrix.store.runs import Run


class Cancelled(Exception):
    """The user pressed Ctrl-C, or another signal came; the process was ended.

    ``leftovers`` says what may be left behind, where the engine did not answer.
    """

    def __init__(self, leftovers: str = "") -> None:
        super().__init__(leftovers)
        self.leftovers = leftovers


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What one process wrote, how it ended and why; *control* is removed after the attempt.

    *provenance*: what makes its record, see `deepmatrix.execution.reuse.provenance`. *id* tells its
    process from every other one, *machine* the machine that it ran on.
    """

    output: Output | None
    status: Status
    cause: str
    control: Path
    ended: Ended
    emulated: bool
    energy_j: float | None
    provenance: Parts = field(default_factory=dict)
    id: str = ""
    machine: str = ""


Collect = Callable[[Job, Attempt], None]
"""Called with each job that a process served, while the job's files are there."""


@dataclass(frozen=True, kw_only=True)
class Attempts:
    """Runs processes on an engine that is open, in cells that are ready.

    Every process takes its turn on its CPUs, a one-off job too: it would disturb the times of
    another run. *waits*: for how many seconds each waited for that. An engine elsewhere has it wait
    for its turn there, and its energy is not known. *prepared*: what cells run from on the engine;
    what the run says, if left out.
    """

    run: Run
    engine: Engine
    capabilities: Capabilities
    cancel: threading.Event
    watcher: Watcher
    waits: list[float] = field(default_factory=list)
    prepared: Mapping[str, Prepared] | None = None

    @property
    def timed_lane(self) -> Lane:
        """The lane of what is timed. Raises ArgumentError where the engine has too few CPUs."""
        return lanes.timed_lane(self.run.manifest.matrix.limits, self.capabilities, self._threads)

    @property
    def checked_lanes(self) -> list[Lane]:
        """The lanes of what is only checked. Raises ArgumentError as before."""
        return lanes.checked_lanes(self.run.manifest.matrix.limits, self.capabilities)

    @property
    def spare_lanes(self) -> list[Lane]:
        """Those of what is only checked beside what is timed. Raises ArgumentError as before."""
        return lanes.spare_lanes(self.run.manifest.matrix.limits, self.capabilities, self._threads)

    @property
    def freed_lanes(self) -> list[Lane]:
        """Those that `spare_lanes` leaves, once all is timed. Raises ArgumentError as before."""
        return lanes.freed_lanes(self.run.manifest.matrix.limits, self.capabilities, self._threads)

    @property
    def _threads(self) -> int:
        """The most threads that a cell has for its own."""
        return max((cell.threads for cell in self.run.manifest.plan.cells), default=0)

    def serve(self, jobs: Sequence[Job], cell: Cell, collect: Collect, lane: Lane) -> int:
        """Run jobs of the plan in one process; return how many of them it disposed of.

        Where it dies, that job is the last one. *collect* gets every attempt.

        Raises:
            Cancelled: the user interrupted it.
        """
        maker = self._maker(cell, lane)
        with self.run.scratch(jobs[0]) as control:
            queue = JobQueue(
                jobs=jobs,
                cell=cell,
                control=control,
                maker=maker,
                started=lambda job: self.watcher.started(job, self._place(lane)),
                collect=lambda job, folder, ended, energy_j: collect(
                    job, self._attempt(task, job, folder, ended, energy_j, queue.provenance)
                ),
                describe=lambda job, document, folder: self._provenance.parts(
                    job, cell, document, folder
                ),
                counts_energy=self.engine.is_here and not self.spare_lanes,
            )
            queue.prepare()
            task = maker.task(jobs[0], cell, control, queue if len(jobs) > 1 else None)
            ended = self._run_task(task, lane, queue.begin)
            queue.finish(ended)
            return queue.place

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
        lane = self.timed_lane
        maker = self._maker(cell, lane)
        with self.run.scratch(job) as control:
            contents = {**fill(control), "cold": False}
            maker.write_input(job, cell, control, contents)
            task = maker.task(job, cell, control)
            ended = self._run_task(task, lane, lambda: self.watcher.started(job, self._place(lane)))
            yield self._attempt(task, job, control, ended, None, {})

    def surroundings(self, job: Job, cell: Cell) -> Parts:
        """Return what is around the process that would run a job of the plan now."""
        return self._provenance.surroundings(job, cell)

    def provenance(self, job: Job, cell: Cell) -> Parts:
        """Return what would make the record of a job of the plan, if it ran now.

        Raises:
            RecordError: its artifact is damaged.
        """
        maker = self._maker(cell, self.timed_lane)
        with self.run.scratch(job) as control:
            document = maker.document(job, cell, maker.contents(job, cell, control))
            return self._provenance.parts(job, cell, document, control)

    @property
    def machine(self) -> str:
        """What tells the engine's machine from others, where that is known."""
        return self._facts.get("machine", "")

    @property
    def worker(self) -> str:
        """The name of the engine's worker in a fleet, or nothing."""
        return self._facts.get(WORKER, "")

    @cached_property
    def _facts(self) -> dict[str, str]:
        return self.engine.describe()

    @cached_property
    def _provenance(self) -> Provenance:
        return Provenance(
            run=self.run,
            capabilities=self.capabilities,
            facts=self._facts,
            prepared=self.prepared,
        )

    def _maker(self, cell: Cell, lane: Lane) -> TaskMaker:
        return TaskMaker(
            run=self.run,
            capabilities=self.capabilities,
            emulated=self.capabilities.emulates(cell),
            lane=lane,
        )

    def _place(self, lane: Lane) -> Place:
        return self.worker, lane.cpus

    def _run_task(self, task: Task, lane: Lane, begin: Callable[[], None]) -> Ended:
        cpus = task.limits.cpus if self.engine.is_here else ()
        waiting = functools.partial(self.watcher.waiting_for_cpus, self._place(lane))
        with locks.exclusive_cpus(cpus, self.cancel, waiting) as waited_s:
            self.waits.append(waited_s)
            if self.cancel.is_set():  # a process that is quick would end before it is looked at
                raise Cancelled
            begin()
            ended = self.engine.run(replace(task, waiting=waiting), self.cancel)
        if ended.ending == "cancelled":
            raise Cancelled(ended.may_be_left)
        return ended

    def _attempt(
        self,
        task: Task,
        job: Job,
        folder: Path,
        ended: Ended,
        energy_j: float | None,
        provenance: Parts,
    ) -> Attempt:
        write_text(self.run.log_path(job), ended.log + watchdog_report(folder))
        output, status, cause = conclude(job, folder, ended)
        return Attempt(
            output=output,
            status=status,
            cause=cause,
            control=folder,
            ended=ended,
            emulated=self.capabilities.emulates(task.cell),
            energy_j=energy_j,
            provenance=provenance,
            id=task.attempt,
            machine=self.machine,
        )
