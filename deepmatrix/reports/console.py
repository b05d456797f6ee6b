"""Results as rich tables."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from deepmatrix.reports.layout import Mood, Table
from deepmatrix.reports.tables import tables
from deepmatrix.results.rows import Results

STYLES: dict[Mood, str] = {"good": "green", "bad": "bold red", "muted": "dim", "plain": ""}


def show(console: Console, results: Results) -> None:
    """Print all tables and, last, what is not as expected."""
    for table in tables(results):
        console.print()
        console.print(rich_table(table))
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


def rich_table(table: Table) -> RichTable:
    """Draw one table."""
    drawn = RichTable(
        title=table.title,
        title_justify="left",
        title_style="bold",
        caption=table.note,
        caption_justify="left",
        caption_style="dim",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for index, column in enumerate(table.columns):
        drawn.add_column(
            column,
            justify="right" if index in table.numeric else "left",
            no_wrap=index in table.numeric,
            overflow="fold",
        )
    for row in table.rows:
        drawn.add_row(
            *(
                Text(text, style=STYLES[mood])
                for text, mood in zip(row.texts, row.moods, strict=True)
            )
        )
    return drawn
