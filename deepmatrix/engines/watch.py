"""Watching a process without using the CPU it is measured on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from deepmatrix.engines import Ending
from deepmatrix.sizes import binary_size

#: How often to look whether the user interrupted. The end of a process is noticed at once.
TICK_S = 0.25

#: How much of the end of a log is kept, in bytes.
KEPT_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Why a process was, or has to be, stopped, in one line a person understands."""

    ending: Ending
    cause: str


class Tail:
    """The last part of a log, and whether there was more of it than allowed."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.bytes = 0
        self._kept = bytearray()

    @property
    def is_over(self) -> bool:
        """Say whether the log is longer than allowed."""
        return self.bytes > self.limit_bytes

    def add(self, data: bytes) -> None:
        """Take what was written next."""
        self.bytes += len(data)
        self._kept += data
        if len(self._kept) > 2 * KEPT_BYTES:
            del self._kept[:-KEPT_BYTES]

    def text(self) -> str:
        """Return the last part, at most `KEPT_BYTES`, starting with a whole line if it was cut."""
        kept = bytes(self._kept[-KEPT_BYTES:])
        if len(kept) < self.bytes:
            dropped = self.bytes - len(kept)
            kept = b"[%d bytes before this are not kept]\n" % dropped + kept.partition(b"\n")[2]
        return kept.decode("utf-8", "replace")

    def stop(self) -> Stop:
        """Say that the process has to end for its log."""
        return Stop(
            ending="log-limit", cause=f"wrote more than {binary_size(self.limit_bytes)} of log"
        )


def wait(
    wake: threading.Event,
    *,
    cancel: threading.Event,
    deadline_s: float,
    look: Callable[[], Stop | None] = lambda: None,
) -> Stop | None:
    """Wait until *wake* is set and return None, or return why to stop the process before.

    *look* is asked every `TICK_S`; it must be cheap.
    """
    end = time.monotonic() + deadline_s
    while True:
        if wake.wait(max(0.0, min(TICK_S, end - time.monotonic()))):
            return None
        if cancel.is_set():
            return Stop(ending="cancelled", cause="interrupted")
        if time.monotonic() >= end:
            return Stop(ending="timeout", cause=f"still ran after {deadline_s:g} s")
        if stop := look():
            return stop
