"""The signals that end a run, as an exception or as an event."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

#: PR_SET_PDEATHSIG of Linux's prctl.
PARENT_DEATH_SIGNAL = 1

#: What ends a run in order. A terminal that is closed sends SIGHUP; Windows has SIGBREAK for it.
SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
)


def end_with_parent() -> None:
    """Have the system send SIGTERM to this process when its parent ends, where it is Linux.

    A supervisor that ends nox alone would leave a run that nobody knows of.
    """
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - signals are not heeded before this module is loaded

        with contextlib.suppress(OSError, AttributeError):  # a libc without it
            ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGTERM)


def heeded_signals() -> list[signal.Signals]:
    """Return those of `SIGNALS` that this process does not ignore."""
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def ignore_signals() -> None:
    """Ignore `SIGNALS` from now on: this process is about to end."""
    for number in heeded_signals():
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def hold_signals() -> Iterator[None]:
    """Delay `SIGNALS` to the end of the block. Processes that are started in it never heed them.

    These inherit that signals are blocked. On Windows they heed them until `ignore_signals`.
    """
    held: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        held.append(number)

    # Blocking covers this thread alone. The system may give a signal to another one, and Python
    # then runs its handler here: so the handlers only take note.
    is_main = threading.current_thread() is threading.main_thread()
    numbers = heeded_signals() if is_main else []
    handlers = {number: signal.signal(number, note) for number in numbers}
    try:
        with _blocked():
            yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for noted in held:
            signal.raise_signal(noted)


@contextlib.contextmanager
def _blocked() -> Iterator[None]:
    """Block `SIGNALS` in this thread, and in what it starts."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def interrupt_on_signal() -> Iterator[None]:
    """Turn the signals that end a run into KeyboardInterrupt; put their handlers back after."""
    handlers = {
        number: signal.signal(number, signal.default_int_handler) for number in heeded_signals()
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def cancel_on_signal() -> Iterator[threading.Event]:
    """Turn the signals that end a run into an event, so that a job ends in order.

    Their handlers are put back after. A signal that is ignored, as nohup wants it, stays so.
    """
    cancel = threading.Event()

    def set_event(number: int, frame: FrameType | None) -> None:
        del number, frame
        cancel.set()

    handlers = {number: signal.signal(number, set_event) for number in heeded_signals()}
    try:
        yield cancel
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
