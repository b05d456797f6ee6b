"""What a history is told in: the table of its series, and a line for each of their changes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from deepmatrix.comparison.history.series import Level, Series
from deepmatrix.drawing import numbers
from deepmatrix.drawing.layout import Column, Table, row

#: A value that became more times as large is shown so: before, it was next to nothing.
LARGEST_RATIO = 10_000


def by_change(all_series: Sequence[Series]) -> list[Series]:
    """Return the series, those with the largest latest change first."""
    return sorted(all_series, key=_change_share, reverse=True)


def table(all_series: Sequence[Series]) -> Table:
    """Return a line for each series."""
    rows = []
    for series in all_series:
        levels = series.levels
        unit = series.points[-1].unit
        is_changed = len(levels) > 1
        texts = (
            series.name,
            str(len(series.values)),
            value(series.values[-1], unit),
            _change(levels) if is_changed else "",
            series.points[levels[-1].start].created[:10] if is_changed else "",
        )
        rows.append(row(*texts, mood="warned" if is_changed else "plain"))
    columns = (
        Column("series", key=True),
        Column("runs", numeric=True),
        Column("newest", numeric=True),
        Column("last change", numeric=True, unbroken=True),
        Column("since", optional=1, unbroken=True),
    )
    return Table(title="History", columns=columns, rows=tuple(rows))


def changes(shown: Series) -> Iterator[str]:
    """Yield a line for each change point of a series: when, in which run, from what to what."""
    unit = shown.points[-1].unit
    for before, after in itertools.pairwise(shown.levels):
        point = shown.points[after.start]
        texts = f"{value(before.value, unit)}, then {value(after.value, unit)}"
        version = f", {point.cell} {point.cell_version}" if point.cell_version else ""
        change = f"{_change([before, after])}{version}"
        yield f"{numbers.minute(point.created)} run {point.run}: {texts} ({change})"


def remarks(shown: Series) -> Iterator[str]:
    """Yield what else there is to say: that nothing changed, that runs are left out."""
    levels = shown.levels
    if len(levels) == 1:
        middle = value(levels[0].value, shown.points[-1].unit)
        yield f"no change in {len(shown.values)} runs: {middle}"
    if shown.left_out:
        yield f"{shown.left_out} runs of other machines or engines are left out"


def value(number: float, unit: str) -> str:
    """Return a value in its unit."""
    if unit == "s":
        return numbers.duration(number)
    return numbers.size(int(number)) if unit == "bytes" else numbers.error(number)


def _change(levels: Sequence[Level]) -> str:
    ratio = levels[-1].over(levels[-2])
    return f"over {LARGEST_RATIO:,}×" if ratio > LARGEST_RATIO else numbers.ratio(ratio)


def _change_share(series: Series) -> float:
    levels = series.levels
    return abs(levels[-1].over(levels[-2]) - 1) if len(levels) > 1 else 0.0
