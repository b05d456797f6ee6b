"""A history on a console: the list of its series, or one of them as a plot."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import plotext
from rich.console import Console
from rich.text import Text

from deepmatrix.comparison.history.series import Level, Series
from deepmatrix.drawing import numbers
from deepmatrix.drawing.console import STYLES, print_table
from deepmatrix.drawing.layout import Column, Table, row
from deepmatrix.drawing.terminal import print_line
from deepmatrix.sizes import DECIMAL_UNITS

#: A plot is at most so wide, and so high, in characters.
WIDEST, HEIGHT = 120, 16

#: A smaller value is shown as none: the plot cannot label an axis of such numbers.
SMALLEST = 1e-30

#: A value that became more times as large is shown so: before, it was next to nothing.
LARGEST_RATIO = 10_000

#: By unit: what a value on the axis is divided by is chosen among these.
SCALES = {
    "s": {"s": 1.0, "ms": 1e-3, "µs": 1e-6},
    "bytes": {unit: float(count) for unit, count in reversed(DECIMAL_UNITS.items())},
    "1": {"": 1.0},
}


def show_list(console: Console, all_series: Sequence[Series]) -> None:
    """Print the series, those with the latest change first."""
    rows = []
    for series in sorted(all_series, key=_change_share, reverse=True):
        levels = series.levels()
        unit = series.points[-1].unit
        is_changed = len(levels) > 1
        texts = (
            series.name,
            str(len(series.values)),
            _value(series.values[-1], unit),
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
    print_table(console, Table(title="History", columns=columns, rows=tuple(rows)))


def show_series(console: Console, shown: Series) -> None:
    """Print a series as a plot, with a vertical line at each change point."""
    levels, unit = shown.levels(), shown.points[-1].unit
    print_line(console, shown.name, "bold")
    console.print(Text(_plot(shown, levels, min(console.width, WIDEST))))
    for before, after in itertools.pairwise(levels):
        point = shown.points[after.start]
        texts = f"{_value(before.value, unit)}, then {_value(after.value, unit)}"
        version = f", {point.cell} {point.cell_version}" if point.cell_version else ""
        line = (
            f"{point.created[:16]} run {point.run}: {texts} ({_change([before, after])}{version})"
        )
        print_line(console, line, STYLES["warned"], wrap=False)
    if len(levels) == 1:
        middle = _value(levels[0].value, unit)
        print_line(console, f"no change in {len(shown.values)} runs: {middle}")
    if shown.left_out:
        text = f"{shown.left_out} runs of other machines are left out"
        print_line(console, text, STYLES["muted"])


def _plot(shown: Series, levels: Sequence[Level], width: int) -> str:
    unit, scale = _scale(shown.values, shown.points[-1].unit)
    places = list(range(1, len(shown.values) + 1))
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plotsize(width, HEIGHT)
    values = [value / scale if value > SMALLEST else 0.0 for value in shown.values]
    plotext.scatter(places, values, marker="●")
    for level in levels[1:]:
        plotext.vline(level.start + 1)
    labelled = sorted({1, len(places), *(level.start + 1 for level in levels)})
    plotext.xticks(labelled, [shown.points[place - 1].created[:10] for place in labelled])
    plotext.ylabel(unit)
    text: str = plotext.uncolorize(plotext.build())
    return text.rstrip("\n")


def _scale(values: Sequence[float], unit: str) -> tuple[str, float]:
    """Return the unit in which the largest value reads best, and its size."""
    largest = max(values)
    scales = SCALES[unit]
    fitting = [(name, scale) for name, scale in scales.items() if largest >= scale]
    return fitting[0] if fitting else list(scales.items())[-1]


def _value(value: float, unit: str) -> str:
    if unit == "s":
        return numbers.duration(value)
    return numbers.size(int(value)) if unit == "bytes" else numbers.error(value)


def _change(levels: Sequence[Level]) -> str:
    ratio = levels[-1].value / levels[-2].value
    if ratio > LARGEST_RATIO:
        return f"over {LARGEST_RATIO}×"
    return f"{100 * (ratio - 1):+.1f}\N{NO-BREAK SPACE}%"


def _change_share(series: Series) -> float:
    levels = series.levels()
    return abs(levels[-1].value / levels[-2].value - 1) if len(levels) > 1 else 0.0
