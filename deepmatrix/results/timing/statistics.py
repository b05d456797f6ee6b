"""Statistics of raw samples. Rounds are the outer level, iterations within one the inner."""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from types import ModuleType
from typing import Literal

import numpy as np
import numpy.typing as npt

from deepmatrix.boundary.bounds import Amount, Count, FewFixed, Span

Samples = npt.NDArray[np.float64]

RESAMPLES = 200
LEVEL = 0.95

#: At most this many samples of a round, evenly spaced, are resampled. The interval of a longer
#: round is then wider than necessary, never narrower, and time and memory stay bounded.
RESAMPLED = 1000

#: Tables that are simulated for the comparison with the fastest.
SIMULATED = 20_000

#: How much the spread of rounds may differ between candidates: standard deviations of the spreads'
#: logarithms. By 0.5, a third of all spreads are less than 0.6 or more than 1.6 times the typical.
SPREADS = (0.0, 0.25, 0.5)

#: Samples in a batch of the warm-up rule: the median of five ignores a single outlier.
BATCHED = 5


@dataclass(frozen=True, kw_only=True)
class Bounded:
    """A quantile with its interval, in the unit of the samples."""

    value: Span
    low: Amount
    high: Amount


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A median with its interval, and p90 and p99 with theirs, in the unit of the samples."""

    median: Span
    low: Amount
    high: Amount
    samples: Count
    rounds: Count
    round_medians: FewFixed[Span] = ()
    tail: FewFixed[Bounded] = ()


def estimate(
    rounds: Sequence[Samples], *, tail: Sequence[float] = (), seed: int = 0
) -> Estimate | None:
    """Return the median over rounds and iterations with a hierarchical bootstrap interval.

    Every round counts the same: longer rounds lose their first samples, down to the length of the
    shortest. Rounds are drawn with replacement, then iterations within each drawn round
    (Davison and Hinkley, Bootstrap Methods and Their Application, 1997, section 3.8); the
    interval is the percentile one at `LEVEL` from `RESAMPLES` resamples. With few rounds it is
    too narrow; so each side is expanded, on a logarithmic scale, by the ratio of Student's t to
    the normal quantile (Hesterberg, "What teachers should know about the
    bootstrap", The American Statistician 69(4), 2015, section 3.2). With one round
    only the iterations vary: the interval does not cover differences between rounds.

    Args:
        rounds: one array of samples for each round, float64 (n,), none negative; empty arrays are
            ignored.
        tail: further quantiles, such as 0.9 and 0.99, each with its interval.
        seed: of the resampling; the same samples and seed give the same interval.
    """
    nonempty = [samples for samples in rounds if samples.size]
    if not nonempty:
        return None
    shortest = min(samples.size for samples in nonempty)
    table = np.array([samples[-shortest:] for samples in nonempty])
    ordered = np.sort(table, axis=None)
    every = -(-shortest // RESAMPLED)
    shares = (0.5, *tail)
    resampled = _resampled_quantiles(table[:, ::every], shares, seed)
    middle, *tail_quantiles = (
        _bounded(_quantile(ordered, share), quantiles, len(nonempty))
        for share, quantiles in zip(shares, resampled, strict=True)
    )
    return Estimate(
        median=middle.value,
        low=middle.low,
        high=middle.high,
        samples=table.size,
        rounds=len(nonempty),
        round_medians=tuple(_quantile(row, 0.5) for row in np.sort(table, axis=1)),
        tail=tuple(tail_quantiles),
    )


def _bounded(value: float, resampled: Samples, rounds: int) -> Bounded:
    """Return a quantile with its interval from the sorted quantiles of resamples."""
    low = min(_quantile(resampled, (1 - LEVEL) / 2), value)
    high = max(_quantile(resampled, (1 + LEVEL) / 2), value)
    if low <= 0:
        return Bounded(value=value, low=low, high=high)
    wider = _expansion(rounds)
    return Bounded(
        value=value, low=value * (low / value) ** wider, high=value * (high / value) ** wider
    )


@lru_cache
def _expansion(rounds: int) -> float:
    """Return the factor by which a percentile interval of some rounds is expanded."""
    if rounds == 1:
        return 1.0
    normal = NormalDist().inv_cdf((1 + LEVEL) / 2)
    return _student(rounds - 1) / normal * math.sqrt(rounds / (rounds - 1))


def _student(freedom: float) -> float:
    """Return Student's t at the upper end of `LEVEL`."""
    return float(scipy_module("special").stdtrit(freedom, (1 + LEVEL) / 2))


def scipy_module(name: str) -> ModuleType:
    """Import a module of SciPy. That takes half a second, and a single round needs none of it.

    SciPy imports `numpy.f2py`, which fails at a SOURCE_DATE_EPOCH that is no time.
    """
    epoch = os.environ.pop("SOURCE_DATE_EPOCH", None)
    try:
        return importlib.import_module(f"scipy.{name}")
    finally:
        if epoch is not None:
            os.environ["SOURCE_DATE_EPOCH"] = epoch


@dataclass(frozen=True, kw_only=True)
class Warmup:
    """The number of warm-up samples, and whether the samples after them are steady."""

    length: int
    steady: bool


def warmup(samples: Samples) -> Warmup:
    """Find the warm-up in the samples of one round, in their order.

    The marginal standard error rule (White, "An effective truncation heuristic for bias reduction
    in simulation output", Simulation 69(6), 1997), on medians of `BATCHED` samples in place of
    means: drop as many as minimise the standard error of the mean of the remaining ones, at most
    half. Where the minimum is at half, there is no steady state. Fewer than four batches are too
    few for the rule: nothing is dropped.
    """
    count = samples.size // BATCHED
    if count < 4:
        return Warmup(length=0, steady=True)
    medians = np.median(samples[: count * BATCHED].reshape(count, BATCHED), axis=1)
    remaining = count - np.arange(count)
    sums = np.cumsum(medians[::-1])[::-1]
    squares = np.cumsum(medians[::-1] ** 2)[::-1]
    errors = np.maximum(squares - sums**2 / remaining, 0.0) / remaining**2
    half = count // 2
    dropped = int(np.argmin(errors[: half + 1]))
    return Warmup(length=dropped * BATCHED, steady=dropped < half)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The ratio of two times with its interval, and the conclusion it allows."""

    direction: Literal["faster", "slower", "cannot tell"]
    ratio: float
    low: float
    high: float


def compare(
    candidate: Sequence[float], baseline: Sequence[float], *, fastest_of: int = 2
) -> Comparison | None:
    """Return whether a candidate is faster or slower than a baseline, from the rounds of both.

    A round is one number, the logarithm of its median: only rounds are independent, iterations
    within one are too alike to count as evidence. The interval of the ratio is Welch's t
    interval at `LEVEL` on them (Welch, "The generalization of Student's problem when several
    different population variances are involved", Biometrika 34, 1947). A bootstrap of so few
    rounds would be too narrow and give false alarms.

    A baseline that was chosen because it is the fastest of more than two is fast by chance too: the
    interval is then wide enough for all of them at once (see `_largest_t`).

    Args:
        candidate: the medians of its rounds, in seconds; `Estimate.round_medians`.
        baseline: the same of what it is compared with.
        fastest_of: the number of candidates of which the baseline is the fastest.

    Returns:
        None where one of them has fewer than two rounds.
    """
    a, b = np.log(candidate), np.log(baseline)
    if a.size < 2 or b.size < 2:
        return None
    parts = [float(side.var(ddof=1) / side.size) for side in (a, b)]
    spread = sum(parts)
    middle = float(a.mean() - b.mean())
    freedom = 1.0
    if spread > 0:
        weighted = sum(part**2 / (side.size - 1) for part, side in zip(parts, (a, b), strict=True))
        freedom = spread**2 / weighted
    rounds = min(a.size, b.size)
    t = _student(freedom) if fastest_of <= 2 else _largest_t(fastest_of, rounds)
    reach = t * spread**0.5
    low, ratio, high = np.exp([middle - reach, middle, middle + reach]).tolist()
    direction: Literal["faster", "slower", "cannot tell"] = "cannot tell"
    if high < 1:
        direction = "faster"
    elif low > 1:
        direction = "slower"
    return Comparison(direction=direction, ratio=ratio, low=low, high=high)


@lru_cache
def _largest_t(count: int, rounds: int) -> float:
    """Return what the largest t of equal candidates against the fastest of them stays below.

    In at least `LEVEL` of all tables of *count* candidates with so many *rounds*, by simulation:
    the maximum of t (Westfall and Young, Resampling-Based Multiple Testing, 1993), which knows that
    the fastest was chosen by the same rounds. Rounds of all candidates differ alike, or those of
    some more than those of others: the largest t of these cases counts. The level is raised by
    three standard errors of the simulation.
    """
    return max(_simulated_t(count, rounds, spread) for spread in SPREADS)


def _simulated_t(count: int, rounds: int, unequal: float) -> float:
    """Return the quantile of the largest t by simulation, with spreads that are this unequal."""
    random = np.random.default_rng([count, rounds])
    spreads = np.exp(unequal * random.standard_normal((SIMULATED, count, 1)))
    logs = spreads * random.standard_normal((SIMULATED, count, rounds))
    means, variances = logs.mean(axis=2), logs.var(axis=2, ddof=1) / rounds
    fastest = means.argmin(axis=1)[:, None]
    least, spread = (np.take_along_axis(of, fastest, axis=1) for of in (means, variances))
    largest = ((means - least) / np.sqrt(variances + spread)).max(axis=1)
    level = LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / SIMULATED)
    return float(np.quantile(largest, level))


def _resampled_quantiles(table: Samples, shares: Sequence[float], seed: int) -> list[Samples]:
    """Return, sorted, for each share `RESAMPLES` quantiles of two-level resamples.

    *table* holds the samples, (rounds, iterations); the quantiles are of type 7.
    """
    drawn = table.ravel().take(_draws(*table.shape, seed))
    places = [share * (table.size - 1) for share in shares]
    below = [int(place) for place in places]
    above = [min(place + 1, table.size - 1) for place in below]
    drawn.sort(axis=1)  # faster than to partition: numpy sorts with vector instructions
    by_share = []
    for place, low, high in zip(places, below, above, strict=True):
        quantiles: Samples = drawn[:, low] + (place - low) * (drawn[:, high] - drawn[:, low])
        quantiles.sort()
        by_share.append(quantiles)
    return by_share


@lru_cache(maxsize=8)
def _draws(count: int, length: int, seed: int) -> npt.NDArray[np.intp]:
    """Return the indices each resample draws, (RESAMPLES, count x length); shared by many calls."""
    random = np.random.default_rng(seed)
    outer = random.integers(count, size=(RESAMPLES, count, 1))
    inner = random.integers(length, size=(RESAMPLES, count, length))
    return (outer * length + inner).reshape(RESAMPLES, -1)


def spread(times: Estimate) -> float:
    """Return the range of the rounds' medians over the median."""
    return (max(times.round_medians) - min(times.round_medians)) / times.median


def _quantile(ordered: Samples, share: float) -> float:
    """Return a quantile of type 7 of sorted samples; np.quantile is far slower on so few."""
    place = share * (ordered.size - 1)
    below = int(place)
    low, high = float(ordered[below]), float(ordered[min(below + 1, ordered.size - 1)])
    return low if low == high else low + (place - below) * (high - low)
