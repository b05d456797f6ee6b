"""Reports: results as console tables, HTML, Markdown, JUnit XML and JSON.

In come results, tables, conformance outcomes and comparisons; out goes what a console
prints and the files ``report.html``, ``report.md``, ``results.json`` and ``junit.xml`` of a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from rich.console import Console

from deepmatrix.boundary.writing import write_text
from deepmatrix.conformance.suite import Change, Conformity, baseline, change
from deepmatrix.drawing import escaping, numbers
from deepmatrix.drawing.console import print_table
from deepmatrix.drawing.layout import Table
from deepmatrix.reports import html, junit, markdown
from deepmatrix.reports.annotations import annotation_lines
from deepmatrix.reports.comment import comment_page, summary_page
from deepmatrix.reports.comparison import comparison_html, comparison_page, show_comparison
from deepmatrix.reports.exports import model_explorer
from deepmatrix.reports.exports.model_explorer import explorer_file
from deepmatrix.reports.junit import review_document
from deepmatrix.reports.screens import headlines, show
from deepmatrix.reports.tables import conformance
from deepmatrix.results.rows import Results
from deepmatrix.store.runs import Run

__all__ = [
    "annotation_lines",
    "comment_page",
    "comparison_html",
    "comparison_page",
    "conformance_html",
    "conformance_page",
    "headlines",
    "review_document",
    "show",
    "show_comparison",
    "show_conformance",
    "show_tables",
    "summary_page",
    "tables_page",
    "write",
]


#: No cell that could not be tried, and a page without the files of a run.
NONE_BROKEN: Mapping[str, str] = MappingProxyType({})
NO_EVIDENCE = html.Evidence()


def show_conformance(console: Console, conformities: Sequence[Conformity]) -> int:
    """Print the outcomes of conformance tests; return how many failures are new."""
    changes = _changes(conformities)
    show_tables(console, list(conformance.tables(conformities, changes)))
    return sum(len(change.worse) for change in changes.values() if change)


def conformance_page(
    run_id: str, conformities: Sequence[Conformity], broken: Mapping[str, str] = NONE_BROKEN
) -> str:
    """Return the outcomes of conformance tests as Markdown. *broken*: see `conformance_html`."""
    tables = list(conformance.tables(conformities, _changes(conformities)))
    page = tables_page(f"Conformance {escaping.markdown_code(run_id)}", tables)
    lines = [f"- {escaping.markdown(line)}\n" for line in _untried(broken)]
    return page + ("\n" + "".join(lines) if lines else "")


def show_tables(console: Console, tables: Sequence[Table]) -> None:
    """Print tables, with an empty line before each."""
    for table in tables:
        console.print()
        print_table(console, table)


def tables_page(title: str, tables: Sequence[Table]) -> str:
    """Return tables as a page of Markdown."""
    return "\n\n".join([f"# {title}", *map(markdown.markdown_table, tables)]) + "\n"


def conformance_html(
    run_id: str,
    conformities: Sequence[Conformity],
    broken: Mapping[str, str] = NONE_BROKEN,
    evidence: html.Evidence = NO_EVIDENCE,
) -> str:
    """Return the outcomes of conformance tests as HTML.

    *broken*: the cells that could not be tried, and why. *evidence*: of the run.
    """
    changes = _changes(conformities)
    worse = [
        f"{cell}: {name}" for cell, change in changes.items() if change for name in change.worse
    ]
    untried = list(_untried(broken))
    words = [numbers.count(len(worse), "new failure")] if worse or not untried else []
    words += [f"{numbers.count(len(untried), 'cell')} could not be tried"] if untried else []
    is_bad = bool(worse or untried)
    return html.tables_page(
        f"Conformance {run_id}",
        list(conformance.tables(conformities, changes, run_id)),
        {run_id: evidence},
        headline=f"{'✗' if is_bad else '✓'} {', '.join(words)}",
        mood="bad" if is_bad else "good",
        broken=[*untried, *worse],
    )


def _untried(broken: Mapping[str, str]) -> Iterator[str]:
    for cell, reason in broken.items():
        yield f"{cell} could not be tried: {reason}"


def _changes(conformities: Sequence[Conformity]) -> dict[str, Change | None]:
    changes: dict[str, Change | None] = {}
    for conformity in conformities:
        before = baseline(conformity.cell)
        changes[conformity.cell] = change(conformity, before) if before else None
    return changes


def write(run: Run, results: Results) -> None:
    """Write results and reports into a run directory."""
    write_text(run.path / "results.json", results.model_dump_json(indent=1) + "\n")
    write_text(run.path / "report.md", markdown.document(results))
    for path, measured in run.node_errors():
        write_text(run.path / explorer_file(path.name), model_explorer.document(measured))
    write_text(run.path / "report.html", html.run_page(results, html.Evidence(folder=run.path)))
    write_text(run.path / "junit.xml", junit.document(results))
