"""Staging: what runs before what, and what of it has to wait for a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple

from deepmatrix.execution.sessions.schedule import Stage
from deepmatrix.execution.sessions.splitting import Session
from deepmatrix.planning.plan import Job, Plan, Wave
from harness.record import DEPLOY, INSPECT

Source = tuple[str, str]
"""What an artifact comes from: a cell and its subject."""


def source_of(job: Job) -> Source | None:
    """Return what the artifact that a job serves comes from; None of a job that serves none."""
    return (job.artifact.producer, job.artifact.workload) if job.artifact else None


def exported_by(jobs: Iterable[Job]) -> set[Source]:
    """Return the sources of the artifacts that some jobs give."""
    return {(job.cell, job.subject) for job in jobs if not {DEPLOY, INSPECT}.isdisjoint(job.phases)}


def plan_stages(
    plan: Plan, jobs: Iterable[Job], sessions_of: Callable[[Sequence[Job]], Sequence[Session]]
) -> list[Stage]:
    """Return the stages of some jobs, in their order; *sessions_of* makes the sessions of each.

    A stage comes after those that give what it serves, and after the model whose inputs all get.
    """
    staged = _by_stage(plan, jobs)
    stages: dict[_Place, Stage] = {}
    for place in sorted(staged, key=lambda place: place.is_consumed):
        served = set(map(source_of, staged[place]))
        stages[place] = Stage(
            staged[place],
            is_timed=place.order in (_Order.FIRST_TIMED, _Order.LATER_TIMED),
            after=[
                stage
                for earlier, stage in stages.items()
                if earlier.order == _Order.SOURCE or served & exported_by(staged[earlier])
            ],
            sessions_of=sessions_of,
        )
    return [stages[place] for place in sorted(stages)]


class _Order(IntEnum):
    """When a stage is served: what finds errors first comes first.

    So the first round of native cells comes before what is only checked, and the other rounds,
    which are for times, come last.
    """

    SOURCE = 0
    FIRST_TIMED = 1
    CHECKED = 2
    LATER_TIMED = 3


class _Place(NamedTuple):
    """The place of a stage: what is produced is consumed next."""

    order: _Order
    is_consumed: bool


def _by_stage(plan: Plan, jobs: Iterable[Job]) -> dict[_Place, list[Job]]:
    """Return some jobs by the place of their stage. All jobs of a stage are timed, or none is."""
    source = plan.imports[0].name if plan.imports and (plan.same or plan.original) else None
    timed, first_rounds = set[str](), dict[Wave, int]()
    all_jobs = list(jobs)
    for job in filter(plan.is_timed, all_jobs):
        timed.add(job.id)
        first_rounds[job.wave] = min(job.round, first_rounds.get(job.wave, job.round))

    def order(job: Job) -> _Order:
        if job.artifact is None and job.subject == source:
            return _Order.SOURCE
        if job.id not in timed:
            return _Order.CHECKED
        is_first = job.round == first_rounds[job.wave]
        return _Order.FIRST_TIMED if is_first else _Order.LATER_TIMED

    staged: dict[_Place, list[Job]] = {}
    for job in all_jobs:
        staged.setdefault(_Place(order(job), job.artifact is not None), []).append(job)
    return staged
