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
        rows=tuple(_line(each) for each in rows),
    )


def _order(each: CrossoverRow) -> tuple[object, ...]:
    return each.over != BATCH, each.workload, each.measured, each.batch or 0, each.cell


def _line(each: CrossoverRow) -> Row:
    return row(
        each.workload,
        each.cell,
        each.measured,
        _over(each),
        numbers.interval(each.fixed_s),
        numbers.interval(each.each_s),
        _half(each),
        numbers.share(each.misfit),
    )


def _over(each: CrossoverRow) -> str:
    sizes = f"{each.over} {each.times[0][0]} to {each.times[-1][0]}"
    return sizes if each.batch is None else f"{sizes}, batch {each.batch}"


def _half(each: CrossoverRow) -> str:
    smallest, largest = each.times[0][0], each.times[-1][0]
    if each.misfit > LARGEST_MISFIT:
        return "no line"
    if each.half is None or each.half.median > largest:
        return f"above {largest}"
    if each.half.median < smallest:
        return f"below {smallest}"
    text = f"{each.half.median:.3g}"
    if each.half.rounds > 1:
        text += f" [{each.half.low:.3g}, {each.half.high:.3g}]"
    return text


def times(results: Results) -> Iterator[Table]:
    """Yield a table for each range of sizes: the time of one example, or step of a sequence."""
    groups: dict[tuple[str, tuple[int, ...]], list[CrossoverRow]] = {}
    for each in sorted(results.crossovers, key=_order):
        sizes = tuple(size for size, _ in each.times)
        groups.setdefault((each.over, sizes), []).append(each)
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
                each.workload,
                each.cell,
                each.measured,
                *([] if over == BATCH else [str(each.batch)]),
                *(numbers.duration(time / size) for size, time in each.times),
            )
            for each in group
        ),
        note=f"The median time of a call over its {over}; it is constant where arithmetic rules.",
    )
