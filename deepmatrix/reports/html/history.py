"""A history: its series drawn over all runs, with their levels and change points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deepmatrix.comparison.history.series import Series
from deepmatrix.drawing import numbers
from deepmatrix.reports.html import scales
from deepmatrix.reports.html.overview import MOST_SHOWN
from deepmatrix.reports.html.rendering import render
from deepmatrix.reports.html.scales import Scale, Tick
from deepmatrix.reports.tables import history as told

#: The size of a drawing, and the width of a day below it, on a phone.
WIDTH, HEIGHT, DAY = 560, 160, 110

#: So many series are drawn, those that changed most first; the table has all.
MOST_DRAWN = 50


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A series as it is drawn.

    *across*: days of runs, at the ends and the change points, where there is room. *dots*: the
    place of each run, and what it is. *levels*: beginning, end and height of each. *changes*,
    *remarks*: lines below.
    """

    name: str
    up: Scale
    across: tuple[Tick, ...]
    dots: tuple[tuple[float, float, str], ...]
    levels: tuple[tuple[float, float, float], ...]
    changes: tuple[str, ...]
    remarks: tuple[str, ...]


def history_page(all_series: Sequence[Series]) -> str:
    """Return the page of a history: a table of all series, and drawings of the first of them."""
    ordered = told.by_change(all_series)
    changed = sum(len(series.levels) > 1 for series in ordered)
    return render(
        "history.html",
        {},
        title="History",
        headline=f"{changed} of {len(ordered)} series changed",
        mood="warned" if changed else "good",
        table=told.table(ordered),
        most_shown=MOST_SHOWN,
        drawings=[_drawn(series) for series in ordered[:MOST_DRAWN]],
        undrawn=max(len(ordered) - MOST_DRAWN, 0),
        height=HEIGHT,
        width=WIDTH,
    )


def _drawn(series: Series) -> Drawn:
    unit = series.points[-1].unit
    values, levels = series.values, series.levels
    up = scales.around(values, HEIGHT, lambda value: told.value(value, unit))
    marked = sorted({0, len(values) - 1, *(level.start for level in levels)})
    return Drawn(
        name=series.name,
        up=up,
        across=tuple(
            Tick(place=_across(index, len(values)), label=series.points[index].created[:10])
            for index in _with_room(marked, len(values))
        ),
        dots=tuple(
            (
                _across(index, len(values)),
                _down(up, value),
                f"run {point.run}, {numbers.minute(point.created)}: {told.value(value, unit)}",
            )
            for index, (point, value) in enumerate(zip(series.points, values, strict=True))
        ),
        levels=tuple(
            (
                _across(level.start, len(values)),
                _across(level.end - 1, len(values)),
                _down(up, level.value),
            )
            for level in levels
        ),
        changes=tuple(told.changes(series)),
        remarks=tuple(told.remarks(series)),
    )


def _with_room(marked: Sequence[int], count: int) -> list[int]:
    """Return the runs whose days have room beside each other, the last one among them."""
    shown: list[int] = []
    for index in reversed(marked):
        if not shown or _across(shown[0], count) - _across(index, count) >= DAY:
            shown.insert(0, index)
    return shown


def _across(index: int, count: int) -> float:
    """Return the place of a run: all are equally far from each other."""
    return round(WIDTH * (index + 0.5) / count, 1)


def _down(up: Scale, value: float) -> float:
    """Return a height as SVG counts it, from the top."""
    return round(HEIGHT - up.place(value), 1)
