"""The memory and the number of processes of a task's processes, from Linux's ``/proc``.

On other systems there is no ``/proc``: nothing is limited, and the engine says so.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")

#: In the environment of a process: the label of who started it (see `deepmatrix.machine.owner`).
MARK = "DEEPMATRIX_OWNER"


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Bytes of resident memory, and processes and threads, of all processes of a task."""

    memory_bytes: int = 0
    processes: int = 0


class MemoryPeak:
    """The most memory that a task's processes had at any check, in bytes."""

    def __init__(self) -> None:
        self.memory_bytes = 0

    def measure(self, root: int, members: Collection[int] = ()) -> Usage:
        """Return the usage of a task, see `usage`; remember the most memory."""
        now = usage(root, members)
        self.memory_bytes = max(self.memory_bytes, now.memory_bytes)
        return now


def is_known() -> bool:
    """Say whether this system has ``/proc``."""
    return (PROC / "self/stat").exists()


def usage(root: int, members: Collection[int] = ()) -> Usage:
    """Return the usage of process *root*, its descendants and the *members* of its control group.

    Takes tens of microseconds a process. A process whose parent ended is no descendant any more.
    """
    memory = processes = 0
    for pid in {*_tree(root), *members}:
        try:
            text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # ended just now
        fields = text.rpartition(")")[2].split()
        processes += int(fields[17])
        memory += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return Usage(memory_bytes=memory, processes=processes)


def kill_marked(is_wanted: Callable[[str], bool]) -> None:
    """Kill every process of this user whose mark *is_wanted*, in whatever session it is."""
    for environ in PROC.glob("[0-9]*/environ"):
        mark = _mark(environ)
        if mark is not None and is_wanted(mark):
            with suppress(OSError):
                os.kill(int(environ.parent.name), signal.SIGKILL)


def _mark(environ: Path) -> str | None:
    try:
        entries = environ.read_bytes().split(b"\0")
    except OSError:
        return None
    start = f"{MARK}=".encode()
    return next(
        (
            entry[len(start) :].decode(errors="replace")
            for entry in entries
            if entry.startswith(start)
        ),
        None,
    )


def _tree(root: int) -> Iterator[int]:
    pending = [root]
    while pending:
        pid = pending.pop()
        yield pid
        with suppress(OSError):
            for thread in os.listdir(PROC / str(pid) / "task"):
                with suppress(OSError):
                    children = (PROC / str(pid) / "task" / thread / "children").read_text()
                    pending += map(int, children.split())
