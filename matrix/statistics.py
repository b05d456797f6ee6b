"""Statistics of raw samples. Rounds are the outer level, iterations within one the inner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]

RESAMPLES = 200
LEVEL = 0.95

#: Of a longer round this many samples, evenly spaced, are resampled: the interval is then wider
#: than it had to be, never narrower, and time and memory stay bounded.
RESAMPLED = 1000


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
    table = np.array([samples[-shortest:] for samples in kept])
    middle = _quantile(np.sort(table, axis=None), 0.5)
    every = -(-shortest // RESAMPLED)
    resampled = _resampled_medians(table[:, ::every], seed)
    return Estimate(
        median=middle,
        low=min(_quantile(resampled, (1 - LEVEL) / 2), middle),
        high=max(_quantile(resampled, (1 + LEVEL) / 2), middle),
        samples=table.size,
        rounds=len(kept),
    )


def _resampled_medians(table: Samples, seed: int) -> Samples:
    """Return, sorted, `RESAMPLES` medians of two-level resamples of (rounds, iterations)."""
    drawn = table.ravel().take(_draws(*table.shape, seed))
    low, high = (table.size - 1) // 2, table.size // 2
    drawn.partition((low, high), axis=1)  # several times faster than np.median
    medians: Samples = (drawn[:, low] + drawn[:, high]) / 2
    medians.sort()
    return medians


@lru_cache(maxsize=8)
def _draws(count: int, length: int, seed: int) -> npt.NDArray[np.intp]:
    """Return which samples each resample draws, (RESAMPLES, count x length); many share these."""
    random = np.random.default_rng(seed)
    outer = random.integers(count, size=(RESAMPLES, count, 1))
    inner = random.integers(length, size=(RESAMPLES, count, length))
    return (outer * length + inner).reshape(RESAMPLES, -1)


def quantile(rounds: Sequence[Samples], q: float) -> float | None:
    """Return a quantile of all samples, interpolated linearly (type 7), or None without any."""
    kept = [samples for samples in rounds if samples.size]
    return _quantile(np.sort(np.concatenate(kept)), q) if kept else None


def _quantile(ordered: Samples, share: float) -> float:
    """Return a quantile of type 7 of sorted samples; np.quantile takes far longer on so few."""
    place = share * (ordered.size - 1)
    below = int(place)
    low, high = float(ordered[below]), float(ordered[min(below + 1, ordered.size - 1)])
    return low if low == high else low + (place - below) * (high - low)
