"""Watching a run: who is told what happens, as it happens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from deepmatrix.images.prepared import Prepared
from deepmatrix.planning.plan import Job
from deepmatrix.store.causes import Cause
from deepmatrix.store.records import JobRecord


class Watcher(Protocol):
    """Is told what happens; the progress display is one."""

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
        """Tell what a wrong answer was traced to."""
        ...
