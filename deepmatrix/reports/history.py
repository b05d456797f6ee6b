"""A history on a console: the list of its series, or one of them as a plot."""

from __future__ import annotations

from collections.abc import Sequence

import plotext
from rich.console import Console
from rich.text import Text

from deepmatrix.comparison.history.series import Level, Series
from deepmatrix.drawing.console import STYLES, print_table
from deepmatrix.drawing.terminal import print_line
from deepmatrix.reports.tables import history as told
from deepmatrix.sizes import DECIMAL_UNITS

#: A plot is at most so wide, and so high, in characters.
WIDEST, HEIGHT = 120, 16

#: A smaller value is shown as none: the plot cannot label an axis of such numbers.
SMALLEST = 1e-30

#: By unit: what a value on the axis is divided by is chosen among these.
SCALES = {
    "s": {"s": 1.0, "ms": 1e-3, "µs": 1e-6},
    "bytes": {unit: float(count) for unit, count in reversed(DECIMAL_UNITS.items())},
    "1": {"": 1.0},
}


def show_list(console: Console, all_series: Sequence[Series]) -> None:
    """Print the series, those with the latest change first."""
    print_table(console, told.table(told.by_change(all_series)))


def show_series(console: Console, shown: Series) -> None:
    """Print a series as a plot, with a vertical line at each change point."""
    print_line(console, shown.name, "bold")
    console.print(Text(_plot(shown, shown.levels, min(console.width, WIDEST))))
    for line in told.changes(shown):
        print_line(console, line, STYLES["warned"], wrap=False)
    for line in told.remarks(shown):
        print_line(console, line, STYLES["muted"])


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
