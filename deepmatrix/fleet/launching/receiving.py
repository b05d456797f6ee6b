"""Receiving: a worker that was started over ssh gets its certificates, and ends with its input."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from deepmatrix.fleet.launching import bundle
from deepmatrix.machine import scratch

#: What stands for the standard input.
INPUT: Final = Path("-")

#: The begin of the name of every folder with certificates that arrived.
PREFIX: Final = "deepmatrix-received-"


@contextlib.contextmanager
def certificates_of(folder: Path) -> Iterator[Path]:
    """Yield a folder of certificates: *folder*, or where those of the standard input are.

    This process gets SIGTERM when its standard input ends. What killed workers received is removed.
    Raises ArgumentError where the standard input has no certificates.
    """
    if folder != INPUT:
        yield folder
        return
    scratch.sweep(PREFIX)
    # Unbuffered: a thread that waits for a buffer would hold it when the interpreter ends.
    with (
        open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as stream,
        scratch.private_folder(PREFIX) as received,
    ):
        bundle.unpack(stream, received)
        threading.Thread(target=_end_with, args=[stream], daemon=True).start()
        yield received


def _end_with(stream: BinaryIO) -> None:
    """Send this process SIGTERM when a stream ends."""
    with contextlib.suppress(OSError, ValueError):
        while stream.read(1 << 16):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
