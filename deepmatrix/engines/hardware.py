"""This machine, as facts that tell it from others without naming it."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path
from typing import Final

from deepmatrix.engines import local
from deepmatrix.machine import owner

#: Linux's list of processors.
CPUINFO: Final = Path("/proc/cpuinfo")

#: What the fact of an emulator's program begins with; an architecture follows.
EMULATOR: Final = "emulator of "

#: The facts of an engine that a fleet has: the scheduler's address or the name of
#: the file that lists it, the folder of the client's certificates as the user named it (of an
#: address only), and its worker's name there.
FLEET: Final = "fleet"
CERTIFICATES: Final = "certificates"
WORKER: Final = "worker"

#: Why an engine got nothing more to do in a run.
ASIDE: Final = "aside"

#: The lines of a processor's instruction sets, on x86 and on ARM.
FEATURES: Final = ("flags", "Features")


def machine_facts() -> dict[str, str]:
    """Return the facts of this machine: an id of 12 hex digits, processor, CPUs and memory."""
    return {
        "machine": owner.this_process().machine,
        "cpu_count": str(len(local.usable_cpus())),
        "memory_bytes": str(local.memory_bytes()),
        **processor_facts(),
    }


def processor_facts(cpuinfo: Path = CPUINFO) -> dict[str, str]:
    """Return the processor's name, and what its instruction sets hash to, where these are known."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    values: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        values.setdefault(name.strip(), value.strip())
    features = next((values[name] for name in FEATURES if name in values), "")
    processor = values.get("model name") or platform.processor() or platform.machine()
    return {"processor": processor, "features": short_digest(features)}


def short_digest(text: str) -> str:
    """Return 12 hex digits of a text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
