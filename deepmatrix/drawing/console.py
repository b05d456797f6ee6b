"""Tables on a console of any width."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from deepmatrix.drawing import fitting
from deepmatrix.drawing.escaping import terminal
from deepmatrix.drawing.fitting import Fit
from deepmatrix.drawing.layout import Mood, Row, Table
from deepmatrix.drawing.numbers import DASH

STYLES: dict[Mood, str] = {
    "good": "green",
    "warned": "yellow",
    "bad": "bold red",
    "muted": "dim",
    "plain": "",
}


def print_table(
    console: Console, table: Table, *, titled: bool = True, known: set[str] | None = None
) -> None:
    """Print a table in the shape that fits the console: all columns, fewer, or a listing.

    Notes below it that are *known* from an earlier table are not repeated; its own become known.
    """
    table = _visible(table)
    fit = fitting.fit(table, console.width)
    lines: list[RenderableType] = [Text(table.title, style="bold")] if titled else []
    legend = table.legend(fit.shown if fit else None)
    notes = [legend] if legend else []
    if fit is None:
        lines += _listing(table, console.width)
    else:
        lines += _grid(table, fit, console.width)
        if fit.left_out:
            names = "; ".join(fit.left_out)  # a title may hold a comma
            notes.append(f"More columns in report.md or on a wider console: {names}.")
    if known is not None:
        notes = [note for note in notes if note not in known]
        known.update(notes)
    if notes:
        lines += [Text(""), *(Text(terminal(note), style="dim") for note in notes)]
    console.print(Group(*lines))


def _visible(table: Table) -> Table:
    """Return a table whose texts have nothing that a terminal would obey."""
    rows = (replace(row, texts=tuple(map(terminal, row.texts))) for row in table.rows)
    columns = (replace(column, title=terminal(column.title)) for column in table.columns)
    title = terminal(table.title)
    return replace(table, title=title, columns=tuple(columns), rows=tuple(rows))


def _grid(table: Table, fit: Fit, console_width: int) -> Iterator[Text]:
    """Yield the lines of a grid; texts are wrapped by `fitting`, so that rich breaks nothing."""
    bold = ("bold",) * len(fit.shown)
    columns = list(zip(fit.shown, fit.widths, strict=True))
    titles = [fitting.wrap(table.titles[at], width) for at, width in columns]
    yield from _lines(table, fit, titles, bold)
    yield from _lines(table, fit, ["─" * width for width in fit.widths], ("dim",) * len(bold))
    for row in table.rows:
        texts = [
            fitting.wrap(row.texts[at], width, numeric=table.columns[at].numeric)
            for at, width in columns
        ]
        yield from _lines(table, fit, texts, [STYLES[row.moods[at]] for at in fit.shown])
        for at in fit.below:
            if row.texts[at]:
                yield from _below(row.texts[at], console_width)


def _lines(table: Table, fit: Fit, texts: Sequence[str], styles: Sequence[str]) -> Iterator[Text]:
    """Yield the lines of one row of a grid, each text in its column."""
    for parts in itertools.zip_longest(*(text.split("\n") for text in texts), fillvalue=""):
        line = Text()
        for at, width, part, style in zip(fit.shown, fit.widths, parts, styles, strict=True):
            space = " " * (width - cell_len(part))
            padded = space + part if table.columns[at].numeric else part + space
            line.append(padded, style=style).append(" " * fitting.GAP)
        line.rstrip()
        yield line


#: Before a text that is drawn below its line.
ARROW = "  ↳ "


def _below(text: str, width: int) -> Iterator[Text]:
    """Yield a text in lines of a width, below the line that it belongs to."""
    for number, part in enumerate(fitting.wrap(text, width - len(ARROW)).split("\n")):
        yield Text(f"{ARROW if not number else ' ' * len(ARROW)}{part}", style="italic")


def _listing(table: Table, width: int) -> Iterator[RenderableType]:
    """Yield a block for each line: its key texts as a heading, then a line for each column."""
    label_width = min(max(len(title) for title in table.titles), width // 2)
    for row in table.rows:
        names = [
            text
            for text, column in zip(row.texts, table.columns, strict=True)
            if column.key and text
        ]
        if names:
            heading = fitting.wrap(" · ".join(names), width)
            yield Text(heading, style="bold")
        grid = RichTable.grid(padding=(0, fitting.GAP, 0, 0), pad_edge=False)
        grid.add_column(width=label_width + 2, no_wrap=True)
        value_width = width - label_width - 2 - fitting.GAP
        grid.add_column(width=value_width, no_wrap=True)
        for title, text, mood in _values(table, row):
            label = fitting.wrap(title, label_width).replace("\n", "\n  ")
            grid.add_row(
                Text(f"  {label}", style="dim"),
                Text(fitting.wrap(text, value_width), style=STYLES[mood]),
            )
        yield grid


def _values(table: Table, row: Row) -> Iterator[tuple[str, str, Mood]]:
    """Yield title, text and mood of the columns that hold something, without the key columns."""
    for column, text, mood in zip(table.columns, row.texts, row.moods, strict=True):
        if not column.key and text not in ("", DASH):
            yield column.title, text, mood
