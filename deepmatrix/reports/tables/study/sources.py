"""The records that statements and ratings rest on, as sources of a table's line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deepmatrix.drawing.layout import Source
from deepmatrix.store.records import log_path, place_of


def sources(records: Iterable[str]) -> tuple[Source, ...]:
    """Return records, as ``RUN/PATH``, each with the log beside it."""
    return tuple(source for record in records for source in _with_log(record))


def _with_log(record: str) -> Iterator[Source]:
    run, _, path = record.partition("/")
    yield Source(run=run, path=path)
    if path.startswith("records/") and path.endswith(".json"):
        cell, subject, _ = place_of(path)
        yield Source(run=run, path=log_path(cell, subject), words="log")
