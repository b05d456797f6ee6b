"""The pages: of a run, and of titled tables, such as a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from deepmatrix.drawing.counted import COUNTED_SIGNS, sign
from deepmatrix.drawing.layout import Mood, Table, without_empty_columns
from deepmatrix.reports import unfinished
from deepmatrix.reports.html import latency, nodes, overview, timeline, training, verdicts
from deepmatrix.reports.html.evidence import Evidence, source_links
from deepmatrix.reports.html.rendering import render
from deepmatrix.reports.tables import result_tables, slower
from deepmatrix.reports.tables.cells import on_processors
from deepmatrix.reports.tables.own_models.overview import TITLE
from deepmatrix.reports.tables.speed import are_several, only_checked
from deepmatrix.results.rows import Results

#: Maps of more verdicts than this are folded until they are opened.
MOST_UNFOLDED = 1_500

#: The titles of tables that the page draws in another way, by how they begin.
DRAWN = (TITLE, "Slower than ", "Portability: ", "Causes", "Consumers of ", "Inference: ")

#: The files beside the page of a run that it names.
FILES = ("results.json", "report.md")

#: A page whose tables rest on no file.
NO_RUNS: Mapping[str, Evidence] = MappingProxyType({})

#: Tables of more lines than this are left to report.md.
MOST_ROWS = 2_000


def run_page(results: Results, evidence: Evidence) -> str:
    """Return the page of a run."""
    places = verdicts.anchors(results)
    tables = [each for each in result_tables(results) if not each.title.startswith(DRAWN)]
    return render(
        "run.html",
        {results.run: evidence, "": evidence},
        results=results,
        on_processors=on_processors(results),
        title=f"{results.kind} {results.run}",
        files=[name for name in FILES for _ in evidence.link(name, name)],
        overview=overview.overview(results, places, evidence),
        most_shown=overview.MOST_SHOWN,
        idle=[sentence for sentence, _ in unfinished.idle_cells(results)],
        slower=slower.table(results),
        not_slower=slower.line(results),
        maps=list(verdicts.maps(results, places)),
        folded=len(results.portability) > MOST_UNFOLDED,
        sections=list(verdicts.sections(results, places, evidence)),
        unlisted=len(results.portability) - len(places),
        signs=COUNTED_SIGNS,
        sign=sign,
        text_in_map=verdicts.text_in_map,
        css=verdicts.css,
        kind=verdicts.kind,
        has_evaluator=any(row.judges for row in results.portability),
        graphs=list(nodes.graphs(results, evidence)),
        strips=list(latency.strips(results, evidence)),
        only_checked=only_checked(results.training),
        starts=latency.starts(results, evidence),
        part_names=list(latency.PARTS.values()),
        costs=list(latency.costs(results, evidence)),
        memory_of=latency.memory_of(results),
        several=are_several(results),
        trainings=list(training.trainings(results, evidence)),
        timeline=timeline.timeline(results, evidence),
        tables=[table for table in tables if len(table.rows) <= MOST_ROWS],
        too_long=[table.title for table in tables if len(table.rows) > MOST_ROWS],
    )


def _with_links(table: Table, runs: Mapping[str, Evidence]) -> Table:
    """Return a table whose lines have their sources only where some of those are there."""
    has_links = any(link.address for row in table.rows for link in source_links(row.sources, runs))
    rows = table.rows if has_links else (replace(row, sources=()) for row in table.rows)
    return without_empty_columns(replace(table, rows=tuple(rows)))


def tables_page(
    title: str,
    tables: Sequence[Table],
    runs: Mapping[str, Evidence] = NO_RUNS,
    *,
    headline: str = "",
    mood: Mood = "plain",
    about: Sequence[str] = (),
    broken: Sequence[str] = (),
    remarks: Sequence[str] = (),
) -> str:
    """Return a page of tables, whose sources are files of *runs*.

    *about*: what it rests on, first. *broken*: what is wrong, next. *remarks*: sentences, last.
    """
    return render(
        "tables.html",
        runs,
        title=title,
        reports=[
            link
            for evidence in runs.values()
            if evidence.report
            for link in evidence.link("report.html", evidence.report)
        ],
        headline=headline,
        mood=mood,
        about=about,
        broken=broken,
        most_shown=overview.MOST_SHOWN,
        tables=[_with_links(table, runs) for table in tables],
        remarks=remarks,
    )
