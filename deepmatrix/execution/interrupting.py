"""Interrupting a run: signals become an event; the error names the command that resumes it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from deepmatrix.errors import Interrupted
from deepmatrix.invocation import command_line
from deepmatrix.planning.plan import WAVES
from deepmatrix.store.runs import Run

#: What ends a run in order. A terminal that is closed sends SIGHUP; Windows has SIGBREAK for it.
SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
)


def resume_command(run: Run) -> str:
    """Return the command that finishes the run, wherever it is."""
    path = run.path.resolve()
    command = run.manifest.plan.command
    return command_line(command, "--resume", path.name, "--runs", str(path.parent))


def interrupted(run: Run, left: str = "") -> Interrupted:
    """Return the error of a run that the user interrupted; *left* is what may be left behind."""
    also = f"\n{left}" if left else ""
    plan = run.manifest.plan
    if not any(plan.size(wave) for wave in WAVES):
        return Interrupted(f"interrupted{also}", hint="nothing was saved: start again")
    return Interrupted(
        f"interrupted; the records of all finished jobs are saved{also}",
        hint=f"go on with: {resume_command(run)}",
    )


def heeded_signals() -> list[signal.Signals]:
    """Return those of `SIGNALS` that this process does not ignore."""
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


@contextlib.contextmanager
def interrupt_on_signal() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into KeyboardInterrupt where no job runs; put them back after."""
    handlers = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
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
