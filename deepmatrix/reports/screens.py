"""What a command prints in the end: the summary of a matrix, or a verification, on one screen."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from deepmatrix.drawing import escaping
from deepmatrix.drawing.console import STYLES, print_table
from deepmatrix.drawing.terminal import print_line
from deepmatrix.reports import unfinished
from deepmatrix.reports.tables import result_tables, reuse, slower, speed, summary
from deepmatrix.reports.tables.own_models import (
    inputs,
    overview,
    quantisation,
    verification,
)
from deepmatrix.reports.tables.own_models.headlines import headline, judge_line, repeats_line
from deepmatrix.results import remarks
from deepmatrix.results.rows import ModelRow, Results

#: What `unsupported` does to a verification, and what a user can do.
ABOUT_UNSUPPORTED = (
    "unsupported: the runtime says that it cannot serve the model, and so the run fails; leave out "
    "cells that you do not ship to with --exclude"
)


#: Of more models only those that are not all right have tables on the screen.
MOST_MODELS = 4

#: Where the tables of all models are.
WHERE = "report.html and report.md have their tables"


def show(console: Console, results: Results, *, all_tables: bool = False) -> None:
    """Print a verification, or a matrix's summary and what is not as expected, on one screen.

    With *all_tables*, those of the report stand before the rest.
    """
    if results.models:
        _show_all_models(console, results)
        known = set[str]()
        for model in _detailed(results):
            _show_model(console, results, model, known)
        _show_rest(console, results)
        return
    for table in result_tables(results) if all_tables else [summary.summary(results)]:
        console.print()
        print_table(console, table)
    if results.slower and not all_tables:
        console.print()
        print_table(console, slower.table(results))
    console.print()
    print_line(console, f"run {results.run}, preset {results.preset}", STYLES["muted"])
    for line in _not_run(results):
        print_line(console, line, STYLES["muted"])
    if not_slower := slower.line(results):
        print_line(console, not_slower, STYLES["muted"])
    if reused := reuse.line(results):
        print_line(console, reused, STYLES["muted"])
    for finding in results.findings:
        print_line(console, f"• {finding}", STYLES["muted"])
    for warning in results.warnings:
        print_line(console, f"! {warning}", STYLES["warned"])
    for problem in results.problems:
        print_line(console, f"✗ {problem}", STYLES["bad"])
    if not results.problems:
        print_line(console, "✓ all as expected", STYLES["good"])


def headlines(results: Results) -> Iterator[Text]:
    """Yield the verdict of each of a user's own models, a line each."""
    for model in results.served_models:
        yield _headline(results, model)


def _headline(results: Results, model: ModelRow) -> Text:
    verdict, mood = headline(results, model)
    colour = STYLES[mood].removeprefix("bold ")
    return Text(escaping.terminal(verdict), style=f"bold {colour}")


def _show_all_models(console: Console, results: Results) -> None:
    """Print the verdicts of several models in one table."""
    table = overview.verdicts(results, narrow=True)
    if table.rows:
        line, mood = overview.line(results)
        console.print()
        print_line(console, line, STYLES[mood])
        console.print()
        print_table(console, table, titled=False)


def _detailed(results: Results) -> list[ModelRow]:
    """Return the models that have tables of their own: of many those that are not all right."""
    models = results.served_models
    if len(models) <= MOST_MODELS:
        return models
    return [model for model in models if headline(results, model)[1] != "good"]


def _show_model(console: Console, results: Results, model: ModelRow, known: set[str]) -> None:
    """Print the verdict of a model in a line, what judges it, and its tables.

    *known*: the notes of the models before it.
    """
    console.print()
    console.print(_headline(results, model))
    print_line(console, judge_line(model), STYLES["muted"])
    for line in (inputs.line(model), repeats_line(results, model)):
        if line:
            print_line(console, line, STYLES["muted"])
    console.print()
    print_table(console, verification.consumers(results, model), titled=False, known=known)
    outputs = verification.outputs(results, model)
    if outputs.rows:
        console.print()
        print_table(console, outputs, known=known)


def _show_rest(console: Console, results: Results) -> None:
    """Print what a model of some kind has: generation, costs, errors of nodes; and remarks."""
    tables = (
        speed.generation(results),
        quantisation.costs(results),
        verification.nodes(results),
    )
    for table in tables:
        if table.rows:
            console.print()
            print_table(console, table)
    console.print()
    if unlisted := len(results.served_models) - len(_detailed(results)):
        match = "model matches" if unlisted == 1 else "models match"
        print_line(console, f"{unlisted} {match} on all consumers: {WHERE}", STYLES["muted"])
    for command in _commands(results):
        shown_command = Text("→ see it again: ").append(escaping.terminal(command), style="cyan")
        console.print(shown_command, soft_wrap=True)
    for warning in results.warnings:
        print_line(console, f"! {warning}", STYLES["warned"])
    shown = {remarks.row_problem(judged) for judged in results.portability}
    for problem in results.problems:
        if problem not in shown:
            print_line(console, f"✗ {problem}", STYLES["bad"])
    if any(row.verdict == "unsupported" and remarks.is_problem(row) for row in results.portability):
        print_line(console, ABOUT_UNSUPPORTED, STYLES["muted"])
    if reused := reuse.line(results):
        print_line(console, reused, STYLES["muted"])
    for line in _not_run(results):
        print_line(console, line, STYLES["muted"])


def _not_run(results: Results) -> Iterator[str]:
    """Yield the cells that did not run, a line for each reason."""
    for sentence, names in unfinished.idle_cells(results):
        yield f"{sentence} ({', '.join(names)})"


def _commands(results: Results) -> Iterator[str]:
    """Yield the commands that show faults, one for each cause that was searched."""
    for judged in results.portability:
        if judged.cause and judged.cause.reproduce and not judged.cause.as_on:
            yield judged.cause.reproduce
