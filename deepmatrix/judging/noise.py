"""Noise: which rounds ran on a slower machine than others, and the machine's measured peak."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median

from deepmatrix.store.records import JobRecord
from deepmatrix.store.reported.output import Canary

#: A round is noisy where its canary is below this share of its cell's median.
NOISY_BELOW = 0.8

#: The worst rates of one job: matrix product in FLOP/s, memory copy in bytes/s.
Rates = tuple[float, float]


def rates(record: JobRecord) -> Rates | None:
    """Return a job's worst rates, or None where it has no canary."""
    canaries = record.output.canaries if record.output else ()
    if not canaries:
        return None
    return (
        min(canary.matmul_flops for canary in canaries),
        min(canary.copy_bytes_s for canary in canaries),
    )


def noisy_jobs(rates_by_job: Mapping[str, Rates]) -> list[str]:
    """Return the ids of the jobs of one cell that ran on a slower machine than its others."""
    if not rates_by_job:
        return []
    typical = [median(job_rates[index] for job_rates in rates_by_job.values()) for index in (0, 1)]
    return [
        job
        for job, job_rates in rates_by_job.items()
        if any(rate < NOISY_BELOW * usual for rate, usual in zip(job_rates, typical, strict=True))
    ]


def peak_flops(canaries: Iterable[Canary]) -> float | None:
    """Return the rate of the fastest matrix product that any canary measured, FLOP/s."""
    return max((canary.matmul_flops_best for canary in canaries), default=None)
