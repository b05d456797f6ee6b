"""The records that statements and ratings rest on, as sources of a table's line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deepmatrix.drawing import numbers
from deepmatrix.drawing.layout import Source
from deepmatrix.results.rows import Results
from deepmatrix.store.records import log_path, place_of


def about_run(results: Results) -> str:
    """Return when a run measured, what, and on which processors."""
    native = [cell for cell in results.cells if cell.jobs and not cell.emulated]
    processors = {str(cell.environment.get("processor") or "") for cell in native} - {""}
    place = f", on {', '.join(sorted(processors))}" if processors else ""
    created = numbers.minute(results.created)
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
