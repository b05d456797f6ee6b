"""Energy of whole processors, in joules, where Intel's RAPL counters can be read.

Linux shows them below ``/sys/class/powercap``; most systems let only root read them, and virtual
machines rarely have any. What is counted is the machine's, not a process's.
"""

from __future__ import annotations

from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


def counters(root: Path = POWERCAP) -> dict[str, int]:
    """Return the counters of the processor packages, microjoules by domain; none if unreadable."""
    found = {}
    for domain in sorted(root.glob("*-rapl:*")):
        try:
            if (domain / "name").read_text().startswith("package"):
                found[domain.name] = int((domain / "energy_uj").read_text())
        except (OSError, ValueError):
            continue
    return found


def spent(before: dict[str, int], after: dict[str, int], root: Path = POWERCAP) -> float | None:
    """Return the joules between two readings, or None where nothing could be read.

    A counter that ran over starts again at zero; it is taken to have done so once.
    """
    total = 0
    for domain in before.keys() & after.keys():
        used = after[domain] - before[domain]
        if used < 0:
            try:
                used += int((root / domain / "max_energy_range_uj").read_text())
            except (OSError, ValueError):
                return None
        total += used
    return total / 1e6 if before.keys() & after.keys() else None
