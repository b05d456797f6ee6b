"""Tables of times over batches and lengths: where dispatch ends and arithmetic begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deepmatrix.drawing import numbers
from deepmatrix.drawing.layout import Row, Table, key, number, row, text
from deepmatrix.results.rows import Results
from deepmatrix.results.timing.crossover import BATCH
from deepmatrix.results.timing.rows import CrossoverRow

#: A line that misses a time by more than this share says nothing of where it bends.
LARGEST_MISFIT = 0.25

FIXED = (
    "Fixed: what a call costs whatever its size, dispatch; each: what one more example, or step of "
    "a sequence, costs. They are of the line fixed + each × size that fits the times best."
)
HALF = (
    "Half: the size at which both are equal, Hockney's half-performance length. Below it dispatch "
    "takes most of the time, above it arithmetic. In brackets the 95 % interval, if there are "
    f"several rounds; `no line` if the misfit exceeds {numbers.share(LARGEST_MISFIT)}."
)
MISFIT = "Misfit: the largest difference of the line from a time, over that time."


def crossovers(results: Results) -> Table:
    """Every fitted line: over batches first, then over lengths."""
    rows = sorted(results.crossovers, key=_order)
    return Table(
        title="Dispatch and arithmetic",
        columns=(
            key("workload"),
            key("cell"),
            text("of"),
            text("over"),
            number("fixed", note=FIXED),
            number("each", note=FIXED),
            number("half", note=HALF),
            number("misfit", optional=1, note=MISFIT),
        ),
        rows=tuple(_line(crossover) for crossover in rows),
    )


def _order(crossover: CrossoverRow) -> tuple[object, ...]:
    return (
        crossover.over != BATCH,
        crossover.workload,
        crossover.measured,
        crossover.batch or 0,
        crossover.cell,
    )


def _line(crossover: CrossoverRow) -> Row:
    has_line = crossover.misfit <= LARGEST_MISFIT
    return row(
        crossover.workload,
        crossover.cell,
        crossover.measured,
        _over(crossover),
        numbers.interval(crossover.fixed_s) if has_line else numbers.DASH,
        numbers.interval(crossover.each_s) if has_line else numbers.DASH,
        _half(crossover),
        numbers.share(crossover.misfit),
    )


def _over(crossover: CrossoverRow) -> str:
    sizes = f"{crossover.over} {crossover.times[0][0]} to {crossover.times[-1][0]}"
    return sizes if crossover.batch is None else f"{sizes}, batch {crossover.batch}"


def _half(crossover: CrossoverRow) -> str:
    smallest, largest = crossover.times[0][0], crossover.times[-1][0]
    if crossover.misfit > LARGEST_MISFIT:
        return "no line"
    if crossover.half is None or crossover.half.median > largest:
        return f"above {largest}"
    if crossover.half.median < smallest:
        return f"below {smallest}"
    text = f"{crossover.half.median:.3g}"
    if crossover.half.rounds > 1:
        text += f" [{crossover.half.low:.3g}, {crossover.half.high:.3g}]"
    return text


def times(results: Results) -> Iterator[Table]:
    """Yield a table for each range of sizes: the time of one example, or step of a sequence."""
    groups: dict[tuple[str, tuple[int, ...]], list[CrossoverRow]] = {}
    for crossover in sorted(results.crossovers, key=_order):
        sizes = tuple(size for size, _ in crossover.times)
        groups.setdefault((crossover.over, sizes), []).append(crossover)
    for (over, sizes), group in groups.items():
        yield _times(over, sizes, group)


def _times(over: str, sizes: Sequence[int], group: Sequence[CrossoverRow]) -> Table:
    what = "example" if over == BATCH else "step of a sequence"
    return Table(
        title=f"Time of one {what}, {over} {sizes[0]} to {sizes[-1]}",
        columns=(
            key("workload"),
            key("cell"),
            text("of"),
            *([] if over == BATCH else [number("batch")]),
            *(number(str(size), optional=place % 2) for place, size in enumerate(sizes)),
        ),
        rows=tuple(
            row(
                crossover.workload,
                crossover.cell,
                crossover.measured,
                *([] if over == BATCH else [str(crossover.batch)]),
                *(numbers.duration(time / size) for size, time in crossover.times),
            )
            for crossover in group
        ),
        note=f"The median time of a call over its {over}; it is constant where arithmetic rules.",
    )
