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

#: A process may have at most so many files and folders: looking at more would take long.
MOST_ENTRIES = 100_000

#: What the system says of a file or a folder that is not there any more.
JUST_REMOVED = (FileNotFoundError, NotADirectoryError)


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
            return check_disk(self._folder, self._limits)
        return None


def check_disk(folder: Path, limits: Limits) -> Stop | None:
    """Return why a process has to be stopped whose files are below *folder*, or None.

    Links are not followed. What cannot be counted is over the limit: it was hidden.
    """
    total = 0.0
    try:
        for count, entry in enumerate(_entries(folder)):
            if count >= MOST_ENTRIES:
                cause = f"it wrote more than {MOST_ENTRIES} files and folders"
                return Stop(ending="disk-limit", cause=cause)
            with contextlib.suppress(*JUST_REMOVED):
                facts = entry.stat(follow_symlinks=False)
                total += getattr(facts, "st_blocks", facts.st_size / 512) * 512
    except OSError as error:
        cause = f"its files cannot be counted: {error.strerror}"
        return Stop(ending="disk-limit", cause=cause)
    return endings.out_of_disk(limits) if total > limits.disk_bytes else None


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    pending = [str(folder)]
    while pending:
        with contextlib.suppress(*JUST_REMOVED), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                yield entry
