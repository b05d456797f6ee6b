"""The timeline: what took the time of a run, and how noisy its machine was meanwhile."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from deepmatrix.drawing import numbers
from deepmatrix.reports.html import scales
from deepmatrix.reports.html.evidence import Evidence, Link
from deepmatrix.reports.html.scales import Scale
from deepmatrix.results.rows import Results
from deepmatrix.results.timing.rows import SpanRow

#: The width of the axis of time, in units of the drawing.
AXIS = 600

#: At most this many cells have a lane: those that worked longest.
MOST_LANES = 60

#: The rate of a canary that reaches the top of its lane, over the median of its cell.
HIGHEST_RATE = 1.5

#: The height of a lane.
LANE = 18


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A span: its place and width. *rate*: the height of its canaries' rate, None without any."""

    span: SpanRow
    place: float
    width: float
    rate: float | None


@dataclass(frozen=True, kw_only=True)
class Lane:
    """The spans of a cell. *work_s*: their time together. *links*: of a noisy, or longest, job."""

    cell: str
    emulated: bool
    work_s: float
    jobs: int
    noisy: int
    marks: tuple[Mark, ...]
    links: tuple[Link, ...]


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Lanes by their first work. *unlisted*: how many more cells worked."""

    scale: Scale
    lanes: tuple[Lane, ...]
    unlisted: int


def timeline(results: Results, evidence: Evidence) -> Timeline | None:
    """Return the timeline of a run, None where no job has a time."""
    scale = scales.linear(
        (span.start_s + span.wall_s for span in results.timeline), AXIS, numbers.duration
    )
    if scale is None:
        return None
    by_cell = itertools.groupby(results.timeline, key=lambda span: span.cell)
    lanes = [_lane(list(group), scale, evidence) for _, group in by_cell]
    longest = sorted(lanes, key=lambda lane: -lane.work_s)[:MOST_LANES]
    shown = sorted(longest, key=lambda lane: lane.marks[0].place)
    return Timeline(scale=scale, lanes=tuple(shown), unlisted=len(lanes) - len(shown))


def _lane(spans: list[SpanRow], scale: Scale, evidence: Evidence) -> Lane:
    longest = max(spans, key=lambda span: (span.noisy, span.wall_s))
    return Lane(
        cell=spans[0].cell,
        emulated=spans[0].emulated,
        work_s=sum(span.wall_s for span in spans),
        jobs=sum(span.jobs for span in spans),
        noisy=sum(span.noisy for span in spans),
        marks=tuple(_mark(span, scale) for span in spans),
        links=evidence.of_job_id(longest.cell, longest.job),
    )


def _mark(span: SpanRow, scale: Scale) -> Mark:
    begin, end = scale.place(span.start_s), scale.place(span.start_s + span.wall_s)
    return Mark(
        span=span,
        place=begin,
        width=max(round(end - begin, 1), 1.0),
        rate=None if span.rate is None else _height(span.rate),
    )


def _height(rate: float) -> float:
    return round(LANE * (1 - min(rate, HIGHEST_RATE) / HIGHEST_RATE), 1)
