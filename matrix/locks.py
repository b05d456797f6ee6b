"""Locks between processes of one machine; they end with the process that holds them."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: every process counts as alone
    fcntl = None  # type: ignore[assignment]

#: Two processes that sample at once would spoil each other's times.
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
def alone(cancel: threading.Event, path: Path = SAMPLING) -> Iterator[None]:
    """Wait until no other process samples on this machine, or *cancel* is set."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o666)
    try:
        while not _taken(descriptor) and not cancel.wait(ASK_AGAIN_S):
            pass
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
