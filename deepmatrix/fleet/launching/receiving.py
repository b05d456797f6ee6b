"""Receiving: a worker that was started over ssh gets its certificates, and ends with its input."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from deepmatrix.fleet.launching import bundle

#: What stands for the standard input.
INPUT: Final = Path("-")


@contextlib.contextmanager
def certificates_of(folder: Path) -> Iterator[Path]:
    """Yield a folder of certificates: *folder*, or where those of the standard input are.

    This process gets SIGTERM when its standard input ends. Raises ArgumentError where that has no
    certificates.
    """
    if folder != INPUT:
        yield folder
        return
    # Unbuffered: a thread that waits for a buffer would hold it when the interpreter ends.
    with (
        open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as stream,
        tempfile.TemporaryDirectory() as received,
    ):
        bundle.unpack(stream, Path(received))
        threading.Thread(target=_end_with, args=[stream], daemon=True).start()
        yield Path(received)


def _end_with(stream: BinaryIO) -> None:
    """Send this process SIGTERM when a stream ends."""
    with contextlib.suppress(OSError, ValueError):
        while stream.read(1 << 16):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
