"""Ratings: one to five stars for each area of the study, by one rule from inputs that are shown.

An input is a share (networks trained of those tried) or a ratio to the best of its period (the time
of a step). A share of 0 gives one star, a share of 1 five. A ratio loses one star each time that it
doubles. An area is the mean of its inputs, the same for all systems that it rates. As in the
study, nothing is added up over areas.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from statistics import fmean

from deepmatrix.config.matrix import Matrix
from deepmatrix.results.rows import Results
from deepmatrix.study.rating import measures
from deepmatrix.study.rating.inputs import Measured, Ratio, largest_table
from deepmatrix.study.rating.packages import Packages
from deepmatrix.study.rating.packages import measure as measure_packages
from deepmatrix.study.rating.systems import PERIODS, Period, rated
from deepmatrix.study.statements import AREAS

LEAST, MOST = 1.0, 5.0


@dataclass(frozen=True, kw_only=True)
class Stars:
    """A number of stars, with its 95 % interval; of what was counted, all three are the same."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Input:
    """One input of a rating: what was measured, how many stars it gives, whether they count."""

    measured: Measured
    stars: Stars
    counts: bool


@dataclass(frozen=True, kw_only=True)
class Rating:
    """A system's rating in one area and period, with its inputs; no stars where none counts.

    *system*: what tables call it in the period. *framework*: what stands for it in the matrix file.
    """

    area: str
    period: Period
    system: str
    framework: str
    inputs: tuple[Input, ...]

    @property
    def stars(self) -> Stars | None:
        """The mean of what counts, and of their ends: that is the widest interval it can have."""
        parts = [entry.stars for entry in self.inputs if entry.counts]
        if not parts:
            return None
        return Stars(
            value=fmean(part.value for part in parts),
            low=fmean(part.low for part in parts),
            high=fmean(part.high for part in parts),
        )


def rate(runs: Sequence[Results], matrix: Matrix, packages: Packages) -> list[Rating]:
    """Rate every system in every area, then and now; of what several runs measured, the last."""
    return [
        rating
        for period in PERIODS
        for rating in _rate_period(period, list(_measured(period, runs, matrix, packages)))
    ]


def _measured(
    period: Period, runs: Sequence[Results], matrix: Matrix, packages: Packages
) -> Iterator[Measured]:
    yield from measures.measure(tuple(rated(period)), runs, matrix)
    yield from measure_packages(period, packages)


def _rate_period(period: Period, measured: Sequence[Measured]) -> Iterator[Rating]:
    for area in AREAS:
        of_area = [entry for entry in measured if entry.area == area]
        whats, frameworks = _counting(of_area, list(rated(period)))
        for framework, system in rated(period).items():
            inputs = (
                Input(
                    measured=entry,
                    stars=stars(entry),
                    counts=entry.what in whats and framework in frameworks,
                )
                for entry in of_area
                if entry.framework == framework
            )
            yield Rating(
                area=area,
                period=period,
                system=system.label(period),
                framework=framework,
                inputs=tuple(inputs),
            )


def _counting(measured: Sequence[Measured], frameworks: Sequence[str]) -> tuple[Set[str], Set[str]]:
    """Return the inputs and the frameworks that count: the largest table of them without a gap."""
    return largest_table(frameworks, ((entry.what, entry.framework) for entry in measured))


def stars(measured: Measured) -> Stars:
    """Return the stars of one input."""
    if isinstance(measured.figure, Ratio):
        figure = measured.figure
        return Stars(
            value=_ratio_stars(figure.value),
            low=_ratio_stars(figure.high),
            high=_ratio_stars(figure.low),
        )
    value = LEAST + (MOST - LEAST) * measured.figure.part / measured.figure.whole
    return Stars(value=value, low=value, high=value)


def _ratio_stars(ratio: float) -> float:
    return min(MOST, max(LEAST, MOST - math.log2(ratio)))
