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

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def resume_command(run: Run) -> str:
    """Return the command that finishes the run, wherever it is."""
    path = run.path.resolve()
    command = run.manifest.plan.command
    return command_line(command, "--resume", path.name, "--runs", str(path.parent))


def interrupted(run: Run) -> Interrupted:
    """Return the error of a run that the user interrupted."""
    plan = run.manifest.plan
    if not any(plan.size(wave) for wave in WAVES):
        return Interrupted("interrupted", hint="nothing was saved: start again")
    return Interrupted(
        "interrupted; the records of all finished jobs are saved",
        hint=f"go on with: {resume_command(run)}",
    )


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
    """Turn SIGINT and SIGTERM into an event, so that a job ends in order; put them back after."""
    cancel = threading.Event()

    def set_event(number: int, frame: FrameType | None) -> None:
        del number, frame
        cancel.set()

    handlers = {number: signal.signal(number, set_event) for number in SIGNALS}
    try:
        yield cancel
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
