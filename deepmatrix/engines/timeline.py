"""The timeline of one process: which job it is on, when that began, and the change to the next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deepmatrix.engines import Ended, Task
from deepmatrix.engines.watch import Stop, Tail
from deepmatrix.machine.clocks import Stopwatch
from harness.record import READY

#: What a job that was served ended with: the process itself goes on.
SERVED = Stop(ending="exited", cause="")


class Timeline:
    """Tells, for each job of a process, how it ended, how long it took, and its log.

    *containment*: see `deepmatrix.engines.Ended`.
    """

    def __init__(self, task: Task, containment: str) -> None:
        self.task = task
        self._containment = containment
        self.tail = Tail(task.limits.log_bytes, task.nonce)
        self._stopwatch = Stopwatch()

    def mark_start(self) -> None:
        """Take note that the process is started now."""
        self._stopwatch.start()

    def serve(self, fetch: Callable[[Stop], Stop], put: Callable[[], None]) -> bool:
        """If a job is done, take its files and put the next one's; return whether one was.

        *fetch* gets the files of ``task.folder`` from the process, and returns how that ended;
        *put* puts it there.
        """
        queue = self.task.queue
        log = self.tail.take_section() if queue and queue.has_next else None
        if queue is None or log is None:
            return False
        stop = fetch(SERVED)
        queue.advance(self.ended(stop, 0, log=log))
        put()
        self._stopwatch = Stopwatch()
        self._stopwatch.start()
        return True

    def ended(
        self, stop: Stop, code: int | None, *, log: str | None = None, tree_bytes: int | None = None
    ) -> Ended:
        """Return how the job ended that the process is on."""
        return Ended(
            ending=stop.ending,
            cause=stop.cause,
            exit_code=code,
            wall_s=self._stopwatch.wall_s,
            started_at=self._stopwatch.started_at,
            log=self.tail.text() if log is None else log,
            tree_bytes=tree_bytes,
            containment=self._containment,
        )


def ready_last(files: dict[str, Path]) -> dict[str, Path]:
    """Return a job's files in the order to copy them in: what says that it is complete is last."""
    return dict(sorted(files.items(), key=lambda entry: entry[0].rpartition("/")[2] == READY))
