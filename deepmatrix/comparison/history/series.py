"""Series of a history: one measurement in all runs alike, with its change points."""

from __future__ import annotations

import difflib
import fnmatch
import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from deepmatrix.comparison.history.changepoints import change_points
from deepmatrix.comparison.history.lines import Measurement
from deepmatrix.config.documents import did_you_mean
from deepmatrix.errors import ArgumentError

#: What an error of zero counts as, which has no logarithm: less than float32 rounds to.
FLOOR = 1e-9

#: So many series are named where none matches.
MOST_KNOWN = 10


@dataclass(frozen=True, kw_only=True)
class Level:
    """Runs from *start* to before *end*, by their index, at one level: the median of values."""

    start: int
    end: int
    value: float

    def over(self, earlier: Level) -> float:
        """Return its ratio to an earlier level, infinite where only that is zero."""
        if earlier.value:
            return self.value / earlier.value
        return math.inf if self.value else 1.0


@dataclass(frozen=True, kw_only=True)
class Series:
    """A measurement in the runs that can be compared, the oldest first; how many are left out.

    Times are those of one machine, sizes those of one kind of engine.
    """

    name: str
    points: tuple[Measurement, ...]
    left_out: int = 0

    @property
    def values(self) -> list[float]:
        """The values, of which none is missing."""
        return [point.value for point in self.points if point.value is not None]

    @cached_property
    def levels(self) -> list[Level]:
        """The levels between the change points, one where there is none."""
        values = self.values
        floor = min([FLOOR, *filter(None, values)])
        points = change_points([value or floor for value in values])
        edges = [0, *points, len(values)]
        return [
            Level(start=start, end=end, value=statistics.median(values[start:end]))
            for start, end in itertools.pairwise(edges)
            if start < end
        ]


def series(measurements: Sequence[Measurement], pattern: str = "*") -> list[Series]:
    """Return the series whose names match a glob; of the newest run's machine or engine only.

    Raises:
        ArgumentError: there is none.
    """
    names = sorted({line.series for line in measurements})
    matching = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
    if not matching:
        more = [f"and {len(names) - MOST_KNOWN} more"] if len(names) > MOST_KNOWN else []
        near = difflib.get_close_matches(pattern, names, n=1)
        meant = did_you_mean(pattern, near) if near else ""
        listed = [] if near else ["there are:", *names[:MOST_KNOWN], *more]
        about = "`history` without arguments lists them; it takes a glob, such as '*/inference/1'"
        raise ArgumentError(
            f"'{pattern}' matches no series{meant}", hint="\n".join([about, *listed])
        )
    by_name: dict[str, list[Measurement]] = {name: [] for name in matching}
    for line in measurements:
        if line.value is not None and line.series in by_name:
            by_name[line.series].append(line)
    return [_alike(name, lines) for name, lines in by_name.items() if lines]


def _alike(name: str, lines: Sequence[Measurement]) -> Series:
    newest = lines[-1]
    facts = {"s": ("machine",), "bytes": ("engine",)}.get(newest.unit, ())
    points = tuple(
        line
        for line in lines
        if all(getattr(line, fact) == getattr(newest, fact) for fact in facts)
    )
    return Series(name=name, points=points, left_out=len(lines) - len(points))
