"""Running a plan: every job of both waves, each to a record, whatever happens to it."""

from __future__ import annotations

import contextlib
import threading
from collections import ChainMap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from deepmatrix.engines import Engine
from deepmatrix.errors import EngineError
from deepmatrix.execution.attempts import Attempts, Cancelled
from deepmatrix.execution.interrupting import how_to_go_on, interrupted
from deepmatrix.execution.preparing import Preparation, nothing_left, prepare, ready_elsewhere
from deepmatrix.execution.reuse.inputs_cache import make_inputs
from deepmatrix.execution.reuse.reusing import Reuse, open_earlier
from deepmatrix.execution.sessions.lanes import run_together
from deepmatrix.execution.sessions.placing import measured_on, measuring, moved
from deepmatrix.execution.sessions.schedule import Schedule
from deepmatrix.execution.sessions.splitting import Session, in_order, split
from deepmatrix.execution.sessions.staging import exported_by, plan_stages, source_of
from deepmatrix.execution.sites import Ledger, Site
from deepmatrix.execution.watching import Watcher
from deepmatrix.judging import noise
from deepmatrix.machine.signals import cancel_on_signal, interrupt_on_signal
from deepmatrix.planning.cells import Cell
from deepmatrix.planning.plan import WAVES, Job, Wave
from deepmatrix.store import artifacts
from deepmatrix.store.records import JobRecord
from deepmatrix.store.runs import Run


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs the missing jobs of a run on an engine, or on several: *others* are on other machines.

    *cells* narrows it to some cell ids (one CI job a cell); the others run elsewhere.
    """

    run: Run
    engine: Engine
    watcher: Watcher
    cells: Collection[str] = ()
    others: Sequence[Engine] = ()

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
        """Lock the run, make *cells* ready, open the engines; close them in the end.

        Raises:
            EngineError: the engine went away.
            Interrupted: Ctrl-C, or SIGTERM, at any time before the engine is closed again.
        """
        run, engines = self.run, [self.engine, *self.others]
        with run.locked(), contextlib.ExitStack() as closing:
            try:
                run.sweep()
                preparations = [self._preparation(engine) for engine in engines]
                make_inputs(run, self.watcher)
                ready = prepare(preparations, cells)
                for preparation in preparations:
                    closing.callback(preparation.engine.close)
                    self._open_engine(preparation)
                ready = ready_elsewhere(preparations, cells, ready)
            except KeyboardInterrupt:
                raise interrupted(run) from None
            with cancel_on_signal() as cancel:
                try:
                    sites = self._sites(preparations, ready, cancel)
                    share_measuring(run, [site for site in sites if not site.aside] or sites)
                    yield OpenRun(sites=sites, cells=self.cells)
                    if cancel.is_set():  # after the last job
                        raise Cancelled
                except Cancelled as cancelled:
                    raise interrupted(run, cancelled.leftovers) from None
                finally:
                    closing.close()

    def _preparation(self, engine: Engine) -> Preparation:
        preparation = Preparation(
            run=self.run, engine=engine, capabilities=engine.capabilities(), watcher=self.watcher
        )
        self.run.save_engine(preparation.facts)
        return preparation

    def _sites(
        self,
        preparations: Sequence[Preparation],
        ready: Sequence[dict[str, Cell]],
        cancel: threading.Event,
    ) -> list[Site]:
        attempts = [
            Attempts(
                run=self.run,
                engine=preparation.engine,
                capabilities=preparation.capabilities,
                cancel=cancel,
                watcher=self.watcher,
                prepared=preparation.prepared,
            )
            for preparation in preparations
        ]
        sites: list[Site] = []
        ledger = Ledger(run=self.run, watcher=self.watcher, reuse=self._reuse(sites))
        sites += [
            Site(
                attempts=tries,
                preparation=each,
                ready=ready_there,
                ledger=ledger,
                several=len(attempts) > 1,
            )
            for tries, each, ready_there in zip(attempts, preparations, ready, strict=True)
        ]
        return sites

    def _reuse(self, sites: Sequence[Site]) -> Reuse:
        """Return what the run may take over from the one that it reuses, if it reuses any.

        What is around a job is that of the site that would measure its cell.
        """
        earlier, problem = open_earlier(self.run)

        def at(cell: Cell) -> Attempts:
            there = (site for site in sites if cell.id in site.ready)
            return min(there, key=lambda site: cell.id not in site.measures).attempts

        return Reuse(
            run=self.run,
            earlier=earlier,
            problem=problem,
            around=lambda job, cell: at(cell).surroundings(job, cell),
            all_parts=lambda job, cell: at(cell).provenance(job, cell),
        )

    def _open_engine(self, preparation: Preparation) -> None:
        if preparation.aside:
            return
        try:
            preparation.engine.open(self.run.id)
        except EngineError as error:
            if not self.others:
                raise
            preparation.put_aside(error.message)

    def pending_cells(self, waves: Sequence[Wave]) -> list[Cell]:
        """Return the cells that still have a job to do here."""
        return pending_cells(self.run, waves, self.cells)


@dataclass(frozen=True, kw_only=True)
class OpenRun:
    """A run whose engines are open, each at a site; all sites have one ledger."""

    sites: Sequence[Site]
    cells: Collection[str]

    @property
    def run(self) -> Run:
        """The run that is open."""
        return self.sites[0].run

    @property
    def ledger(self) -> Ledger:
        """Where the records of all sites go."""
        return self.sites[0].ledger

    @property
    def attempts(self) -> Attempts:
        """What runs one-off jobs, where there is one site."""
        return self.sites[0].attempts

    @property
    def ready(self) -> Mapping[str, Cell]:
        """The cells that can be used somewhere, by id."""
        return ChainMap(*(site.ready for site in self.sites))

    def site_of(self, cell: str) -> Site:
        """Return the first site at which a cell is ready, one put aside only where no other is."""
        sites = [site for site in self.sites if cell in site.ready]
        return next((site for site in sites if not site.aside), sites[0])

    def perform(self, job: Job) -> JobRecord:
        """Run one job of the plan in a process of its own; return its record.

        Raises:
            Cancelled: the user interrupted it.
        """
        return self.site_of(job.cell).perform(job)

    def prepare(self, cells: Sequence[Cell]) -> None:
        """Make more cells ready, where they can be. Raises Interrupted."""
        if missing := [cell for cell in cells if cell.id not in self.ready]:
            with interrupt_on_signal():
                ready = prepare([site.preparation for site in self.sites], missing)
            for site, ready_there in zip(self.sites, ready, strict=True):
                site.ready.update(ready_there)
            share_measuring(self.run, [site for site in self.sites if not site.aside])

    def run_waves(self, waves: Sequence[Wave]) -> None:
        """Take over or run the missing jobs of some waves, then retry the noisy ones."""
        done = self._run_jobs(self._possible_jobs(waves), retry=False)
        while noisy := self._noisy(done):
            self._run_jobs([self._retried(job) for job in noisy], retry=True)

    def _possible_jobs(self, waves: Sequence[Wave]) -> list[Job]:
        """Return the missing jobs of cells that are ready.

        The artifact of a consumer is there, or a missing job of these waves produces it.
        """
        is_stored = artifacts.stored_of(self.run)
        missing = [
            job
            for wave in waves
            for job in missing_jobs(self.run, wave, self.cells)
            if job.cell in self.ready
        ]
        produced = exported_by(missing)
        return [
            job
            for job in missing
            if job.artifact is None or is_stored(job.artifact) or source_of(job) in produced
        ]

    def _retried(self, job: Job) -> Job:
        """Keep the record of a noisy job; return what to do again: all of what had failed."""
        record = self.run.record(job)
        self.run.keep_for_retry(job)
        if record.status != "ok":
            return job
        self.ledger.earlier[job.id] = record
        return job.timed_part

    def _run_jobs(self, jobs: Sequence[Job], *, retry: bool) -> list[Job]:
        """Run jobs, stage by stage; return those that this run did itself."""
        self.ledger.watcher.planned(jobs, retry)
        done: list[Job] = []

        def sessions_of(stage: Sequence[Job]) -> list[Session]:
            to_do = stage if retry else self._take_over(self._with_model(stage))
            done.extend(to_do)
            return self._sessions(to_do)

        schedule = Schedule(plan_stages(self.run.manifest.plan, jobs, sessions_of), self._cancel)
        sites = self.sites
        while sites:
            run_together([site.enter(schedule) for site in sites], self._cancel)
            if self._cancel.is_set():
                raise Cancelled
            sites = self._left_for(schedule.waiting())
        return done

    @property
    def _cancel(self) -> threading.Event:
        return self.attempts.cancel

    def _with_model(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the jobs of a stage without those whose artifact was not produced."""
        is_stored = artifacts.stored_of(self.run)
        have, lack = list[Job](), list[Job]()
        for job in jobs:
            (have if job.artifact is None or is_stored(job.artifact) else lack).append(job)
        if lack:
            self.ledger.watcher.without_model(lack)
        return have

    def _take_over(self, jobs: Sequence[Job]) -> list[Job]:
        """Take over what the run that is reused has of some jobs; return those to be done."""
        reused = self.run.manifest.reuse
        if not reused or not jobs:
            return list(jobs)
        to_do, taken = list[Job](), list[Job]()
        for job in jobs:
            if self._cancel.is_set():
                raise Cancelled
            is_taken = self.ledger.reuse.take(job, self.ready[job.cell])
            (taken if is_taken else to_do).append(job)
        self.ledger.watcher.reused(reused, taken, self.ledger.reuse.counted(to_do))
        return to_do

    def _sessions(self, jobs: Sequence[Job]) -> list[Session]:
        """Return the sessions of a stage's jobs, in their order."""
        plan, ledger = self.run.manifest.plan, self.ledger
        lane_count = sum(len(site.attempts.checked_lanes) for site in self.sites)
        doubted = {job.id for job in jobs if ledger.doubt(job)}
        return in_order(plan, split(plan, jobs, lane_count, doubted), ledger.seconds)

    def _left_for(self, sessions: Sequence[Session]) -> list[Site]:
        """Return the sites that are left for sessions that others gave back, none without any.

        Raises EngineError, with the command to go on, for a session that no site can serve.
        """
        if not sessions:
            return []
        sites = [site for site in self.sites if not site.aside]
        if sites:
            share_measuring(self.run, sites)
        for session in sessions:
            if not any(site.suits(session) for site in sites):
                for site in sites:  # what all have lost they may try again
                    site.lost.clear()
            if not any(site.suits(session) for site in sites):
                raise nothing_left(session.cell, [site.preparation for site in self.sites])
        return sites

    def _noisy(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the native jobs that a busy machine slowed down and that may be retried."""
        plan = self.run.manifest.plan
        by_cell: dict[tuple[str, Wave], dict[str, noise.Rates]] = {}
        for job in jobs:
            if plan.is_timed(job) and (rates := noise.rates(self.run.record(job))):
                by_cell.setdefault((job.cell, job.wave), {})[job.id] = rates
        noisy = {job_id for rates in by_cell.values() for job_id in noise.noisy_jobs(rates)}
        return [job for job in jobs if job.id in noisy and self.run.retry_count(job) < plan.retries]


def share_measuring(run: Run, sites: Sequence[Site]) -> None:
    """Tell each site of which cells the times count there: those that are compared, on one machine.

    Raises EngineError where they were measured on another one so far.
    """
    measured = {} if sites[0].attempts.engine.is_here else measured_on(run)
    ready = [site.ready for site in sites]
    machines = [site.attempts.machine for site in sites]
    if groups := moved(ready, machines, measured):
        raise EngineError(
            f"{', '.join('-'.join(group) for group in groups)}: measured on a machine that is away",
            hint=f"start its worker again, then {how_to_go_on(run)}; or begin a new run: times "
            "compare on one machine only",
        )
    able = [site.attempts.capabilities for site in sites]
    for site, cells in zip(sites, measuring(ready, able, machines, measured), strict=True):
        site.measures.clear()
        site.measures.update(cells)


def missing_jobs(run: Run, wave: Wave, cells: Collection[str]) -> list[Job]:
    """Return the jobs of a wave that have no record, of all cells or of those in *cells*."""
    return [
        job
        for job in run.manifest.plan.jobs(wave)
        if (not cells or job.cell in cells) and not run.is_done(job)
    ]


def pending_cells(run: Run, waves: Sequence[Wave], cells: Collection[str]) -> list[Cell]:
    """Return the cells that still have a job to do, of all or of those in *cells*."""
    pending = {job.cell for wave in waves for job in missing_jobs(run, wave, cells)}
    return [cell for cell in run.manifest.plan.cells if cell.id in pending]
