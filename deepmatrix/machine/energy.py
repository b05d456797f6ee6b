"""Energy of whole processors, in joules, where Intel's RAPL counters can be read.

Linux shows them below ``/sys/class/powercap``; most systems let only root read them, and virtual
machines rarely have any. They count the energy of the whole machine, not of one process.
"""

from __future__ import annotations

from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


def read_counters(root: Path = POWERCAP) -> dict[str, int]:
    """Return the counters of the processor packages, microjoules by domain; none if unreadable."""
    microjoules = {}
    for domain in sorted(root.glob("*-rapl:*")):
        try:
            if (domain / "name").read_text().startswith("package"):
                microjoules[domain.name] = int((domain / "energy_uj").read_text())
        except (OSError, ValueError):
            continue
    return microjoules


def joules_between(
    before: dict[str, int], after: dict[str, int], root: Path = POWERCAP
) -> float | None:
    """Return the joules between two readings, or None where nothing could be read.

    A counter that overflows starts at zero; it is assumed to overflow at most once.
    """
    microjoules = 0
    for domain in before.keys() & after.keys():
        difference = after[domain] - before[domain]
        if difference < 0:
            try:
                difference += int((root / domain / "max_energy_range_uj").read_text())
            except (OSError, ValueError):
                return None
        microjoules += difference
    return microjoules / 1e6 if before.keys() & after.keys() else None
