"""Reports: results as console tables, Markdown, JUnit XML and JSON, all from the same tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from deepmatrix.conformance.suite import Change, Conformity, baseline, change
from deepmatrix.planning.plan import Plan
from deepmatrix.reports import claims, conformance, junit, markdown, plans
from deepmatrix.reports.console import rich_table, show
from deepmatrix.results.rows import Results
from deepmatrix.store.runs import Run, write_text
from deepmatrix.study.decisions import DecidedStatement

__all__ = [
    "claims_page",
    "conformance_page",
    "plan_document",
    "show",
    "show_claims",
    "show_conformance",
    "show_plan",
    "write",
]

plan_document = plans.document


def show_plan(console: Console, plan: Plan, engine: str) -> None:
    """Print a plan for an engine as a table."""
    console.print(rich_table(plans.table(plan, engine)))


def show_conformance(console: Console, found: Sequence[Conformity]) -> int:
    """Print what conforms; return how many failures are new."""
    changes = _changes(found)
    for table in conformance.tables(found, changes):
        console.print(rich_table(table))
    return sum(len(one.worse) for one in changes.values() if one)


def conformance_page(run_id: str, found: Sequence[Conformity]) -> str:
    """Return what conforms as Markdown."""
    drawn = map(markdown.markdown_table, conformance.tables(found, _changes(found)))
    return "\n\n".join([f"# Conformance `{run_id}`", *drawn]) + "\n"


def show_claims(console: Console, found: Sequence[DecidedStatement]) -> None:
    """Print what became of the study's statements."""
    for table in claims.tables(found):
        console.print()
        console.print(rich_table(table))


def claims_page(found: Sequence[DecidedStatement]) -> str:
    """Return the same as Markdown."""
    drawn = map(markdown.markdown_table, claims.tables(found))
    return "\n\n".join(["# The study's statements", *drawn]) + "\n"


def _changes(found: Sequence[Conformity]) -> dict[str, Change | None]:
    known = {one.cell: baseline(one.cell) for one in found}
    return {one.cell: change(one, old) if (old := known[one.cell]) else None for one in found}


def write(run: Run, results: Results) -> None:
    """Write ``results.json``, ``report.md`` and ``junit.xml`` into a run directory."""
    write_text(run.path / "results.json", results.model_dump_json(indent=1) + "\n")
    write_text(run.path / "report.md", markdown.document(results))
    write_text(run.path / "junit.xml", junit.document(results))
