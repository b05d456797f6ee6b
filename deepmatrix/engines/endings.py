"""What the end of a process means, from its exit code or signal and the system's report."""

from __future__ import annotations

import signal

from deepmatrix.engines import Ending, Limits
from deepmatrix.engines.watch import Stop
from deepmatrix.sizes import binary_size

#: A shell, and the init process of a container, report a signal as 128 + its number.
SIGNALLED = 128
LAST_SIGNAL = 64

#: After these, the files of a process are not taken: nobody wants them, or they are too large.
WITHOUT_FILES: frozenset[Ending] = frozenset({"cancelled", "disk-limit"})

EXPLAINED = {
    "SIGSEGV": "invalid memory access",
    "SIGBUS": "bus error",
    "SIGILL": "illegal instruction: built for another processor",
    "SIGFPE": "arithmetic error",
    "SIGABRT": "it aborted itself",
    "SIGSYS": "forbidden system call",
    "SIGXFSZ": "file too large",
}


def signal_of(code: int) -> int | None:
    """Return the signal behind an exit code, which is negative or over 128; None for neither."""
    if code < 0:
        return -code
    return code - SIGNALLED if SIGNALLED < code <= SIGNALLED + LAST_SIGNAL else None


def ended_by_itself(code: int, *, oom: bool, limits: Limits) -> Stop:
    """Return how a process ended that was not stopped. *oom*: the memory limit killed in it."""
    if code == 0:
        note = "a process it had started was killed: out of memory" if oom else ""
        return Stop(ending="exited", cause=note)
    number = signal_of(code)
    if oom:
        return out_of_memory(limits)
    if number is None:
        return Stop(ending="exited", cause=f"exit code {code}")
    return Stop(ending="crashed", cause=f"killed by {signal_name(number)}")


def out_of_memory(limits: Limits) -> Stop:
    """Say that a process needed more memory than it may use."""
    return Stop(
        ending="oom", cause=f"needed more than its {binary_size(limits.memory_bytes)} of memory"
    )


def out_of_processes(limits: Limits) -> Stop:
    """Return the ending of a process that used up its processes and threads."""
    return Stop(
        ending="process-limit",
        cause=f"used up its {limits.processes} processes and threads",
    )


def out_of_disk(limits: Limits) -> Stop:
    """Return the ending of a process whose files took more of the disk than they may."""
    return Stop(
        ending="disk-limit", cause=f"its files took more than {binary_size(limits.disk_bytes)}"
    )


def signal_name(number: int) -> str:
    """Name a signal, with its meaning where known: ``SIGSEGV (invalid memory access)``."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"{name} ({EXPLAINED[name]})" if name in EXPLAINED else name
