"""Who made a container, a volume or a folder, so that those of killed processes can be removed."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from deepmatrix.machine.proctree import PROC

#: A process id; other digits than these are digits for Python too.
_PID = re.compile("[0-9]{1,10}")

#: Characters that are read of a file; a label has about 100.
LONGEST = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A process of some machine, since one boot, in one namespace of process ids.

    Two processes with one id are told apart by when they started. Where the system has no
    ``/proc`` the fields it would fill are empty.
    """

    machine: str
    boot: str
    namespace: str
    pid: int
    started: str

    def __str__(self) -> str:
        """Write it as a label that `parse` reads."""
        return "/".join((self.machine, self.boot, self.namespace, str(self.pid), self.started))

    def is_gone(self) -> bool:
        """Say whether it has definitely exited. What cannot be seen from here counts as alive."""
        here = this_process()
        if self.machine != here.machine or not here.boot:
            return False
        if self.boot != here.boot:
            return True
        return self.namespace == here.namespace and self.started != _started(self.pid)


def parse(label: str) -> Owner | None:
    """Read a label, whatever follows it after a slash; return None for what is not one."""
    parts = label.split("/")
    if len(parts) < 5 or not _PID.fullmatch(parts[3]):
        return None
    machine, boot, namespace, pid, started = parts[:5]
    return Owner(machine=machine, boot=boot, namespace=namespace, pid=int(pid), started=started)


def left_behind(marks: Iterable[Path]) -> Iterator[Path]:
    """Yield the folders of processes that have exited; *marks* are the files with their labels.

    Raises OSError, but not for what is gone meanwhile, or is no file that can be read.
    """
    for mark in marks:
        if mark.is_file() and is_gone(_read(mark)):
            yield mark.parent


def is_gone(label: str) -> bool:
    """Say whether *label* names a process that has definitely exited."""
    owner = parse(label)
    return owner is not None and owner.is_gone()


def this_process() -> Owner:
    """Return this process."""
    pid = os.getpid()  # asked each time: it changes with a fork
    return Owner(
        machine=_machine(),
        boot=_read(PROC / "sys/kernel/random/boot_id"),
        namespace=_namespace(),
        pid=pid,
        started=_started(pid),
    )


@cache
def _machine() -> str:
    """Return 12 hex digits that tell machines apart without naming them."""
    text = f"{platform.node()} {_read(Path('/etc/machine-id'))}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _namespace() -> str:
    try:
        return (PROC / "self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; empty when there is none."""
    # The name, in parentheses, may hold anything; a zombie has ended.
    fields = _read(PROC / str(pid) / "stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] != "Z" else ""


def _read(path: Path) -> str:
    """Return the first characters of a file, nothing where it cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as source:
            return source.read(LONGEST).strip()
    except OSError:
        return ""
