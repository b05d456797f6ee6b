"""Reports: results as console tables, Markdown, JUnit XML and JSON, all from the same tables."""

from __future__ import annotations

from rich.console import Console

from matrix.plan import Plan
from matrix.reports import junit, markdown, plans
from matrix.reports.console import rich_table, show
from matrix.rows import Results
from matrix.runs import Run, write_text

__all__ = ["plan_document", "show", "show_plan", "write"]

plan_document = plans.document


def show_plan(console: Console, plan: Plan, engine: str) -> None:
    """Print a plan for an engine as a table."""
    console.print(rich_table(plans.table(plan, engine)))


def write(run: Run, results: Results) -> None:
    """Write ``results.json``, ``report.md`` and ``junit.xml`` into a run directory."""
    write_text(run.path / "results.json", results.model_dump_json(indent=1) + "\n")
    write_text(run.path / "report.md", markdown.document(results))
    write_text(run.path / "junit.xml", junit.document(results))
