"""Watching a run: the events that a progress display is told of, as they happen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from deepmatrix.images.prepared import Prepared
from deepmatrix.planning.plan import Job
from deepmatrix.store.causes import Cause
from deepmatrix.store.records import JobRecord


class Watcher(Protocol):
    """Gets the events of a run; the progress display is one."""

    def preparing(self, cell_id: str, text: str) -> None:
        """Tell that a cell's image or environment is being made."""
        ...

    def prepared(self, cell_id: str, result: Prepared) -> None:
        """Tell that a cell is ready, or why it is not."""
        ...

    def planned(self, jobs: Sequence[Job], retry: bool) -> None:
        """Tell which jobs of a wave will run; with *retry*, noisy ones for another time."""
        ...

    def waiting_for_cpus(self) -> None:
        """Tell that another process measures on the same CPUs, and that this one waits."""
        ...

    def started(self, job: Job) -> None:
        """Tell that a job's process starts."""
        ...

    def ended(self, job: Job, record: JobRecord) -> None:
        """Tell how a job ended."""
        ...

    def explained(self, cause: Cause) -> None:
        """Tell the cause to which a wrong answer was traced."""
        ...
