"""Sites: where the sessions of a run are served. A site is an engine that is open, with its lanes.

This machine is one; each machine of a fleet is another.
"""

from __future__ import annotations

import functools
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from deepmatrix.errors import EngineError
from deepmatrix.execution.attempts import Attempt, Attempts
from deepmatrix.execution.collecting import collect
from deepmatrix.execution.interrupting import how_to_go_on
from deepmatrix.execution.preparing import Preparation
from deepmatrix.execution.reuse.reusing import Reuse
from deepmatrix.execution.sessions.lanes import Lane, run_together, work_off
from deepmatrix.execution.sessions.schedule import Schedule, Stage, Suits
from deepmatrix.execution.sessions.splitting import Session
from deepmatrix.execution.watching import Watcher
from deepmatrix.planning.cells import Cell
from deepmatrix.planning.plan import Job
from deepmatrix.store.records import UNDONE, JobRecord
from deepmatrix.store.runs import Run

#: How a job ends for a reason of the engine's that may have passed.
DISTURBED: frozenset[str] = frozenset({"start-failed", "engine-lost"})

#: How it ends where it could not be started, which another machine may do: the disk is full there.
UNSTARTED: frozenset[str] = frozenset({"start-failed", "no-device"})

#: So many processes in a row may be lost with the engine of a site before it is put aside; and of
#: a job in all, on whichever site.
MOST_LOSSES: Final = 3


