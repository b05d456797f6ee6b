"""Running a plan: every job of both waves, each to a record, whatever happens to it."""

from __future__ import annotations

import contextlib
import itertools
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from deepmatrix.engines import Engine
from deepmatrix.errors import EngineError
from deepmatrix.execution.attempts import Attempt, Attempts, Cancelled
from deepmatrix.execution.collecting import collect
from deepmatrix.execution.interrupting import how_to_go_on, interrupted
from deepmatrix.execution.preparing import Preparation
from deepmatrix.execution.reuse.reusing import Reuse, open_earlier
from deepmatrix.execution.sessions.lanes import Lane, work_off
from deepmatrix.execution.sessions.splitting import Session, split, stages
from deepmatrix.execution.watching import Watcher
from deepmatrix.judging import noise
from deepmatrix.machine.signals import cancel_on_signal, interrupt_on_signal
from deepmatrix.planning.cells import Cell
from deepmatrix.planning.plan import WAVES, Job, Wave
from deepmatrix.store import artifacts
from deepmatrix.store.records import JobRecord
from deepmatrix.store.runs import Run
from deepmatrix.workloads import inputs

#: How a job ends for a reason of the engine's that may have passed.
DISTURBED: frozenset[str] = frozenset({"start-failed", "engine-lost"})


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs the missing jobs of a run on one engine.

    *cells* narrows it to some cell ids (one CI job a cell); the others run elsewhere.
    """

    run: Run
    engine: Engine
    watcher: Watcher
    cells: Collection[str] = ()

    def execute(self, waves: Sequence[Wave] = WAVES) -> None:
        """Make the cells ready, run the waves in their order, save every record.

        Raises:
            EngineError: the engine went away and did not come back.
            Interrupted: Ctrl-C, or SIGTERM; the records of finished jobs are saved.
        """
        with self.open(self.pending_cells(waves)) as opened:
            opened.run_waves(waves)

    @contextlib.contextmanager
    def open(self, cells: Sequence[Cell]) -> Iterator[OpenRun]:
        """Lock the run, make *cells* ready, open the engine; close it in the end.

        Raises:
            EngineError: the engine went away.
            Interrupted: Ctrl-C, or SIGTERM, at any time before the engine is closed again.
        """
        run, engine, watcher = self.run, self.engine, self.watcher
        with run.locked():
            run.sweep()
            capabilities = engine.capabilities()
            run.save_engine({"engine": engine.name, **engine.describe()})
            make_inputs(run)
            preparation = Preparation(
                run=run, engine=engine, capabilities=capabilities, watcher=watcher
            )
            ready = preparation.prepare(cells)
            self._open_engine()
            with cancel_on_signal() as cancel:
                attempts = Attempts(
                    run=run,
                    engine=engine,
                    capabilities=capabilities,
                    cancel=cancel,
                    watcher=watcher,
                )
                try:
                    yield OpenRun(
                        attempts=attempts,
                        preparation=preparation,
                        reuse=_reuse(attempts),
                        cells=self.cells,
                        ready=ready,
                    )
                    if cancel.is_set():  # after the last job
                        raise Cancelled
                except Cancelled as cancelled:
                    raise interrupted(run, cancelled.leftovers) from None
                finally:
                    engine.close()

    def _open_engine(self) -> None:
        try:
            self.engine.open(self.run.id)
        except BaseException as error:
            self.engine.close()
            if isinstance(error, KeyboardInterrupt):
                raise interrupted(self.run) from None
            raise

    def pending_cells(self, waves: Sequence[Wave]) -> list[Cell]:
        """Return the cells that still have a job to do here."""
        pending = {job.cell for wave in waves for job in missing_jobs(self.run, wave, self.cells)}
        return [cell for cell in self.run.manifest.plan.cells if cell.id in pending]


@dataclass(frozen=True, kw_only=True)
class OpenRun:
    """A run whose engine is open; *ready* has the cells that can be used, by id.

    *seconds* counts what each of them took so far. *postponed*: jobs that failed in a share of the
    memory, to be tried with all of it. *earlier*: by job, the noisy record of which its retry keeps
    what is not timed.
    """

    attempts: Attempts
    preparation: Preparation
    reuse: Reuse
    cells: Collection[str]
    ready: dict[str, Cell]
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    postponed: list[Job] = field(default_factory=list)
    earlier: dict[str, JobRecord] = field(default_factory=dict)

    @property
    def run(self) -> Run:
        """The run that is open."""
        return self.attempts.run

    def prepare(self, cells: Sequence[Cell]) -> None:
        """Make more cells ready, where they can be. Raises Interrupted."""
        if missing := [cell for cell in cells if cell.id not in self.ready]:
            with interrupt_on_signal():
                self.ready.update(self.preparation.prepare(missing))

    def run_waves(self, waves: Sequence[Wave]) -> None:
        """Run what is missing of some waves, in their order."""
        for wave in waves:
            self.run_wave(wave)

    def run_wave(self, wave: Wave) -> None:
        """Take over or run the missing jobs of a wave, then retry the noisy ones."""
        is_stored = artifacts.stored_of(self.run)
        jobs = self._take_over(
            [
                job
                for job in missing_jobs(self.run, wave, self.cells)
                if job.cell in self.ready and (job.artifact is None or is_stored(job.artifact))
            ]
        )
        self._run_jobs(jobs, retry=False)
        while noisy := self._noisy(jobs):
            self._run_jobs([self._retried(job) for job in noisy], retry=True)

    def _retried(self, job: Job) -> Job:
        """Keep the record of a noisy job; return what to do again: all of what had failed."""
        record = self.run.record(job)
        self.run.keep_for_retry(job)
        if record.status != "ok":
            return job
        self.earlier[job.id] = record
        return job.timed_part

    def _take_over(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Take over what the run that is reused has of some jobs; return the others."""
        reused = self.run.manifest.reuse
        if not reused or not jobs:
            return jobs
        others = []
        for job in jobs:
            if self.attempts.cancel.is_set():
                raise Cancelled
            if not self.reuse.take(job, self.ready[job.cell]):
                others.append(job)
        reasons = self.reuse.counted(others)
        self.attempts.watcher.reused(reused, len(jobs) - len(others), reasons)
        return others

    def perform(self, job: Job) -> JobRecord:
        """Run one job of the plan in a process of its own; return its record.

        Raises:
            Cancelled: the user interrupted it.
        """
        return self._perform(job, self.attempts.timed_lane)

    def _perform(self, job: Job, lane: Lane) -> JobRecord:
        records: list[JobRecord] = []
        self._serve_process([job], lane, lambda _, record: records.append(record))
        return records[0]

    def _run_jobs(self, jobs: Sequence[Job], *, retry: bool) -> None:
        self.attempts.watcher.planned(jobs, retry)
        plan, attempts = self.run.manifest.plan, self.attempts
        lanes = attempts.checked_lanes
        doubted = {job.id for job in jobs if self._doubt(job)}
        for stage in stages(plan, split(plan, jobs, len(lanes), doubted), self.seconds):
            usable = [attempts.timed_lane] if stage[0].is_timed else lanes
            work_off(stage, usable, self._serve, attempts.cancel)
            self._repeat_postponed()

    def _repeat_postponed(self) -> None:
        """Run again, alone and with all of the memory, what failed in a share of it."""
        jobs = sorted(self.postponed, key=lambda job: job.cell)
        self.postponed.clear()
        for _, of_one_cell in itertools.groupby(jobs, key=lambda job: job.cell):
            self._repeat(list(of_one_cell), self.attempts.timed_lane)

    def _serve(self, session: Session, lane: Lane) -> None:
        """Serve the jobs of a session, in as many processes as that takes."""
        pending: Sequence[Job] = session.jobs
        while pending:
            pending = pending[self._serve_some(pending, lane) :]

    def _serve_some(self, jobs: Sequence[Job], lane: Lane) -> int:
        """Serve jobs in one process, and save their records; return how many it disposed of.

        What failed after others is tried alone, for they may be the reason. A process that did not
        start is tried again: more often than not that is the engine's hiccup. So is one that was
        lost with its engine, if the engine is back. Until then a record says that it does not
        count, for the host may be killed meanwhile. A start that fails is confirmed once for all.
        What fails in a share of the memory is repeated later, with all of it.
        """
        repeated: list[Job] = []

        def save(job: Job, record: JobRecord) -> None:
            is_disturbed = record.status in DISTURBED
            is_one_of_several = job is not jobs[0] or (record.start_failed and len(jobs) > 1)
            if is_disturbed or (is_one_of_several and record.is_doubtful):
                self.run.save(job, record.changed(unconfirmed=not is_disturbed))
                repeated.append(job)
            else:
                self._save_or_postpone(job, record, lane)

        count = self._serve_process(jobs, lane, save)
        self._repeat(repeated, lane)
        return count

    def _repeat(self, jobs: Sequence[Job], lane: Lane) -> None:
        """Run jobs of one process again, each alone; after a start that failed again no other."""
        cannot_start = False
        for job in jobs:
            record = self.run.record(job)
            if record.status == "engine-lost":
                self._check_engine()
            if not (cannot_start and record.start_failed):
                record = self._perform(job, lane)
                cannot_start = record.start_failed
            self._save_or_postpone(job, record, lane)

    def _save_or_postpone(self, job: Job, record: JobRecord, lane: Lane) -> None:
        """Save a record, or one that does not count: memory may have been short in this lane."""
        has_share = lane.memory_bytes < self.attempts.timed_lane.memory_bytes
        if has_share and record.is_doubtful and record.status not in DISTURBED:
            self.run.save(job, record.changed(unconfirmed=True))
            self.postponed.append(job)
        else:
            self._save(job, record)

    def _doubt(self, job: Job) -> JobRecord | None:
        """Return the record of a job that is to be confirmed, if it has one."""
        earlier = self.run.record(job) if self.run.record_path(job).is_file() else None
        return earlier if earlier and earlier.unconfirmed else None

    def _serve_process(
        self, jobs: Sequence[Job], lane: Lane, save: Callable[[Job, JobRecord], None]
    ) -> int:
        """Serve jobs in one process; return how many of them it disposed of."""
        cell, engine = self.ready[jobs[0].cell], self.attempts.engine.name

        def collect_job(job: Job, attempt: Attempt) -> None:
            save(job, collect(self.run, engine, job, cell, attempt))

        return self.attempts.serve(jobs, cell, collect_job, lane)

    def _save(self, job: Job, record: JobRecord) -> None:
        """Save the record of a job; where the job was in doubt, it is run alone by now."""
        if doubt := self._doubt(job):
            record = record.confirming(doubt)
        if earlier := self.earlier.pop(job.id, None):
            record = record.completed(earlier)
        record = record.changed(anew=self.reuse.reasons.get(job.id, ""))
        self.run.save(job, record)
        self.seconds[job.cell] += record.wall_s
        self.attempts.watcher.ended(job, record)
        if record.status == "engine-lost":
            self._check_engine()

    def _check_engine(self) -> None:
        """Raise EngineError, with the command to go on, unless the engine answers."""
        try:
            self.attempts.engine.capabilities()
        except EngineError as error:
            raise EngineError(
                f"the engine went away: {error.message}",
                hint=f"start it, then {how_to_go_on(self.run)}",
            ) from None

    def _noisy(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the native jobs that a busy machine slowed down and that may be retried."""
        plan = self.run.manifest.plan
        by_cell: dict[str, dict[str, noise.Rates]] = {}
        for job in jobs:
            if plan.is_timed(job) and (rates := noise.rates(self.run.record(job))):
                by_cell.setdefault(job.cell, {})[job.id] = rates
        noisy = {job_id for rates in by_cell.values() for job_id in noise.noisy_jobs(rates)}
        return [job for job in jobs if job.id in noisy and self.run.retry_count(job) < plan.retries]


def _reuse(attempts: Attempts) -> Reuse:
    """Return what a run may take over from the one that it reuses, if it reuses any."""
    earlier, problem = open_earlier(attempts.run)
    return Reuse(
        run=attempts.run,
        earlier=earlier,
        problem=problem,
        around=attempts.surroundings,
        all_parts=attempts.provenance,
    )


def missing_jobs(run: Run, wave: Wave, cells: Collection[str]) -> list[Job]:
    """Return the jobs of a wave that have no record, of all cells or of those in *cells*."""
    return [
        job
        for job in run.manifest.plan.jobs(wave)
        if (not cells or job.cell in cells) and not run.is_done(job)
    ]


def make_inputs(run: Run) -> None:
    """Make the data, weights, orders and gold losses of a run's workloads that are missing."""
    matrix, plan = run.manifest.matrix, run.manifest.plan
    for name in plan.workloads:
        inputs.write_missing(
            run.inputs,
            name,
            matrix.workloads[name],
            seed=plan.seed,
            phases=plan.phases,
            held_out=plan.held_out,
        )
