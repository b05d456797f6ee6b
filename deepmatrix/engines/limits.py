"""The limits of a plain process: checked while it runs, for nothing else holds it to them."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from deepmatrix.engines import Limits, endings
from deepmatrix.engines.watch import Stop
from deepmatrix.machine import cgroups, proctree

#: How often to look at the files of a process, in seconds: that takes longer than its memory does.
DISK_S = 2.0

#: At most so many files and folders are looked at.
MOST_ENTRIES = 100_000


class LimitCheck:
    """Says, whenever it is called, why process *pid* has to be stopped, or None.

    *folder* is where its files are, *group* the control group of what it starts. ``peak`` knows
    the most memory that it was seen to use.
    """

    def __init__(
        self, pid: int, limits: Limits, folder: Path, group: cgroups.Group | None = None
    ) -> None:
        self.peak = proctree.MemoryPeak()
        self._pid = pid
        self._limits = limits
        self._folder = folder
        self._group = group
        self._next_look = time.monotonic() + DISK_S

    def __call__(self) -> Stop | None:
        """Look at its processes and memory, and at its files now and then."""
        usage = self.peak.measure(self._pid, self._group.members() if self._group else ())
        if usage.processes > self._limits.processes:
            return endings.out_of_processes(self._limits)
        if usage.memory_bytes > self._limits.memory_bytes:
            return endings.out_of_memory(self._limits)
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + DISK_S
            if bytes_below(self._folder) > self._limits.disk_bytes:
                return endings.out_of_disk(self._limits)
        return None


def bytes_below(folder: Path) -> int:
    """Return the bytes that the files below a folder take on the disk; links are not followed."""
    total = 0.0
    for count, entry in enumerate(_entries(folder)):
        if count >= MOST_ENTRIES:
            break
        with contextlib.suppress(OSError):  # removed just now
            facts = entry.stat(follow_symlinks=False)
            total += getattr(facts, "st_blocks", facts.st_size / 512) * 512
    return int(total)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    pending = [str(folder)]
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                yield entry
