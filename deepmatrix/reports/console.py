"""Results as tables on a console of any width."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from deepmatrix.reports import fitting
from deepmatrix.reports.fitting import Fit
from deepmatrix.reports.layout import Mood, Row, Table
from deepmatrix.reports.numbers import DASH
from deepmatrix.reports.tables import result_tables, verification
from deepmatrix.results import remarks
from deepmatrix.results.rows import Results

STYLES: dict[Mood, str] = {
    "good": "green",
    "warned": "yellow",
    "bad": "bold red",
    "muted": "dim",
    "plain": "",
}


def show(console: Console, results: Results) -> None:
    """Print all tables and, last, what is not as expected. A verification is one screen."""
    if results.models:
        _show_verification(console, results)
        return
    for table in result_tables(results):
        console.print()
        print_table(console, table)
    console.print()
    console.print(f"[dim]run {escape(results.run)}, preset {escape(results.preset)}[/dim]")
    for finding in results.findings:
        console.print(Text(f"• {finding}", style=STYLES["muted"]))
    for warning in results.warnings:
        console.print(Text(f"! {warning}", style="yellow"))
    for problem in results.problems:
        console.print(Text(f"✗ {problem}", style=STYLES["bad"]))
    if not results.problems:
        console.print(Text("✓ all as expected", style=STYLES["good"]))


def _show_verification(console: Console, results: Results) -> None:
    """Print, for each model, its verdict in a line and its tables; last, what they do not show."""
    for model in results.models:
        verdict, mood = verification.headline(results, model)
        console.print()
        console.print(Text(verdict, style=f"bold {STYLES[mood]}".replace("bold bold", "bold")))
        console.print(Text(verification.judge_line(model), style=STYLES["muted"]))
        tables = [verification.consumers(results, model), verification.outputs(results, model)]
        for table in tables:
            if table.rows:
                console.print()
                print_table(console, table)
    if results.nodes:
        console.print()
        print_table(console, verification.nodes(results))
    console.print()
    shown = {remarks.verdict_problem(judged) for judged in results.portability}
    for warning in results.warnings:
        console.print(Text(f"! {warning}", style=STYLES["warned"]))
    for problem in results.problems:
        if problem not in shown:
            console.print(Text(f"✗ {problem}", style=STYLES["bad"]))
    skipped = sum(cell.status == "not-run" for cell in results.cells)
    if skipped:
        text = f"{skipped} cell{'s' * (skipped > 1)} did not run; report.md has the reasons"
        console.print(Text(text, style=STYLES["muted"]))


def print_table(console: Console, table: Table) -> None:
    """Print a table in the shape that fits the console: all columns, fewer, or a listing."""
    fit = fitting.fit(table, console.width)
    lines: list[RenderableType] = [Text(table.title, style="bold")]
    legend = table.legend(fit.shown if fit else None)
    notes = [legend] if legend else []
    if fit is None:
        lines += _listing(table, console.width)
    else:
        lines.append(_grid(table, fit))
        if fit.left_out:
            names = ", ".join(fit.left_out)
            notes.append(f"More columns in report.md or on a wider console: {names}.")
    if notes:
        lines += [Text(""), *(Text(note, style="dim") for note in notes)]
    console.print(Group(*lines))


def _grid(table: Table, fit: Fit) -> RichTable:
    """Return lines and columns; texts are wrapped already, so that rich breaks nothing."""
    grid = RichTable.grid(padding=(0, fitting.GAP, 0, 0), pad_edge=False)
    for index, width in zip(fit.shown, fit.widths, strict=True):
        numeric = table.columns[index].numeric
        grid.add_column(justify="right" if numeric else "left", width=width, no_wrap=True)
    grid.add_row(
        *(
            Text(fitting.wrap(table.titles[index], width), style="bold")
            for index, width in zip(fit.shown, fit.widths, strict=True)
        )
    )
    grid.add_row(*(Text("─" * width, style="dim") for width in fit.widths))
    for row in table.rows:
        grid.add_row(
            *(
                Text(
                    fitting.wrap(row.texts[index], width, numeric=table.columns[index].numeric),
                    style=STYLES[row.moods[index]],
                )
                for index, width in zip(fit.shown, fit.widths, strict=True)
            )
        )
    return grid


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
