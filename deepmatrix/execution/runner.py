"""Running a plan: every job of both waves, each to a record, whatever happens to it."""

from __future__ import annotations

import contextlib
import shlex
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

from deepmatrix.conformance import suite
from deepmatrix.conformance.suite import Conformity
from deepmatrix.diagnosis.explain import Explainer, unexplained
from deepmatrix.engines import Engine, Prepared
from deepmatrix.errors import EngineError, Interrupted, RecordError
from deepmatrix.execution.conclusions import conclude
from deepmatrix.execution.one_off import Asides, Cancelled
from deepmatrix.execution.tasks import TaskMaker
from deepmatrix.judging import canaries, evidence, exports
from deepmatrix.judging.evidence import Evidence
from deepmatrix.machine import energy, locks
from deepmatrix.planning.plan import Capabilities, Cell, Job, Wave
from deepmatrix.store import arrays
from deepmatrix.store.records import Cause, JobRecord
from deepmatrix.store.runs import Run, write_text
from deepmatrix.workloads import inputs
from harness.record import INSPECT

#: How often a round on a disturbed machine is run again.
MOST_AGAIN = 2


class Watcher(Protocol):
    """Who is told what happens, as it happens."""

    def preparing(self, cell_id: str, text: str) -> None:
        """Tell that a cell's image or environment is being made."""
        ...

    def prepared(self, cell_id: str, result: Prepared) -> None:
        """Tell that a cell is ready, or why it is not."""
        ...

    def planned(self, jobs: Sequence[Job], again: bool) -> None:
        """Tell what a wave has still to do, or does *again*, as the machine was slower."""
        ...

    def waiting(self) -> None:
        """Tell that another process measures on this machine, and that this one waits."""
        ...

    def started(self, job: Job) -> None:
        """Tell that a job's process starts."""
        ...

    def ended(self, job: Job, record: JobRecord) -> None:
        """Tell how it ended."""
        ...

    def explained(self, cause: Cause) -> None:
        """Tell what something that is not right was traced to."""
        ...


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs what is missing of a run on one engine.

    *cells* narrows it to some cell ids (one CI job a cell); all the others count as elsewhere.
    """

    run: Run
    engine: Engine
    watcher: Watcher
    cells: Collection[str] = ()

    def execute(self, waves: Sequence[Wave] = ("produce", "consume")) -> None:
        """Make the cells ready, run the waves in their order, keep every record.

        Raises:
            EngineError: the engine went away and did not come back.
            Interrupted: Ctrl-C, or SIGTERM; what was done is kept.
        """
        with self.run.locked():
            self.run.sweep()
            capabilities = self.engine.capabilities()
            self.run.save_engine({"engine": self.engine.name, **self.engine.describe()})
            make_inputs(self.run)
            ready = self._prepare(self._mine(waves), capabilities)
            with _interruptible() as cancel:
                try:
                    self.engine.open(self.run.id)
                    for wave in waves:
                        self._wave(wave, ready, capabilities, cancel)
                    if "consume" in waves and not self.cells:
                        self._explain(ready, capabilities, cancel)
                finally:
                    self.engine.close()

    def _explain(
        self, ready: dict[str, Cell], capabilities: Capabilities, cancel: threading.Event
    ) -> None:
        """Trace what is not right to its cause."""
        asides = Asides(
            run=self.run,
            engine=self.engine,
            capabilities=capabilities,
            cancel=cancel,
            started=self.watcher.started,
        )
        explainer = Explainer(
            asides=asides,
            tell=self.watcher.explained,
            prepare=lambda cells: self._prepare(cells, capabilities),
            ready=ready,
        )
        for wrong in unexplained(self.run):
            if not explainer.explain(wrong):
                raise self._interrupted()

    def conform(self, folder: Path, done: Callable[[Conformity], None]) -> dict[str, str]:
        """Try a standard's own tests in the run's cells, the first of which makes them.

        *folder* is an empty one for the tests; *done* is told of every cell. Returns, by cell,
        why some could not be tried.

        Raises:
            EngineError: the tests cannot be made, or the engine went away.
            Interrupted: Ctrl-C, or SIGTERM.
        """
        with self.run.locked(), _interruptible() as cancel:
            capabilities = self.engine.capabilities()
            judge, *others = self.run.manifest.plan.cells
            wanted = {cell.id: cell for cell in (judge, *others)}
            ready = self._prepare(list(wanted.values()), capabilities)
            broken = {one: self.run.prepared()[one].error for one in wanted if one not in ready}
            if judge.id in broken:
                raise EngineError(f"{judge.id} is not ready: {broken[judge.id]}")
            asides = Asides(
                run=self.run,
                engine=self.engine,
                capabilities=capabilities,
                cancel=cancel,
                started=self.watcher.started,
            )
            try:
                self.engine.open(self.run.id)
                able = [cell for cell in others if cell.id in ready]
                tried = suite.try_all(asides, judge, able, folder, done)
            except Cancelled:
                raise Interrupted("interrupted", hint="nothing is left to finish") from None
            finally:
                self.engine.close()
        return {**{one: error or "" for one, error in broken.items()}, **tried}

    def _mine(self, waves: Sequence[Wave]) -> list[Cell]:
        """Return the cells that still have a job to do here."""
        busy = {job.cell for wave in waves for job in self._missing(wave)}
        return [cell for cell in self.run.manifest.plan.cells if cell.id in busy]

    def _missing(self, wave: Wave) -> list[Job]:
        return [
            job
            for job in self.run.manifest.plan.jobs(wave)
            if (not self.cells or job.cell in self.cells) and not self.run.done(job)
        ]

    def _prepare(self, cells: Sequence[Cell], capabilities: Capabilities) -> dict[str, Cell]:
        """Return the cells that are ready, by id.

        A plan made for another engine may hold cells that this one cannot run.
        """
        refused = {cell.id: reason for cell in cells if (reason := capabilities.refusal(cell))}
        able = [cell for cell in cells if cell.id not in refused]
        try:
            results = self.engine.prepare(able, self.watcher.preparing)
        except KeyboardInterrupt:
            raise self._interrupted() from None
        for cell_id, reason in refused.items():
            results[cell_id] = Prepared(cell_id=cell_id, reference="", error=reason)
        self._refuse_other_images(results)
        self.run.save_prepared(results)
        for cell_id, result in results.items():
            self.watcher.prepared(cell_id, result)
        return {cell.id: cell for cell in able if not results[cell.id].error}

    def _refuse_other_images(self, results: dict[str, Prepared]) -> None:
        """Refuse to finish a cell on another image than the one that it began on."""
        before = self.run.prepared()
        for cell_id, result in results.items():
            old = before.get(cell_id)
            began = (self.run.path / "records" / cell_id).is_dir()
            if old and began and not result.error and old.reference != result.reference:
                raise RecordError(
                    f"{cell_id} began on {old.reference} and would go on on {result.reference}",
                    hint="its pins, Dockerfile or engine changed since: start a new run",
                )

    def _wave(
        self,
        wave: Wave,
        ready: dict[str, Cell],
        capabilities: Capabilities,
        cancel: threading.Event,
    ) -> None:
        jobs = [
            job
            for job in self._missing(wave)
            if job.cell in ready and (job.artifact is None or self._exported(job))
        ]
        self._jobs(jobs, ready, capabilities, cancel)
        while strayed := self._strayed(jobs):
            for job in strayed:
                self.run.set_aside(job)
            self._jobs(strayed, ready, capabilities, cancel, again=True)

    def _jobs(
        self,
        jobs: Sequence[Job],
        ready: dict[str, Cell],
        capabilities: Capabilities,
        cancel: threading.Event,
        again: bool = False,
    ) -> None:
        self.watcher.planned(jobs, again)
        for job in jobs:
            record = self.perform(job, ready[job.cell], capabilities, cancel)
            if record.status == "start-failed":  # the engine's hiccup, more often than not
                record = self.perform(job, ready[job.cell], capabilities, cancel)
            self.run.save(job, record)
            self.watcher.ended(job, record)
            if record.status == "engine-lost":
                self._wait_for_engine()

    def _strayed(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the native jobs that a disturbed machine touched and that may be run again."""
        emulated = self.run.manifest.plan.emulated
        taken: dict[str, dict[str, canaries.Rates]] = {}
        for job in jobs:
            if job.cell not in emulated and (found := canaries.rates(self.run.record(job))):
                taken.setdefault(job.cell, {})[job.id] = found
        strayed = {one for cell in taken.values() for one in canaries.strays(cell)}
        return [job for job in jobs if job.id in strayed and self.run.times_aside(job) < MOST_AGAIN]

    def _exported(self, job: Job) -> bool:
        return job.artifact is not None and self.run.artifact(job.artifact).is_dir()

    def perform(
        self, job: Job, cell: Cell, capabilities: Capabilities, cancel: threading.Event
    ) -> JobRecord:
        """Run one job of a cell that is ready, on an engine that is open; return its record.

        Raises Interrupted when *cancel* was set.
        """
        emulated = cell.architecture not in capabilities.native
        task_of = TaskMaker(run=self.run, capabilities=capabilities, emulated=emulated)
        with self.run.scratch(job) as control:
            task = task_of(job, cell, control)
            with locks.alone(task.limits.cpus, cancel, self.watcher.waiting):
                self.watcher.started(job)
                before = energy.counters()
                ended = self.engine.run(task, cancel)
                joules = energy.spent(before, energy.counters())
            if ended.ending == "cancelled":
                raise self._interrupted()
            write_text(self.run.log(job), ended.log)
            output, status, cause = conclude(job, control, ended)
            agreement, found = None, Evidence()
            if output:
                try:
                    found = evidence.gather(self.run, job, output, control)
                except arrays.Unreadable as error:
                    status, cause = "torn", f"what it left cannot be used: {error}"
            if output and "deploy" in job.phases:
                try:
                    exports.keep(self.run, job, output, control)
                except arrays.Unreadable as error:
                    status, cause = "bad-artifact", f"what it exported is not whole: {error}"
                exported = {one.format for one in output.artifacts}
                if status == "ok" and exported != set(cell.exports):
                    status, cause = "bad-artifact", f"it exported {', '.join(sorted(exported))}"
            if output and status == "ok" and INSPECT in job.phases:
                try:
                    exports.keep_import(self.run, job, output, control)
                except arrays.Unreadable as error:
                    status, cause = "bad-artifact", str(error)
            if job.artifact is not None and status == "ok":
                answered = output.infer() if output else None
                names = answered.outputs if answered else []
                agreement = exports.agreement(self.run.artifact(job.artifact), control, names)
        return JobRecord(
            run=self.run.id,
            job=job.id,
            wave=job.wave,
            cell=job.cell,
            subject=job.subject,
            workload=job.workload,
            round=job.round,
            engine=self.engine.name,
            emulated=emulated,
            status=status,
            cause=cause,
            wall_s=ended.wall_s,
            started_at=ended.started_at,
            tree_bytes=ended.tree_bytes,
            energy_j=joules,
            output=output,
            agreement=agreement,
            **vars(found),
        )

    def _wait_for_engine(self) -> None:
        try:
            self.engine.capabilities()
        except EngineError as error:
            raise EngineError(
                f"the engine went away: {error.message}",
                hint=f"start it again, then: {self._going_on()}",
            ) from None

    def _interrupted(self) -> Interrupted:
        return Interrupted(
            "interrupted; what was done is kept",
            hint=f"go on with: {self._going_on()}",
        )

    def _going_on(self) -> str:
        """Return the command that finishes the run, wherever it is."""
        path = self.run.path.resolve()
        return f"nox -s matrix -- --resume {path.name} --runs {shlex.quote(str(path.parent))}"


@contextlib.contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Turn SIGINT and SIGTERM into an event, so that a job ends in order; put them back after."""
    cancel = threading.Event()

    def set_it(number: int, frame: FrameType | None) -> None:
        del number, frame
        cancel.set()

    before = {number: signal.signal(number, set_it) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield cancel
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def make_inputs(run: Run) -> None:
    """Make the data, weights, orders and gold losses of a run's workloads that are missing."""
    matrix, plan = run.manifest.matrix, run.manifest.plan
    for name in plan.workloads:
        inputs.make(run.inputs, name, matrix.workloads[name], seed=plan.seed, phases=plan.phases)
