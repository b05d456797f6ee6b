"""A control group for the processes of one task, on Linux where this user may make one.

Nothing leaves it by forking, by a session of its own or by another environment: all that a task
started can be counted and killed. A group is made below that of this process, in the unified
hierarchy (cgroup v2). There it is this user's own in most desktop sessions and for root, and not in
most logins by ssh.

The kernel's memory controller is not used: a group may have it only where its parent holds no
process, and the parent holds this one.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from deepmatrix.machine import owner

PREFIX = "deepmatrix-"

#: How long killed processes may take to go, in seconds.
GONE_S = 2.0


@dataclass(frozen=True)
class Group:
    """A control group, at *path*."""

    path: Path

    @property
    def entrance(self) -> Path:
        """The file that a process writes its id into to be in the group."""
        return self.path / "cgroup.procs"

    def members(self) -> list[int]:
        """Return the processes in it."""
        try:
            return [int(pid) for pid in self.entrance.read_text(encoding="ascii").split()]
        except OSError:
            return []

    def kill(self) -> None:
        """Kill all that is in it, and wait until it is gone."""
        end = time.monotonic() + GONE_S
        while (members := self.members()) and time.monotonic() < end:
            try:
                (self.path / "cgroup.kill").write_text("1", encoding="ascii")
            except OSError:  # before Linux 5.14
                for pid in members:
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)

    def remove(self) -> None:
        """Kill all that is in it, and remove it."""
        self.kill()
        with contextlib.suppress(OSError):
            self.path.rmdir()


@contextlib.contextmanager
def new_group() -> Iterator[Group | None]:
    """Make a group; remove it in the end. None where this user may not make one."""
    parent = _own_folder()
    label = str(owner.this_process()).replace("/", ".")
    group = Group(parent / f"{PREFIX}{label}-{secrets.token_hex(4)}") if parent else None
    try:
        if group:
            group.path.mkdir()
    except OSError:
        group = None
    try:
        yield group
    finally:
        if group:
            group.remove()


@cache
def are_possible() -> bool:
    """Return whether this user may make a group here: it is tried, with a process in it."""
    with new_group() as group:
        if group is None:
            return False
        pid = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
        try:
            group.entrance.write_text(str(pid), encoding="ascii")
            return group.members() == [pid]
        except OSError:
            return False
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def sweep() -> None:
    """Kill what dead processes left running in groups of theirs, and remove these."""
    parent = _own_folder()
    for path in parent.glob(f"{PREFIX}*") if parent else ():
        label = path.name.removeprefix(PREFIX).rpartition("-")[0]
        if owner.is_gone(label.replace(".", "/")):
            Group(path).remove()


def _own_folder() -> Path | None:
    """Return the folder of this process's own group, or None where there is no such hierarchy."""
    mount = _mount()
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    own = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), None)
    if mount is None or own is None:
        return None
    folder = mount / own
    return folder if (folder / "cgroup.procs").exists() else None


@cache
def _mount() -> Path | None:
    """Return where the unified hierarchy is mounted."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    mounts = (line.split() for line in lines)
    return next((Path(fields[1]) for fields in mounts if fields[2] == "cgroup2"), None)
