"""Watching a run: the events that a progress display is sent, as they happen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from deepmatrix.images.prepared import Prepared
from deepmatrix.planning.plan import Job
from deepmatrix.store.causes import Cause
from deepmatrix.store.records import JobRecord

Place = tuple[str, tuple[int, ...]]
"""A lane: the worker in a fleet that has it, or nothing, and its CPUs."""


class Watcher(Protocol):
    """Gets the events of a run; the progress display is one."""

    def preparing(self, cell_id: str, text: str) -> None:
        """Report that a cell's image or environment is being made."""
        ...

    def prepared(self, cell_id: str, result: Prepared) -> None:
        """Report that a cell is ready, or why it is not."""
        ...

    def making_inputs(self, workload: str) -> None:
        """Report that this machine makes the data and weights of a workload, and trains gold."""
        ...

    def made_inputs(self, workload: str) -> None:
        """Report that the inputs of a workload are made."""
        ...

    def planned(self, jobs: Sequence[Job], retry: bool) -> None:
        """Report which jobs are to run; with *retry*, noisy ones for another time."""
        ...

    def reused(self, run_id: str, jobs: Sequence[Job], anew: Mapping[str, int]) -> None:
        """Report planned jobs that another run did, and how many it did not, by what changed."""
        ...

    def without_model(self, jobs: Sequence[Job]) -> None:
        """Report planned jobs that cannot run: the model that they serve was not produced."""
        ...

    def waiting_for_cpus(self, place: Place) -> None:
        """Report that another process measures on the CPUs of a lane, and that this one waits.

        A job of a worker in a fleet has started before, as far as this machine knows.
        """
        ...

    def put_aside(self, worker: str, reason: str) -> None:
        """Report that a machine of the fleet gets nothing more to do, and why."""
        ...

    def started(self, job: Job, place: Place) -> None:
        """Report that a job starts in a lane, whose job before is over."""
        ...

    def ended(self, job: Job, record: JobRecord) -> None:
        """Report how a job ended."""
        ...

    def explained(self, cause: Cause) -> None:
        """Report the cause to which a wrong answer was traced."""
        ...
