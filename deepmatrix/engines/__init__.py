"""Engines: where the process of a cell runs.

In come cells to prepare and tasks: a cell, a control directory on the host, limits. An engine runs
``python -m harness DIR`` on a copy of the control directory. Out go prepared cells and how each
process ended; the harness's files are in the control directory. An engine never reads
``output.json``; `deepmatrix.execution` does.

Three engines: `docker`, `venv` and `here`. `choose` picks one, `setup` installs Docker.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from deepmatrix.images.prepared import Prepared as Prepared
from deepmatrix.images.prepared import Progress as Progress
from deepmatrix.planning.cells import Capabilities, Cell

#: How a process ended, whatever it wrote.
Ending = Literal[
    "exited",  # by itself; see ``exit_code``
    "crashed",  # killed by a signal of its own fault (SIGSEGV, SIGILL, ...)
    "oom",  # the memory limit killed it
    "timeout",  # the deadline killed it
    "process-limit",  # it used up its processes
    "log-limit",  # it wrote more log than allowed
    "disk-limit",  # its files took more of the disk than allowed
    "engine-lost",  # the engine stopped answering
    "no-device",  # the engine could not give it the device (no NVIDIA runtime, ...)
    "start-failed",  # the engine could not start it, for another reason
    "cancelled",  # the user interrupted
]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one process may use. Bytes and seconds."""

    memory_bytes: int
    processes: int
    cpus: tuple[int, ...]
    log_bytes: int
    file_bytes: int
    disk_bytes: int


class Queue(Protocol):
    """The jobs of a process that serves several; `harness.sessions` is its other end."""

    nonce: str
    """What the process writes to its log when a job is done."""

    @property
    def folder(self) -> str:
        """Where the job that it is on has its control directory, relative to the task's."""
        ...

    @property
    def has_next(self) -> bool:
        """Whether a job follows in this process."""
        ...

    def write_ahead(self) -> list[str]:
        """Write the files of all jobs now, for a process elsewhere; return their folders."""
        ...

    def advance(self, ended: Ended) -> None:
        """Take the files of the job that is done; put those of the next into its own *folder*.

        *ended*: as if the process had ended with this job.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Task:
    """One process to run: a cell, a control directory, limits, which hold for each of its jobs.

    *attempt* tells it from every other process. *timed*: its times count.
    *emulator*: a program on this machine that has to run it, where it is not run natively or by
    the kernel's own choice. *keeps_compiled*: it finds what its compiler made in earlier runs, see
    `deepmatrix.images.compiled`. *waiting* is called once if it has to wait for its turn elsewhere.
    """

    id: str
    run_id: str
    cell: Cell
    control: Path
    deadline_s: float
    limits: Limits
    environment: dict[str, str] = field(default_factory=dict)
    emulator: Path | None = None
    keeps_compiled: bool = False
    queue: Queue | None = None
    attempt: str = ""
    timed: bool = False
    waiting: Callable[[], None] = lambda: None

    @property
    def nonce(self) -> str:
        """What ends a job's part of the log, or nothing."""
        return self.queue.nonce if self.queue else ""

    @property
    def folder(self) -> Path:
        """The control directory of the job that the process is on."""
        return self.control / self.queue.folder if self.queue else self.control


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a process ended, its time and its memory.

    *started_at*: when its start was requested, seconds since 1970.
    *tree_bytes*: the most memory that it and its descendants had together at any check.
    *containment*: what was around it: ``container``, ``bubblewrap`` or ``none``.
    *may_be_left*: what may be left behind where it was interrupted and the engine did not answer.
    """

    ending: Ending
    cause: str
    exit_code: int | None = None
    wall_s: float = 0.0
    started_at: float | None = None
    log: str = ""
    tree_bytes: int | None = None
    containment: str = ""
    may_be_left: str = ""


class Engine(Protocol):
    """The interface of an engine to the runner."""

    name: str

    isolates: bool
    """Whether a process has a container around it: no network, none of the user's files."""

    is_here: bool
    """Whether this program waits for the turns of its processes, and reads their energy."""

    def capabilities(self) -> Capabilities:
        """Return what this engine can run. Raises EngineError if it does not answer."""
        ...

    def describe(self) -> dict[str, str]:
        """Facts about the engine that belong in the run's records."""
        ...

    def prepare(self, cells: Sequence[Cell], progress: Progress) -> dict[str, Prepared]:
        """Make every cell ready to run, building only what is missing.

        A cell that cannot be built is returned with ``error``; the other cells are built.
        """
        ...

    def adopt(self, cell: Cell, earlier: Prepared) -> Prepared:
        """Make a cell ready from what it, or one like it, ran from in an earlier run.

        Nothing is built or pulled: where that is not here any more, the result has an ``error``.
        """
        ...

    def open(self, run_id: str) -> None:
        """Start a run: remove the leftovers of dead runs, ship the harness."""
        ...

    def run(self, task: Task, cancel: threading.Event) -> Ended:
        """Run one process to its end; write its files back into ``task.folder``.

        Of a process with a queue, what is returned concerns the job that it was on in the end; the
        queue was told of those before.

        Blocks without using the CPU. Returns promptly with ``cancelled`` when *cancel* is set.
        Leaves no process, container, volume or temporary file behind, however it ends.
        """
        ...

    def close(self) -> None:
        """Remove everything that `open` made."""
        ...
