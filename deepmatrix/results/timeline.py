"""The timeline of a run: when each cell worked, and how fast its machine was then."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from deepmatrix.judging import noise
from deepmatrix.results.timing.rows import SpanRow
from deepmatrix.store.records import JobRecord

#: The run is divided in so many times. A cell's jobs that start in the same one are one span, so
#: that a run of many jobs has few spans.
SLOTS = 300

RatesByJob = Mapping[str, noise.Rates]


@dataclass(frozen=True, slots=True)
class Work:
    """One job: when it started, seconds since 1970, how long it took, and what it ran on.

    *job*: the machine, and the job's id.
    """

    cell: str
    started_at: float
    wall_s: float
    job: tuple[str, str]
    emulated: bool


def works_of(group: Sequence[JobRecord]) -> Iterator[Work]:
    """Yield the work of one cell's records; those of another run took none of this one's time."""
    for record in group:
        if record.started_at is not None and not record.reused:
            yield Work(
                cell=record.cell,
                started_at=record.started_at,
                wall_s=record.wall_s,
                job=(record.machine, record.job),
                emulated=record.emulated,
            )


def spans(
    of_jobs: Sequence[Work], rates: Mapping[str, Mapping[str, RatesByJob]]
) -> Iterator[SpanRow]:
    """Yield spans by cell and time. *rates*: of jobs, by cell, machine and job."""
    if not of_jobs:
        return
    begin = min(work.started_at for work in of_jobs)
    slot_s = (max(work.started_at + work.wall_s for work in of_jobs) - begin) / SLOTS

    def place(work: Work) -> tuple[str, int]:
        return work.cell, int((work.started_at - begin) / slot_s) if slot_s else 0

    works = sorted(of_jobs, key=lambda work: (work.cell, work.started_at))
    for cell, by_cell in itertools.groupby(works, key=lambda work: work.cell):
        there = rates.get(cell, {})
        speeds = {
            (machine, job): speed
            for machine, each in there.items()
            for job, speed in _relative_speeds(each).items()
        }
        noisy = frozenset(
            (machine, job) for machine, each in there.items() for job in noise.noisy_jobs(each)
        )
        for _, jobs in itertools.groupby(by_cell, key=place):
            yield _span(list(jobs), begin, speeds, noisy)


def _relative_speeds(rates: RatesByJob) -> dict[str, float]:
    """Return the rate of matrix products of each job over their median."""
    usual = median(rate for rate, _ in rates.values()) if rates else 0.0
    return {job: rate / usual for job, (rate, _) in rates.items()} if usual else {}


def _span(
    works: Sequence[Work],
    begin: float,
    speeds: Mapping[tuple[str, str], float],
    noisy: frozenset[tuple[str, str]],
) -> SpanRow:
    first = works[0]
    longest = max(works, key=lambda work: (work.job in noisy, work.wall_s))
    end = max(work.started_at + work.wall_s for work in works)
    return SpanRow(
        cell=first.cell,
        emulated=first.emulated,
        start_s=first.started_at - begin,
        wall_s=end - first.started_at,
        jobs=len(works),
        rate=min((speeds[work.job] for work in works if work.job in speeds), default=None),
        noisy=not first.emulated and longest.job in noisy,
        job=longest.job[1],
    )
