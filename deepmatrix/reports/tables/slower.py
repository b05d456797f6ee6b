"""The table of what became slower since the last run that did the same."""

from __future__ import annotations

from deepmatrix.drawing import numbers
from deepmatrix.drawing.layout import Source, Table, key, number, row
from deepmatrix.invocation import command_line
from deepmatrix.results.rows import Results


def table(results: Results) -> Table:
    """Return the times that are longer beyond chance, those that grew most first."""
    return Table(
        title=f"Slower than in {results.earlier}",
        columns=(key("cell"), key("time"), number("was"), number("is"), number("change")),
        rows=tuple(
            row(
                slower.place,
                slower.time,
                numbers.duration(slower.base_s),
                numbers.duration(slower.head_s),
                numbers.ratio(slower.ratio, slower.low, slower.high),
                mood="bad",
                sources=(Source(path=slower.record),) if slower.record else (),
            )
            for slower in results.slower
        ),
        note="Against the last run beside this one that did the same, with 95 % intervals, at 95 % "
        "certainty of all of them. All that changed: "
        f"`{command_line('compare', results.earlier, results.run)}`.",
    )


def remark(results: Results) -> str:
    """Return how many cells became slower, as a part of a sentence."""
    count = len({slower.cell for slower in results.slower})
    return f"{numbers.count(count, 'cell')} {'is' if count == 1 else 'are'} slower than before"


def line(results: Results) -> str:
    """Return that nothing became slower, or nothing where no earlier run was there to tell."""
    if not results.earlier or results.slower:
        return ""
    return (
        f"no time is longer beyond chance than in {results.earlier}, the last run that did the same"
    )
