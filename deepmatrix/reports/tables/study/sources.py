"""The records that statements and ratings rest on, as sources of a table's line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deepmatrix.drawing import numbers
from deepmatrix.drawing.layout import Source
from deepmatrix.reports.tables.cells import on_processors
from deepmatrix.results.rows import Results
from deepmatrix.store.records import log_path, place_of


def about_run(results: Results) -> str:
    """Return when a run measured, what, and on which processors."""
    created = numbers.minute(results.created)
    place = on_processors(results)
    return f"measured by {results.run}: preset {results.preset}, {created} UTC{place}"


def sources(records: Iterable[str]) -> tuple[Source, ...]:
    """Return records, as ``RUN/PATH``, each with the log beside it."""
    return tuple(source for record in records for source in _with_log(record))


def _with_log(record: str) -> Iterator[Source]:
    run, _, path = record.partition("/")
    yield Source(run=run, path=path)
    if path.startswith("records/") and path.endswith(".json"):
        cell, subject, _ = place_of(path)
        yield Source(run=run, path=log_path(cell, subject), words="log")
