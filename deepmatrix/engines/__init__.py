"""Engines: where a cell's process runs.

Every engine takes a control directory on the host, runs ``python -m harness DIR`` on a
copy of it somewhere, brings back what the harness wrote, and says how the process ended.
It never interprets ``output.json``: that belongs to the runner.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from deepmatrix.images.prepared import Prepared as Prepared
from deepmatrix.images.prepared import Progress as Progress
from deepmatrix.planning.cells import Capabilities, Cell

#: How a process ended, before anyone looked at what it wrote.
Ending = Literal[
    "exited",  # by itself; see ``exit_code``
    "crashed",  # killed by a signal that nobody sent on purpose (SIGSEGV, SIGILL, ...)
    "oom",  # the memory limit killed it
    "timeout",  # the deadline killed it
    "process-limit",  # it used up its processes
    "log-limit",  # it wrote more log than allowed
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


@dataclass(frozen=True, kw_only=True)
class Task:
    """One process to run: a cell, a control directory, limits."""

    id: str
    run_id: str
    cell: Cell
    control: Path
    deadline_s: float
    limits: Limits
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a process ended and what that cost.

    *started_at*: when its start was asked for, seconds since 1970.
    *tree_bytes*: the most memory that it and its descendants were seen to hold together.
    """

    ending: Ending
    cause: str
    exit_code: int | None = None
    wall_s: float = 0.0
    started_at: float | None = None
    log: str = ""
    tree_bytes: int | None = None


class Engine(Protocol):
    """What the runner needs of a place to run cells in."""

    name: str

    def capabilities(self) -> Capabilities:
        """Say what this engine can run. Raises EngineError if it does not answer."""
        ...

    def describe(self) -> dict[str, str]:
        """Facts about the engine that belong in the run's records."""
        ...

    def prepare(self, cells: Sequence[Cell], progress: Progress) -> dict[str, Prepared]:
        """Make every cell ready to run, building only what is missing.

        A cell that cannot be built is returned with ``error``; the others go on.
        """
        ...

    def open(self, run_id: str) -> None:
        """Get ready for a run: remove what a dead run left, ship the harness."""
        ...

    def run(self, task: Task, cancel: threading.Event) -> Ended:
        """Run one process to its end; write its files back into ``task.control``.

        Blocks without using the CPU. Returns promptly with ``cancelled`` when *cancel* is set.
        Leaves no process, container, volume or temporary file behind, however it ends.
        """
        ...

    def close(self) -> None:
        """Remove everything that `open` made."""
        ...