class _LostProcess(Exception):
    """A process was lost with its engine, or never started, at one of several sites.

    Its record does not count. *returns*: how often the engine had come back when it began.
    """

    def __init__(self, job: Job, record: JobRecord, returns: int) -> None:
        super().__init__(record.cause)
        self.job, self.record, self.returns = job, record, returns


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Saves the records that count, from all sites of a run.

    *seconds* counts what each cell took so far. *earlier*: by job, the noisy record of which its
    retry keeps what is not timed. *losses* counts how often each job's process was lost.
    *unstarted*: by job, the sites where it could not be started, and why: once it is started at
    another, they are to blame.
    """

    run: Run
    watcher: Watcher
    reuse: Reuse
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    earlier: dict[str, JobRecord] = field(default_factory=dict)
    losses: Counter[str] = field(default_factory=Counter)
    unstarted: dict[str, list[tuple[Site, str]]] = field(default_factory=lambda: defaultdict(list))

    def save(self, job: Job, record: JobRecord) -> None:
        """Save the record of a job; where the job was in doubt, it is run alone by now."""
        if doubt := self.doubt(job):
            record = record.confirming(doubt)
        if earlier := self.earlier.pop(job.id, None):
            record = record.completed(earlier)
        record = record.changed(anew=self.reuse.reasons.get(job.id, ""))
        self.run.save(job, record)
        self.seconds[job.cell] += record.wall_s
        self.watcher.ended(job, record)
        for site, cause in self.unstarted.pop(job.id, ()):
            if record.status not in UNDONE:
                site.count_loss(cause)

    def doubt(self, job: Job) -> JobRecord | None:
        """Return the record of a job that is to be confirmed, if it has one."""
        earlier = self.run.record(job) if self.run.record_path(job).is_file() else None
        return earlier if earlier and earlier.unconfirmed else None


@dataclass(frozen=True, kw_only=True)
class Site:
    """An engine that is open; *ready* has the cells that can be used there, by id.

    *measures*: those of them whose times count there. One of *several* gives back what is lost with
    its engine, for the others: *lost* has the ids of those jobs, *losses* the causes of the last
    ones, *returned* those after which the engine came back.
    """

    attempts: Attempts
    preparation: Preparation
    ready: dict[str, Cell]
    ledger: Ledger
    measures: set[str] = field(default_factory=set)
    several: bool = False
    lost: set[str] = field(default_factory=set)
    losses: list[str] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def run(self) -> Run:
        """The run that is open."""
        return self.attempts.run

    @property
    def aside(self) -> list[str]:
        """Why it gets nothing more to do, nothing while it does."""
        return self.preparation.aside

    def enter(self, schedule: Schedule) -> Callable[[], None]:
        """Return its work: to serve what it can of a schedule. Others wait for it from now on.

        Where there are lanes to spare, what is only checked is served beside all that is timed.
        What of it is left then has all lanes.
        """
        if not (self.measures and (spare := self.attempts.spare_lanes)):
            return schedule.enter(self.suits, self._serve_stage)
        works = [self._enter_alone(schedule), self._enter_beside(schedule, spare)]

        def work_off() -> None:
            run_together(works, self.attempts.cancel)
            schedule.enter(self.suits, self._serve_stage)()

        return work_off

    def _enter_alone(self, schedule: Schedule) -> Callable[[], None]:
        """Return its work for all that is timed, then what is only checked, on the freed lanes."""
        timed, freed = [self.attempts.timed_lane], self.attempts.freed_lanes
        serve = functools.partial(self._serve_on, lanes=timed, suits=self._suits_alone)
        serve_timed = schedule.enter(self._suits_alone, serve, only_timed=True)

        def work_off() -> None:
            serve_timed()
            self._enter_beside(schedule, freed)()

        return work_off

    def _enter_beside(self, schedule: Schedule, lanes: Sequence[Lane]) -> Callable[[], None]:
        """Return its work for what is only checked, on some lanes, while others are in use."""
        serve = functools.partial(self._serve_on, lanes=lanes, suits=self._suits_beside)
        return schedule.enter(self._suits_beside, serve)

    def _serve_stage(self, stage: Stage) -> None:
        """Serve a stage: what may run side by side, then one session after another."""
        self._serve_on(stage, self.attempts.checked_lanes, self._suits_beside)
        self._serve_on(stage, [self.attempts.timed_lane], self._suits_alone)

    def _serve_on(self, stage: Stage, lanes: Sequence[Lane], suits: Suits) -> None:
        """Serve the sessions of a stage that suit, on some lanes."""

        def serve(session: Session, lane: Lane) -> None:
            self._or_give_back(session, stage, lane)

        work_off(stage.sessions_for(suits), lanes, serve, self.attempts.cancel)

    def perform(self, job: Job, lane: Lane | None = None) -> JobRecord:
        """Run one job of the plan in a process of its own; return its record.

        Raises:
            Cancelled: the user interrupted it.
        """
        records: list[JobRecord] = []
        lane = lane or self.attempts.timed_lane
        self._serve_process([job], lane, lambda _, record: records.append(record))
        return records[0]

    def suits(self, session: Session) -> bool:
        """Return whether a session can be served there now."""
        cells = self.measures if session.is_timed else self.ready
        is_new = self.lost.isdisjoint(job.id for job in session.jobs)
        return not self.aside and session.cell in cells and is_new

    def _suits_alone(self, session: Session) -> bool:
        return session.is_alone and self.suits(session)

    def _suits_beside(self, session: Session) -> bool:
        return not session.is_alone and self.suits(session)

    def _or_give_back(self, session: Session, stage: Stage, lane: Lane) -> None:
        """Serve a session; give jobs back that are to be repeated with all of the memory.

        Where a process is lost, those that have no record that counts are given back, too: what is
        in doubt has to be confirmed alone, and what was lost may be the reason itself.
        """
        postponed: list[Job] = []
        try:
            self._serve(session, lane, postponed)
        except _LostProcess as lost:
            self.lost.add(lost.job.id)
            is_unstarted = lost.record.status in UNSTARTED
            if is_unstarted:
                self.ledger.unstarted[lost.job.id].append((self, lost.record.cause))
            self.ledger.losses[lost.job.id] += 1
            is_last = self.ledger.losses[lost.job.id] >= MOST_LOSSES
            if is_last:
                self.ledger.save(lost.job, lost.record)
            else:
                self.run.save(lost.job, lost.record)
            unserved = [
                job
                for job in session.jobs
                if job.id != lost.job.id and job not in postponed and not self.run.is_done(job)
            ]
            doubted = [job for job in unserved if self.ledger.doubt(job)]
            together = tuple(job for job in unserved if job not in doubted)
            alone = [(job,) for job in (*doubted, *([] if is_last else [lost.job]))]
            for jobs in [*([together] if together else []), *alone]:
                stage.give_back(replace(session, jobs=jobs))
            if not is_unstarted:
                self._look_after(lost)
        if postponed:
            repeated = Session(jobs=tuple(postponed), is_timed=False, is_repeated=True)
            stage.give_back(repeated)

    def _look_after(self, lost: _LostProcess) -> None:
        """Wait for an engine that lost a process; put the site aside where it is not back.

        What it loses at once, in several lanes, counts as one loss.
        """
        with self._lock:
            if self.aside or lost.returns < len(self.returned):
                return
            try:
                self.attempts.engine.capabilities()
                self.returned.append(lost.record.cause)
            except EngineError as error:
                self.preparation.put_aside(error.message)
        self.count_loss(lost.record.cause)

    def count_loss(self, cause: str) -> None:
        """Count a process that was lost there; after so many in a row, put the site aside."""
        with self._lock:
            self.losses.append(cause)
            if len(self.losses) >= MOST_LOSSES and not self.aside:
                reason = f"{MOST_LOSSES} processes in a row were lost: {cause}"
                self.preparation.put_aside(reason)

    def _serve(self, session: Session, lane: Lane, postponed: list[Job]) -> None:
        """Serve the jobs of a session, in as many processes as that takes.

        What fails in a share of the memory is added to *postponed*.
        """
        if session.is_repeated:
            self._repeat(session.jobs, lane, postponed)
            return
        pending: Sequence[Job] = session.jobs
        while pending:
            pending = pending[self._serve_some(pending, lane, postponed) :]

    def _serve_some(self, jobs: Sequence[Job], lane: Lane, postponed: list[Job]) -> int:
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
                self._save_or_postpone(job, record, lane, postponed)

        count = self._serve_process(jobs, lane, save)
        self._repeat(repeated, lane, postponed)
        return count

    def _repeat(self, jobs: Sequence[Job], lane: Lane, postponed: list[Job]) -> None:
        """Run jobs of one process again, each alone; after a start that failed again no other."""
        cannot_start = False
        for job in jobs:
            record = self.run.record(job)
            if record.status == "engine-lost":
                self._check_engine()
            if not (cannot_start and record.start_failed):
                record = self.perform(job, lane)
                cannot_start = record.start_failed
            self._save_or_postpone(job, record, lane, postponed)

    def _save_or_postpone(
        self, job: Job, record: JobRecord, lane: Lane, postponed: list[Job]
    ) -> None:
        """Save a record, or one that does not count: memory may have been short in this lane."""
        has_share = lane.memory_bytes < self.attempts.timed_lane.memory_bytes
        if has_share and record.is_doubtful and record.status not in DISTURBED:
            self.run.save(job, record.changed(unconfirmed=True))
            postponed.append(job)
        else:
            self._count(job, record)

    def _count(self, job: Job, record: JobRecord) -> None:
        """Save a record that counts. Raises EngineError where the engine is not back."""
        if self.several and record.status in UNSTARTED:
            raise _LostProcess(job, record, len(self.returned))
        self.ledger.save(job, record)
        if record.status == "engine-lost":
            self._check_engine()

    def _serve_process(
        self, jobs: Sequence[Job], lane: Lane, save: Callable[[Job, JobRecord], None]
    ) -> int:
        """Serve jobs in one process; return how many of them it disposed of."""
        cell, engine = self.ready[jobs[0].cell], self.attempts.engine.name
        returns = len(self.returned)

        def collect_job(job: Job, attempt: Attempt) -> None:
            record = collect(self.run, engine, job, cell, attempt)
            if self.several and record.status == "engine-lost":
                raise _LostProcess(job, record, returns)
            if record.status not in UNDONE:
                self.losses.clear()
            save(job, record)

        return self.attempts.serve(jobs, cell, collect_job, lane)

    def _check_engine(self) -> None:
        """Raise EngineError, with the command to go on, unless the engine answers."""
        try:
            self.attempts.engine.capabilities()
        except EngineError as error:
            raise EngineError(
                f"the engine went away: {error.message}",
                hint=f"start it, then {how_to_go_on(self.run)}",
            ) from None
