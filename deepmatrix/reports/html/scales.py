"""Scales: where on a drawing a number stands, and the marks of the axis."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

#: The decades in which every power of ten is a normal float: an axis has no others.
LEAST_DECADE, LAST_DECADE = -307, 308

#: An axis has at most this many marks with a label.
MOST_TICKS = 6

#: A scale around values has so much room above and below them, as a share of the largest.
ROOM = 0.25


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A mark of an axis: its place, and its label."""

    place: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A scale from *low* to *high* over *length* units of a drawing."""

    low: float
    high: float
    length: float
    is_logarithmic: bool
    label: Callable[[float], str]

    def place(self, value: float) -> float:
        """Return where a value stands; one that is beyond an end stands there."""
        share = (self._bent(value) - self._bent(self.low)) / (
            self._bent(self.high) - self._bent(self.low)
        )
        return round(min(max(share, 0.0), 1.0) * self.length, 1)

    def _bent(self, value: float) -> float:
        return math.log10(max(value, self.low)) if self.is_logarithmic else value

    @property
    def ticks(self) -> list[Tick]:
        """The marks of the axis."""
        if self.is_logarithmic:
            decades = range(round(math.log10(self.low)), round(math.log10(self.high)) + 1)
            every = -(-len(decades) // MOST_TICKS)
            values = [10.0**decade for decade in decades[::every]]
        else:
            step = _round_step((self.high - self.low) / (MOST_TICKS - 1))
            first, last = math.ceil(self.low / step - 1e-9), int(self.high / step + 1e-9)
            values = [step * number for number in range(first, last + 1)]
        return [Tick(place=self.place(value), label=_short(self.label(value))) for value in values]


def _round_step(least: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is at least *least*."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * 0.999)


def _short(label: str) -> str:
    """Return a label without digits that say nothing: ``10 µs`` for ``10.0 µs``, 0 for zero."""
    shortened = re.sub(r"\.0+(?!\d)", "", label)
    return "0" if re.fullmatch(r"0 \S+", shortened) else shortened


#: Where a label may stand beside its dot: to the sides of it, then further and further away.
ANGLES = tuple(math.radians(degrees) for degrees in (90, 270, 0, 180, 45, 135, 225, 315))
DISTANCES = (11, 18, 26, 36, 48, 62, 80)

#: The room of a label, and of a dot, in units of a drawing.
LABEL, DOT = (15, 11), 8


def label_places(dots: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return a place for the label of each dot, by its middle: none lies on another, or on a dot.

    Where there is no room left within the largest distance, it stands above its dot.
    """
    places: list[tuple[float, float]] = []
    for x, y in dots:
        candidates = (
            (round(x + distance * math.cos(angle), 1), round(y - distance * math.sin(angle), 1))
            for distance in DISTANCES
            for angle in ANGLES
        )
        places.append(
            next((at for at in candidates if _is_free(at, places, dots)), (x, y - DISTANCES[0]))
        )
    return places


def _is_free(
    at: tuple[float, float],
    labels: Sequence[tuple[float, float]],
    dots: Sequence[tuple[float, float]],
) -> bool:
    """Return whether a label has room among others and dots."""
    width, height = LABEL
    return not any(
        abs(at[0] - x) < width and abs(at[1] - y) < height for x, y in labels
    ) and not any(
        abs(at[0] - x) < (width + DOT) / 2 and abs(at[1] - y) < (height + DOT) / 2 for x, y in dots
    )


def logarithmic(
    values: Iterable[float], length: float, label: Callable[[float], str]
) -> Scale | None:
    """Return a scale of whole decades that holds all positive values, None without any.

    Those beyond the decades of normal floats stand at its ends.
    """
    positive = [value for value in values if 0 < value < math.inf]
    if not positive:
        return None
    low = min(max(math.floor(math.log10(min(positive))), LEAST_DECADE), LAST_DECADE - 1)
    high = min(max(math.ceil(math.log10(max(positive))), low + 1), LAST_DECADE)
    return Scale(
        low=10.0**low,
        high=10.0**high,
        length=length,
        is_logarithmic=True,
        label=label,
    )


def linear(values: Iterable[float], length: float, label: Callable[[float], str]) -> Scale | None:
    """Return a scale from zero to the largest value, None without one above zero."""
    high = max((value for value in values if value < math.inf), default=0.0)
    if high <= 0:
        return None
    high = max(high, 10.0**LEAST_DECADE)
    return Scale(low=0.0, high=high, length=length, is_logarithmic=False, label=label)


def around(values: Iterable[float], length: float, label: Callable[[float], str]) -> Scale:
    """Return a scale from below the least of some finite values to above the largest.

    It is so wide that noise looks like noise, and marks differ in two digits.
    """
    known = list(values)
    low, high = min(known), max(known)
    room = max((high - low) / 10, high * ROOM)
    return Scale(
        low=max(low - room, 0.0),
        high=max(high + room, 10.0**LEAST_DECADE),
        length=length,
        is_logarithmic=False,
        label=label,
    )
