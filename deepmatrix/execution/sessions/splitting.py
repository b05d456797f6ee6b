"""Sessions: which jobs share a process, in which order, and which of them run side by side.

Timed work runs alone, on its own CPUs. What is only checked runs on all CPUs at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from deepmatrix.execution.sessions.balancing import LONGEST, lengths, longest_queue
from deepmatrix.planning.plan import Job, Plan


@dataclass(frozen=True, kw_only=True)
class Session:
    """A process of a cell that serves jobs of one wave and round, in their order.

    *is_timed*: their times count. *is_repeated*: they failed in a share of the memory; each gets
    all of it now, and a process of its own.
    """

    jobs: tuple[Job, ...]
    is_timed: bool
    is_repeated: bool = False

    @property
    def is_alone(self) -> bool:
        """Whether nothing else may have a part of its CPUs and memory."""
        return self.is_timed or self.is_repeated

    @property
    def cell(self) -> str:
        """Id of the cell."""
        return self.jobs[0].cell


def split(
    plan: Plan, jobs: Sequence[Job], lanes: int = 1, doubted: Collection[str] = ()
) -> list[Session]:
    """Return the sessions of some jobs of one wave, in the order of the jobs.

    Each session starts its cell anew. So what is only checked is split for a number of *lanes* just
    where a cell would hold them up. The jobs whose ids are *doubted* have a process each.
    """
    grouped: dict[tuple[object, ...], list[Job]] = {}
    for job in jobs:
        alone = (job.id,) if job.id in doubted or plan.is_isolated(job) else ()
        grouped.setdefault((job.cell, job.round, plan.is_timed(job), *alone), []).append(job)
    groups = list(grouped.values())
    checked = [group for group in groups if not plan.is_timed(group[0])]
    longest = longest_queue(
        [(group[0].cell in plan.emulated, len(group)) for group in checked], lanes
    )
    return [
        Session(jobs=tuple(queue), is_timed=plan.is_timed(queue[0]))
        for group in groups
        for queue in _queues(plan, group, LONGEST if plan.is_timed(group[0]) else longest)
    ]


def _queues(plan: Plan, jobs: list[Job], longest: int) -> Iterator[list[Job]]:
    """Yield the queues of jobs that share a process each.

    The first job of a process tells what the start and the memory of the cell are. It is of the
    same network in every cell, and the same job in every round, so that they can be compared.
    """
    counts = lengths(len(jobs), longest)
    opening = sorted(jobs, key=lambda job: _lots(plan, job))[: len(counts)]
    first_ids = {job.id for job in opening}
    following = (job for job in jobs if job.id not in first_ids)
    for job, count in zip(opening, counts, strict=True):
        yield [job, *itertools.islice(following, count - 1)]


def _lots(plan: Plan, job: Job) -> tuple[float, ...]:
    """Return what is drawn for a job: its network first, then its format; for all cells alike.

    An artifact of an earlier run keeps its place among those that are served again.
    """
    kept = plan.kept_as(job.subject)
    subject = kept.origin if kept else job.subject
    drawn = (job.workload, job.artifact.format if job.artifact else "", subject)
    return tuple(map(plan.lot, drawn))


def in_order(
    plan: Plan, sessions: Sequence[Session], seconds: Mapping[str, float]
) -> list[Session]:
    """Return the sessions of a stage in the order in which they are served: timed ones as they are.

    Of what is only checked, native cells come first, then those that took the most *seconds* so
    far, then long queues: what is long and comes last leaves the other lanes idle.
    """
    if any(session.is_timed for session in sessions):
        return list(sessions)
    return sorted(
        sessions,
        key=lambda session: (
            session.cell in plan.emulated,
            -seconds.get(session.cell, 0.0),
            -len(session.jobs),
        ),
    )
