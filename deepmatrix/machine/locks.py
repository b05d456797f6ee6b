"""Locks between processes of one machine; they end with the process that holds them."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from deepmatrix.boundary.opening import WITHOUT_LINKS, WITHOUT_WAITING, plain
from deepmatrix.errors import RecordError
from deepmatrix.machine import owner

try:
    import fcntl
except ImportError:  # Windows has no such locks: every process runs at once
    fcntl = None  # type: ignore[assignment]


def _own_folder() -> Path:
    """Return a folder that only this user can write: nobody else can take its locks away.

    After `su`, or in a container, the one that is named may be another user's, or not there.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and _is_own(runtime):  # noqa: PTH117
        return Path(runtime) / "deepmatrix"
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
    return Path(cache) / "deepmatrix"  # without a home folder it is below the current one


def _is_own(folder: str) -> bool:
    """Return whether this user has a folder, and nobody else can write it."""
    try:
        facts = os.stat(f"{folder}/")  # noqa: PTH116
    except OSError:
        return False
    is_writable = os.access(f"{folder}/", os.W_OK | os.X_OK)
    is_shared = facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return is_writable and not is_shared and facts.st_uid == os.geteuid()


#: Error numbers of a path where something else is in the place of a plain file.
_IN_THE_WAY = frozenset({errno.EINVAL, errno.EISDIR, errno.ELOOP})

#: Two processes that sample at once on one CPU would spoil each other's times. Machines that share
#: a home folder share its locks, too, but no CPU: a boot has locks of its own.
SAMPLING = _own_folder() / f"sampling-{owner.this_process().boot}.lock"
CHECK_S = 0.5

#: How long a lock may be held that is only held to write a file, and how soon one is told that it
#: is, in seconds.
PATIENCE_S = 60.0
TOLD_AFTER_S = 1.0
SHORT_CHECK_S = 0.02


@contextlib.contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Try to lock a file, which is made where it is missing; yield whether that succeeded.

    Raises RecordError where something else is in its place.
    """
    descriptor = _open(path)
    try:
        yield _try_lock(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def lock(path: Path, when_waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Wait until a file is locked, which others only lock while they write to another.

    *when_waiting* is called once if that takes longer than a second. Raises RecordError after
    `PATIENCE_S`, or where something else is in the place of the file.
    """
    descriptor = _open(path)
    try:
        began, announced = time.monotonic(), False
        while not _try_lock(descriptor):
            waited_s = time.monotonic() - began
            if waited_s > PATIENCE_S:
                raise RecordError(
                    f"{path}: another process has held this lock for {PATIENCE_S:g} s",
                    hint=f"end that process, which `fuser {path}` names, and run again",
                )
            if waited_s > TOLD_AFTER_S and not announced:
                when_waiting()
                announced = True
            time.sleep(SHORT_CHECK_S)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def exclusive_cpus(
    cpus: Iterable[int], cancel: threading.Event, when_waiting: Callable[[], None]
) -> Iterator[float]:
    """Wait until no other process samples on any of these CPUs, or *cancel* is set.

    Yields for how many seconds it waited. *when_waiting* is called once if it has to wait. Waiting
    processes take turns: they wait in the kernel, which wakes them before the process that held the
    lock can lock it anew.
    """
    announced, began = False, time.monotonic()
    SAMPLING.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        for cpu in sorted(cpus):  # the same order in every process, so that no deadlock arises
            path = SAMPLING.with_name(f"{SAMPLING.stem}-{cpu}{SAMPLING.suffix}")
            descriptor = _open(path)
            stack.callback(os.close, descriptor)
            if not _try_lock(descriptor):
                if not announced:
                    when_waiting()
                announced = True
                _wait(descriptor, cancel)
        yield time.monotonic() - began


def _open(path: Path) -> int:
    """Open the file of a lock. Raises RecordError for a pipe, a folder or a link in its place."""
    flags = os.O_RDONLY | os.O_CREAT | WITHOUT_WAITING | WITHOUT_LINKS
    try:
        return plain(os.open(path, flags, 0o666), path)
    except OSError as error:
        if error.errno not in _IN_THE_WAY:
            raise
        raise RecordError(
            f"{path}: the lock file cannot be used: {error.strerror}", hint="remove it"
        ) from None


def _wait(descriptor: int, cancel: threading.Event) -> None:
    """Wait in a thread: only the lock itself ends such a wait, no signal."""
    acquired = threading.Event()

    def wait() -> None:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        acquired.set()

    threading.Thread(target=wait, daemon=True).start()
    while not acquired.wait(CHECK_S) and not cancel.is_set():
        pass


def _try_lock(descriptor: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
