"""Lanes: the CPUs on which sessions run side by side, and the threads that follow them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from deepmatrix.config.sections import Limits
from deepmatrix.engines.watch import TICK_S
from deepmatrix.errors import ArgumentError
from deepmatrix.planning.cells import Capabilities

Work = TypeVar("Work")

#: The CPUs of one process.
Cpus = tuple[int, ...]


def check_threads(limits: Limits, capabilities: Capabilities) -> None:
    """Raise ArgumentError where a cell may use more CPUs than the engine has."""
    if limits.threads > capabilities.cpus:
        raise ArgumentError(
            f"limits.threads is {limits.threads}; the engine has {capabilities.cpus} CPUs"
        )


def timed_cpus(limits: Limits, capabilities: Capabilities) -> Cpus:
    """Return the CPUs of what is timed: the last ones, where none are named.

    Raises:
        ArgumentError: the engine does not have them.
    """
    check_threads(limits, capabilities)
    last = capabilities.cpus
    cpus = limits.cpus or tuple(range(last - limits.threads, last))  # the first are busiest
    if len(set(cpus)) < limits.threads or max(cpus) >= last:
        raise ArgumentError(
            f"limits.cpus is {list(cpus)}: at least {limits.threads} of the engine's CPUs, "
            f"0 to {last - 1}, are needed"
        )
    return cpus


def checked_cpus(limits: Limits, capabilities: Capabilities) -> list[Cpus]:
    """Return the CPUs of each lane for what is only checked.

    A lane has as many CPUs as a process has threads, of those that are named, else of all. There
    are no more lanes than the engine's memory holds processes at their limit; where its memory is
    unknown, there is one.
    """
    timed = timed_cpus(limits, capabilities)
    cpus = sorted(set(limits.cpus or range(capabilities.cpus)), reverse=True)
    width = limits.threads
    lanes = [tuple(cpus[first : first + width]) for first in range(0, len(cpus), width)]
    whole = [lane for lane in lanes if len(lane) == width]
    return whole[: max(1, capabilities.memory_bytes // int(limits.memory))] or [timed]


def work_off(
    work: Sequence[Work],
    lanes: Sequence[Cpus],
    do: Callable[[Work, Cpus], None],
    cancel: threading.Event,
) -> None:
    """Do all *work* in its order, each piece in the next lane that is free.

    The first error ends it: *cancel* is set for the other lanes, and the error is raised.
    """
    pending = deque(work)
    errors: list[BaseException] = []

    def follow(cpus: Cpus) -> None:
        while not errors:
            try:
                piece = pending.popleft()
            except IndexError:
                return
            try:
                do(piece, cpus)
            except BaseException as error:  # raised again below, in the caller's thread
                errors.append(error)
                cancel.set()

    if len(lanes) == 1 or len(pending) < 2:
        while pending:
            do(pending.popleft(), lanes[0])
        return
    threads = [
        threading.Thread(target=follow, args=(cpus,), name=f"lane {cpus}")
        for cpus in lanes[: len(pending)]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(TICK_S)  # a signal may reach another thread: this one has to wake for it
    if errors:
        raise errors[0]
