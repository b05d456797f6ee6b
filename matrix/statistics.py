"""Statistics of raw samples. Rounds are the outer level, iterations within one the inner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]

RESAMPLES = 200
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A median with its interval, in the unit of the samples."""

    median: float
    low: float
    high: float
    samples: int
    rounds: int


def estimate(rounds: Sequence[Samples], *, seed: int = 0) -> Estimate | None:
    """Return the median over rounds and iterations with a hierarchical bootstrap interval.

    Every round counts the same: of those that took more samples than the shortest, the first
    ones are left out. Rounds are drawn with replacement, then iterations within each drawn round
    (Davison and Hinkley, Bootstrap Methods and Their Application, 1997, section 3.8); the
    interval is the percentile one at `LEVEL` from `RESAMPLES` resamples, widened to the median
    where it misses it. With one round only the iterations vary, and the interval cannot know
    how rounds differ: `rounds` says so.

    Args:
        rounds: one array of samples, float64 (n,), a round; empty ones are left out.
        seed: of the resampling; the same samples and seed give the same interval.
    """
    kept = [samples for samples in rounds if samples.size]
    if not kept:
        return None
    shortest = min(samples.size for samples in kept)
    table = np.stack([samples[-shortest:] for samples in kept])
    middle = float(np.median(table))
    resampled = _resampled_medians(table, np.random.default_rng(seed))
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(
        median=middle,
        low=min(float(low), middle),
        high=max(float(high), middle),
        samples=table.size,
        rounds=len(kept),
    )


def _resampled_medians(table: Samples, random: np.random.Generator) -> Samples:
    """Return `RESAMPLES` medians of two-level resamples of *table*, (rounds, iterations)."""
    count, length = table.shape
    outer = random.integers(count, size=(RESAMPLES, count, 1))
    inner = random.integers(length, size=(RESAMPLES, count, length))
    drawn = table.ravel().take(outer * length + inner).reshape(RESAMPLES, -1)
    middle = [(table.size - 1) // 2, table.size // 2]
    drawn.partition(middle, axis=1)  # several times faster than np.median
    means: Samples = drawn[:, middle].mean(axis=1)
    return means


def quantile(rounds: Sequence[Samples], q: float) -> float | None:
    """Return a quantile of all samples, interpolated linearly (type 7), or None without any."""
    kept = [samples for samples in rounds if samples.size]
    return float(np.quantile(np.concatenate(kept), q)) if kept else None
