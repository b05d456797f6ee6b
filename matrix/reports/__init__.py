"""Reports: results as console tables, Markdown, JUnit XML and JSON, all from the same tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from matrix.conformance import Change, Conformity, baseline, change
from matrix.plan import Plan
from matrix.reports import conformance, junit, markdown, plans
from matrix.reports.console import rich_table, show
from matrix.rows import Results
from matrix.runs import Run, write_text

__all__ = ["conformed", "plan_document", "show", "show_plan", "write"]

plan_document = plans.document


def show_plan(console: Console, plan: Plan, engine: str) -> None:
    """Print a plan for an engine as a table."""
    console.print(rich_table(plans.table(plan, engine)))


def conformed(run: Run, console: Console, found: Sequence[Conformity]) -> int:
    """Print what conforms, and write it as ``report.md``; return how many failures are new."""
    changes: dict[str, Change | None] = {}
    for one in found:
        known = baseline(one.cell)
        changes[one.cell] = change(one, known) if known else None
    drawn = list(conformance.tables(found, changes)) if found else []
    for table in drawn:
        console.print(rich_table(table))
    parts = [f"# Conformance `{run.id}`", *map(markdown.markdown_table, drawn)]
    write_text(run.path / "report.md", "\n\n".join(parts) + "\n")
    return sum(len(one.worse) for one in changes.values() if one)


def write(run: Run, results: Results) -> None:
    """Write ``results.json``, ``report.md`` and ``junit.xml`` into a run directory."""
    write_text(run.path / "results.json", results.model_dump_json(indent=1) + "\n")
    write_text(run.path / "report.md", markdown.document(results))
    write_text(run.path / "junit.xml", junit.document(results))
