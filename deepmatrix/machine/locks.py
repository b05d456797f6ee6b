"""Locks between processes of one machine; they end with the process that holds them."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: every process counts as alone
    fcntl = None  # type: ignore[assignment]

#: Two processes that sample at once on one CPU would spoil each other's times.
SAMPLING = Path(tempfile.gettempdir()) / "deepmatrix-sampling.lock"
ASK_AGAIN_S = 0.5


@contextlib.contextmanager
def held(path: Path) -> Iterator[bool]:
    """Try to hold the lock of a file, made where it is missing; give whether it is held."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o666)
    try:
        yield _taken(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def alone(
    cpus: Iterable[int], cancel: threading.Event, waiting: Callable[[], None]
) -> Iterator[None]:
    """Wait until no other process samples on any of these CPUs, or *cancel* is set.

    *waiting* is called once where there is something to wait for. Processes that wait are let in
    in turn: they wait in the kernel, which wakes them before the last one can ask again.
    """
    said = False
    with contextlib.ExitStack() as stack:
        for cpu in sorted(cpus):  # in one order everywhere, so that none waits in a circle
            path = SAMPLING.with_name(f"{SAMPLING.stem}-{cpu}{SAMPLING.suffix}")
            descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o666)
            stack.callback(os.close, descriptor)
            if not _taken(descriptor):
                if not said:
                    waiting()
                said = True
                _wait(descriptor, cancel)
        yield


def _wait(descriptor: int, cancel: threading.Event) -> None:
    """Wait in a thread, as nothing but the lock itself ends such a wait."""
    mine = threading.Event()

    def wait() -> None:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        mine.set()

    threading.Thread(target=wait, daemon=True).start()
    while not mine.wait(ASK_AGAIN_S) and not cancel.is_set():
        pass


def _taken(descriptor: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
