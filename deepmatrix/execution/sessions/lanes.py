"""Lanes: the CPUs and the memory with which sessions run side by side, and their threads."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from deepmatrix.config.sections import Limits
from deepmatrix.engines.watch import TICK_S
from deepmatrix.errors import ArgumentError
from deepmatrix.planning.cells import Capabilities

Work = TypeVar("Work")

#: Bytes for each process that is only checked, at least: what frameworks need for small models.
LEAST_MEMORY: Final = 2 << 30


@dataclass(frozen=True)
class Lane:
    """What one process at a time may use: CPUs, and at most so many bytes of memory."""

    cpus: tuple[int, ...]
    memory_bytes: int


def timed_lane(limits: Limits, capabilities: Capabilities, threads: int = 0) -> Lane:
    """Return the lane of what is timed: the last CPUs where none are named, and all the memory.

    *threads*: the most that a cell has, where that is more than the limits' number. A cell with
    more than the engine has CPUs does not run there.

    Raises:
        ArgumentError: the engine does not have them.
    """
    last = capabilities.cpus
    if limits.threads > last:
        raise ArgumentError(
            f"limits.threads is {limits.threads}; the engine has {last} CPUs",
            hint="lower `threads` under `limits` in the matrix file",
        )
    width = min(max(limits.threads, threads), last)
    named = tuple(dict.fromkeys(limits.cpus))  # a process would wait for itself at the second
    cpus = named or tuple(range(last - width, last))  # the first are busiest
    if len(cpus) < width or max(cpus) >= last:
        raise ArgumentError(
            f"limits.cpus is {list(cpus)}: at least {width} of the engine's CPUs, "
            f"0 to {last - 1}, are needed",
            hint="change `cpus` under `limits` in the matrix file; [] takes the last ones",
        )
    return Lane(cpus, int(limits.memory))


def checked_lanes(limits: Limits, capabilities: Capabilities) -> list[Lane]:
    """Return the lanes of what is only checked.

    A lane has as many CPUs as a process has threads, of those that are named, else of all. Lanes
    share most of the engine's memory, `LEAST_MEMORY` each at least; where it is unknown, there is
    one. What fails in a share of the memory is tried again in the lane of what is timed.
    """
    timed = timed_lane(limits, capabilities)
    cpus = limits.cpus or range(capabilities.cpus)
    lanes = _divide(cpus, _usable_memory(capabilities), limits)
    return lanes if len(lanes) > 1 else [timed]


def spare_lanes(limits: Limits, capabilities: Capabilities, threads: int = 0) -> list[Lane]:
    """Return the lanes of what is only checked while something is timed; none where none may be.

    What is timed keeps its CPUs and all of its memory; the engine and this program keep the first
    CPU. *threads*: as of `timed_lane`.
    """
    if not limits.beside:
        return []
    timed = timed_lane(limits, capabilities, threads)
    cpus = set(range(1, capabilities.cpus)).difference(timed.cpus) if not limits.cpus else ()
    return _divide(cpus, _usable_memory(capabilities) - timed.memory_bytes, limits)


def freed_lanes(limits: Limits, capabilities: Capabilities, threads: int = 0) -> list[Lane]:
    """Return the lanes of what `spare_lanes` leaves: those of what is checked once all is timed."""
    spare = spare_lanes(limits, capabilities, threads)
    cpus = set(range(capabilities.cpus)).difference(*(lane.cpus for lane in spare))
    memory_bytes = _usable_memory(capabilities) - sum(lane.memory_bytes for lane in spare)
    return _divide(cpus, memory_bytes, limits)


def _usable_memory(capabilities: Capabilities) -> int:
    return capabilities.memory_bytes // 8 * 7  # the rest is for the engine and its files


def _divide(cpus: Iterable[int], memory_bytes: int, limits: Limits) -> list[Lane]:
    """Return lanes with as many CPUs as a process has threads, each with a share of the memory."""
    ordered, width = sorted(set(cpus), reverse=True), limits.threads
    slices = [tuple(ordered[first : first + width]) for first in range(0, len(ordered), width)]
    whole = [lane for lane in slices if len(lane) == width]
    count = min(len(whole), max(memory_bytes, 0) // min(LEAST_MEMORY, int(limits.memory)))
    return [Lane(cpus, min(int(limits.memory), memory_bytes // count)) for cpus in whole[:count]]


def work_off(
    work: Iterable[Work],
    lanes: Sequence[Lane],
    do: Callable[[Work, Lane], None],
    cancel: threading.Event,
) -> None:
    """Do all *work* in its order, each piece in the next lane that is free.

    The first error ends it: *cancel* is set for the other lanes, and the error is raised.
    """
    pieces, taking, failed = iter(work), threading.Lock(), threading.Event()

    def take() -> Work | None:
        with taking:
            return None if failed.is_set() else next(pieces, None)

    def follow(lane: Lane) -> None:
        try:
            while (piece := take()) is not None:
                do(piece, lane)
        except BaseException:
            failed.set()
            raise

    run_together([functools.partial(follow, lane) for lane in lanes], cancel)


def run_together(works: Sequence[Callable[[], None]], cancel: threading.Event) -> None:
    """Do several works at once, a single one in this thread.

    The first error ends it: *cancel* is set for the others, and the error is raised.
    """
    if len(works) == 1:
        works[0]()
        return
    errors: list[BaseException] = []

    def attempt(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # raised again below, in the caller's thread
            errors.append(error)
            cancel.set()

    # What is interrupted waits for none of them.
    threads = [threading.Thread(target=attempt, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(TICK_S)  # a signal may reach another thread: this one has to wake for it
    if errors:
        raise errors[0]
