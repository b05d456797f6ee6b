"""Watching a process without using the CPU it is measured on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from deepmatrix.engines import Ending
from deepmatrix.sizes import binary_size

#: How often to check whether the user interrupted. The end of a process is noticed at once.
TICK_S = 0.25

#: How much of the end of a log is stored, in bytes.
LOG_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Stop:
    """How a process ended or why it has to be stopped, with the cause in one line."""

    ending: Ending
    cause: str


class Tail:
    """The last part of a log, and whether the log is longer than allowed."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.bytes = 0
        self._end = bytearray()

    @property
    def is_over(self) -> bool:
        """Say whether the log is longer than allowed."""
        return self.bytes > self.limit_bytes

    def add(self, data: bytes) -> None:
        """Add the next output."""
        self.bytes += len(data)
        self._end += data
        if len(self._end) > 2 * LOG_BYTES:
            del self._end[:-LOG_BYTES]

    def text(self) -> str:
        """Return the last part, at most `LOG_BYTES`, starting with a whole line if it was cut."""
        end = bytes(self._end[-LOG_BYTES:])
        if len(end) < self.bytes:
            dropped = self.bytes - len(end)
            end = b"[the first %d bytes are not stored]\n" % dropped + end.partition(b"\n")[2]
        return end.decode("utf-8", "replace")

    def stop(self) -> Stop:
        """Return the reason to stop a process whose log is too long."""
        return Stop(
            ending="log-limit", cause=f"wrote more than {binary_size(self.limit_bytes)} of log"
        )


def wait_for_end(
    wake: threading.Event,
    *,
    cancel: threading.Event,
    deadline_s: float,
    check: Callable[[], Stop | None] = lambda: None,
) -> Stop | None:
    """Wait until *wake* is set and return None, or return why to stop the process before.

    *check* is called every `TICK_S` and returns why to stop; it must be cheap.
    """
    end = time.monotonic() + deadline_s
    while True:
        if wake.wait(max(0.0, min(TICK_S, end - time.monotonic()))):
            return None
        if cancel.is_set():
            return Stop(ending="cancelled", cause="interrupted")
        if time.monotonic() >= end:
            return Stop(ending="timeout", cause=f"still ran after {deadline_s:g} s")
        if stop := check():
            return stop
