"""Running a plan: every job of both waves, each to a record, whatever happens to it."""

from __future__ import annotations

import contextlib
import shlex
import signal
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType

from deepmatrix.engines import Engine, Prepared
from deepmatrix.errors import EngineError, Interrupted, RecordError
from deepmatrix.execution.attempts import Attempts, Cancelled
from deepmatrix.execution.collecting import collect
from deepmatrix.execution.watching import Watcher
from deepmatrix.judging import noise
from deepmatrix.planning.plan import WAVES, Capabilities, Cell, Job, Wave
from deepmatrix.store.records import JobRecord
from deepmatrix.store.runs import Run
from deepmatrix.workloads import inputs

#: How often a job on a disturbed machine is retried.
MOST_RETRIES = 2


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs what is missing of a run on one engine.

    *cells* narrows it to some cell ids (one CI job a cell); all the others count as elsewhere.
    """

    run: Run
    engine: Engine
    watcher: Watcher
    cells: Collection[str] = ()

    def execute(self, waves: Sequence[Wave] = WAVES) -> None:
        """Make the cells ready, run the waves in their order, keep every record.

        Raises:
            EngineError: the engine went away and did not come back.
            Interrupted: Ctrl-C, or SIGTERM; what was done is kept.
        """
        with self.open(self.pending_cells(waves)) as opened:
            for wave in waves:
                opened.run_wave(wave)

    @contextlib.contextmanager
    def open(self, cells: Sequence[Cell]) -> Iterator[OpenRun]:
        """Lock the run, make *cells* ready, open the engine; close it in the end.

        Raises:
            EngineError: the engine went away.
            Interrupted: Ctrl-C, or SIGTERM, at any time before the engine is closed again.
        """
        with self.run.locked():
            self.run.sweep()
            capabilities = self.engine.capabilities()
            self.run.save_engine({"engine": self.engine.name, **self.engine.describe()})
            make_inputs(self.run)
            ready = self._prepare(cells, capabilities)
            with _interruptible() as cancel:
                attempts = Attempts(
                    run=self.run,
                    engine=self.engine,
                    capabilities=capabilities,
                    cancel=cancel,
                    watcher=self.watcher,
                )
                try:
                    self.engine.open(self.run.id)
                    yield OpenRun(runner=self, attempts=attempts, ready=ready)
                except Cancelled:
                    raise self._interrupted() from None
                finally:
                    self.engine.close()

    def pending_cells(self, waves: Sequence[Wave]) -> list[Cell]:
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


@dataclass(frozen=True, kw_only=True)
class OpenRun:
    """A run whose engine is open; *ready* has the cells that can be used, by id."""

    runner: Runner
    attempts: Attempts
    ready: dict[str, Cell]

    def prepare(self, cell: Cell) -> None:
        """Make one more cell ready, if it can be."""
        if cell.id not in self.ready:
            self.ready.update(self.runner._prepare([cell], self.attempts.capabilities))

    def run_wave(self, wave: Wave) -> None:
        """Run what is missing of a wave, and again what the machine disturbed."""
        jobs = [
            job
            for job in self.runner._missing(wave)
            if job.cell in self.ready and (job.artifact is None or self._exported(job))
        ]
        self._run_jobs(jobs)
        while noisy := self._noisy(jobs):
            for job in noisy:
                self.run.keep_for_retry(job)
            self._run_jobs(noisy, again=True)

    def perform(self, job: Job) -> JobRecord:
        """Run one job of the plan; return its record.

        Raises:
            Cancelled: the user interrupted it.
        """
        cell = self.ready[job.cell]
        with self.attempts.planned(job, cell) as attempt:
            return collect(self.run, self.attempts.engine.name, job, cell, attempt)

    @property
    def run(self) -> Run:
        """The run that is open."""
        return self.runner.run

    def _run_jobs(self, jobs: Sequence[Job], again: bool = False) -> None:
        watcher = self.runner.watcher
        watcher.planned(jobs, again)
        for job in jobs:
            record = self.perform(job)
            if record.status == "start-failed":  # the engine's hiccup, more often than not
                record = self.perform(job)
            self.run.save(job, record)
            watcher.ended(job, record)
            if record.status == "engine-lost":
                self.runner._wait_for_engine()

    def _noisy(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the native jobs that a disturbed machine touched and that may be retried."""
        emulated = self.run.manifest.plan.emulated
        by_cell: dict[str, dict[str, noise.Rates]] = {}
        for job in jobs:
            if job.cell not in emulated and (rates := noise.rates(self.run.record(job))):
                by_cell.setdefault(job.cell, {})[job.id] = rates
        noisy = {job_id for rates in by_cell.values() for job_id in noise.noisy_jobs(rates)}
        return [job for job in jobs if job.id in noisy and self.run.retry_count(job) < MOST_RETRIES]

    def _exported(self, job: Job) -> bool:
        return job.artifact is not None and self.run.artifact(job.artifact).is_dir()


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
