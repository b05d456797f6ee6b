"""The table of scaling: how many times as fast a cell is with more threads."""

from __future__ import annotations

from deepmatrix.drawing import numbers
from deepmatrix.drawing.layout import Row, Table, key, number, row, text
from deepmatrix.reports.tables.speed import INTERVAL
from deepmatrix.results.rows import Results
from deepmatrix.results.timing.rows import ScalingRow

SPEEDUP = (
    "Speed-up: how many times as fast as with the fewer threads; in brackets the 95 % interval, "
    "if there are several rounds."
)
EFFICIENCY = (
    "Efficiency: the speed-up over how many times as many threads there are; 100 % is all that "
    "more threads can give."
)


def scaling(results: Results) -> Table:
    """Every time of a cell with more threads beside the same with the fewest."""
    rows = sorted(
        results.scaling,
        key=lambda each: (each.workload, each.measured, each.batch, each.cell, each.subject),
    )
    return Table(
        title="Scaling",
        columns=(
            key("workload"),
            key("cell"),
            text("of"),
            number("batch"),
            text("threads"),
            number("with fewer", optional=1, note=f"With fewer: the time with these. {INTERVAL}"),
            number("with more", optional=2),
            number("speed-up", note=SPEEDUP),
            number("efficiency", note=EFFICIENCY),
        ),
        rows=tuple(map(_row, rows)),
    )


def _row(each: ScalingRow) -> Row:
    return row(
        each.workload,
        each.beside,
        each.measured,
        str(each.batch),
        f"{each.beside_threads} to {each.threads}",
        numbers.interval(each.beside_s),
        numbers.interval(each.time_s),
        numbers.ratio(each.speedup, each.low, each.high),
        numbers.share(each.speedup * each.beside_threads / each.threads),
    )
