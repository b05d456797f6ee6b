"""Watching a process without using the CPU it is measured on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

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


#: How a process ends that the user interrupted.
CANCELLED: Final = Stop(ending="cancelled", cause="interrupted")


class Tail:
    """The last part of the log of a job, and whether the log is longer than allowed.

    A process that serves several jobs writes a line with its *nonce* after each but the last: then
    the job's log is a section of its own, and the next one's begins. It gets its next job after the
    section was taken: until then such a line is as any other, so at most one section is held.
    """

    def __init__(self, limit_bytes: int, nonce: str = "") -> None:
        self.limit_bytes = limit_bytes
        self.bytes = 0
        self._end = bytearray()
        self._mark = f"\n{nonce}\n".encode() if nonce else b""
        self._section: str | None = None

    @property
    def is_over(self) -> bool:
        """Say whether the log is longer than allowed."""
        return self.bytes > self.limit_bytes

    def add(self, data: bytes) -> bool:
        """Add the next output; return whether a section ended with it."""
        self.bytes += len(data)
        searched = max(0, len(self._end) - len(self._mark))
        self._end += data
        is_expected = self._mark and self._section is None
        if is_expected and (place := self._end.find(self._mark, searched)) >= 0:
            rest = self._end[place + len(self._mark) :]
            self.bytes -= len(rest) + len(self._mark)
            del self._end[place:]
            section = self.text()
            self._end, self.bytes = rest, len(rest)
            self._section = section
            return True
        if len(self._end) > 2 * LOG_BYTES:
            del self._end[:-LOG_BYTES]
        return False

    def take_section(self) -> str | None:
        """Return the section that ended, once, or None."""
        section = self._section
        if section is not None:  # else one may end at this moment
            self._section = None
        return section

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


class Wake:
    """Wakes who waits for a process: it has ended, or it has served a job."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._is_over = False

    def end(self) -> None:
        """Tell that there is nothing more to wait for."""
        self._is_over = True
        self._event.set()

    def look(self) -> None:
        """Tell that a job was served."""
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Wait; return whether there is news."""
        return self._event.wait(seconds)

    def is_over(self) -> bool:
        """Return whether it ended; later news wakes again."""
        self._event.clear()
        return self._is_over


def wait_for_end(
    wake: Wake,
    *,
    cancel: threading.Event,
    deadline_s: float,
    check: Callable[[], Stop | None] = lambda: None,
    serve: Callable[[], bool] = lambda: False,
) -> Stop | None:
    """Wait until the process ends and return None, or return why to stop it before.

    *check* is called every `TICK_S` and returns why to stop; it must be cheap. *serve* is called
    when there is news: it hands over the next job if one was served, and returns whether it did.
    The deadline then begins anew.
    """
    end = time.monotonic() + deadline_s
    while True:
        if wake.wait(max(0.0, min(TICK_S, end - time.monotonic()))):
            is_over = wake.is_over()
            if serve():
                end = time.monotonic() + deadline_s
            if is_over:
                return None
        if cancel.is_set():
            return CANCELLED
        if time.monotonic() >= end:
            return Stop(ending="timeout", cause=f"still ran after {deadline_s:g} s")
        if stop := check():
            return stop
