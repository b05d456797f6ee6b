"""Numbers as the user reads them. A number that is not there is a dash."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from deepmatrix.sizes import decimal_size
from harness.record import SMALLEST_SCALE

if TYPE_CHECKING:  # it needs numpy, which not every command imports
    from deepmatrix.results.timing.statistics import Comparison, Estimate

DASH = "–"

#: What an error is, as docs/method.md says it.
ERROR = (
    "the largest difference from gold, divided by gold's largest value "
    f"(or by {SMALLEST_SCALE:g} if that is larger)"
)


def duration(seconds: float | None) -> str:
    """Three significant digits in the unit that fits: ``71.2 µs``, ``1.20 ms``, ``54.1 s``."""
    if seconds is None:
        return DASH
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale or unit == "µs":
            return f"{_significant(seconds / scale)} {unit}"
    raise AssertionError("unreachable")


def span(seconds: float) -> str:
    """A time to wait, in whole seconds or minutes: ``45 s``, ``15 min``."""
    return f"{seconds:.0f} s" if seconds < 119.5 else f"{seconds / 60:.0f} min"


def minute(created: str) -> str:
    """A time of ISO 8601 to the minute: ``2026-11-29 01:10``."""
    return created[:16].replace("T", " ")


def interval(estimate: Estimate | None) -> str:
    """A median with its interval in one unit: ``1.20 [1.18, 1.25] ms``.

    One round has no interval: it cannot know how processes differ.
    """
    if estimate is None:
        return DASH
    text = duration(estimate.median)
    if estimate.rounds == 1:
        return text
    number, unit = text.split(" ")
    scale = {"s": 1.0, "ms": 1e-3, "µs": 1e-6}[unit]
    low, high = (_significant(value / scale) for value in (estimate.low, estimate.high))
    return f"{number} [{low}, {high}] {unit}"


def size(count: int | None) -> str:
    """Bytes in kB, MB or GB, decimal units."""
    return DASH if count is None else decimal_size(count)


def rate(value: float | None) -> str:
    """A throughput in samples per second: ``1,200/s``."""
    return DASH if value is None else f"{value:,.0f}/s"


def error(value: float | None) -> str:
    """A relative error: ``3.1e-08``."""
    return DASH if value is None else f"{value:.1e}"


#: The number of parts of a meter.
METER = 5


def meter(error: float | None, tolerance: float | None) -> str:
    """An error's share of its tolerance, to see and to read: ``▰▰▱▱▱ 31 %``, ``▰▰▰▰▰ 42×``."""
    if error is None or tolerance is None or not (math.isfinite(error) and tolerance > 0):
        return DASH
    ratio = error / tolerance  # infinite where that is beyond the largest float
    full = math.ceil(min(ratio * METER, METER))
    figure = f"{ratio * 100:.0f}\N{NO-BREAK SPACE}%" if ratio < 1.995 else f"{ratio:.0f}×"
    figure = figure if ratio < 1000 else ">999×"
    return f"{'▰' * full}{'▱' * (METER - full)}\N{NO-BREAK SPACE}{figure}"


def cosine(value: float | None) -> str:
    """A cosine similarity: ``0.999982``."""
    return DASH if value is None else f"{value:.6f}"


def share(value: float | None) -> str:
    """A share of one in percent: ``97.2 %``."""
    return DASH if value is None else f"{value * 100:.1f} %"


def accuracy(
    value: float | None, *, greedy: float | None = None, guessed: float | None = None
) -> str:
    """A share of right answers: ``10.3 % (near chance)``, ``99.1 % forced, 87.0 % greedy``.

    *greedy* is that of a decoder by its own answers, *guessed* what guessing reaches.
    """
    if value is None:
        return DASH
    text = share(value) if greedy is None else f"{share(value)} forced, {share(greedy)} greedy"
    lesser = value if greedy is None else min(value, greedy)
    near_chance = guessed is not None and lesser <= guessed
    return f"{text} (near chance)" if near_chance else text


def count(number: int, noun: str) -> str:
    """A number of things: ``1 verdict``, ``3 verdicts``."""
    return f"{number} {noun}{'s' * (number != 1)}"


def ratio(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """How many times as much: ``1.101× [1.082, 1.120]``, ``32.15×`` without an interval."""
    if value is None:
        return DASH
    if low is None or high is None:
        return f"{_factor(value)}×"
    text = f"{_factor(value)}× [{_factor(low)}, {_factor(high)}]"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _factor(value: float) -> str:
    """Return a factor with so many digits that a change of a thousandth is seen, or three."""
    if not 0.1 <= value < 1e6:
        return f"{value:.3g}"
    decimals = 3 if value < 10 else 2 if value < 100 else 1
    return f"{value:,.{decimals}f}"


def compared(comparison: Comparison | None) -> str:
    """A ratio of two times where their rounds can tell it; None: there is one round only."""
    if comparison is None:
        return "one round"
    if comparison.direction == "cannot tell":
        return comparison.direction
    return ratio(comparison.ratio, comparison.low, comparison.high)


def _significant(value: float) -> str:
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"
