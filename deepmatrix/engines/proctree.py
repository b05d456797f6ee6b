"""What a process and those it started use, read from Linux's ``/proc``.

Elsewhere there is no ``/proc``: nothing is found, nothing is limited, and the engine says so.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")

#: In the environment of a process: the label of who started it (see `deepmatrix.engines.owner`).
MARK = "DEEPMATRIX_OWNER"


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Bytes of resident memory, and processes and threads, of a whole tree."""

    memory_bytes: int = 0
    processes: int = 0


class Seen:
    """The most memory that a tree was seen to hold, in bytes."""

    def __init__(self) -> None:
        self.memory_bytes = 0

    def look(self, root: int) -> Usage:
        """Return what process *root* and its descendants use now, and remember the most."""
        now = usage(root)
        self.memory_bytes = max(self.memory_bytes, now.memory_bytes)
        return now


def is_known() -> bool:
    """Say whether this system tells."""
    return (PROC / "self/stat").exists()


def usage(root: int) -> Usage:
    """Return what process *root* and its descendants use. Takes tens of microseconds each."""
    memory = processes = 0
    for pid in _tree(root):
        try:
            text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # ended just now
        fields = text.rpartition(")")[2].split()
        processes += int(fields[17])
        memory += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return Usage(memory_bytes=memory, processes=processes)


def kill_marked(is_wanted: Callable[[str], bool]) -> None:
    """Kill every process of this user whose mark is wanted, wherever it went."""
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
        (one[len(start) :].decode(errors="replace") for one in entries if one.startswith(start)),
        None,
    )


def _tree(root: int) -> Iterator[int]:
    left = [root]
    while left:
        pid = left.pop()
        yield pid
        with suppress(OSError):
            for thread in os.listdir(PROC / str(pid) / "task"):
                with suppress(OSError):
                    children = (PROC / str(pid) / "task" / thread / "children").read_text()
                    left += map(int, children.split())
