"""Canaries: which rounds a disturbed machine touched, and what the machine can do at its best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median

from deepmatrix.store.output import Canary
from deepmatrix.store.records import JobRecord

#: A round whose canary is below this share of its cell's median strays: the machine was busy.
STRAYS_BELOW = 0.8


Rates = tuple[float, float]


def rates(record: JobRecord) -> Rates | None:
    """Return a job's worst product and copy rates, FLOP/s and bytes/s, or None without any."""
    found = record.output.canaries if record.output else ()
    if not found:
        return None
    return min(one.matmul_flops for one in found), min(one.copy_bytes_s for one in found)


def strays(taken: Mapping[str, Rates]) -> list[str]:
    """Return which jobs of one cell, by id, ran on a slower machine than its other jobs."""
    if not taken:
        return []
    usual = [median(rate[index] for rate in taken.values()) for index in (0, 1)]
    return [
        job
        for job, found in taken.items()
        if any(rate < STRAYS_BELOW * typical for rate, typical in zip(found, usual, strict=True))
    ]


def peak(canaries: Iterable[Canary]) -> float | None:
    """Return the fastest matrix product of any, FLOP/s: what the machine has shown it can do."""
    return max((one.matmul_flops_best for one in canaries), default=None)
