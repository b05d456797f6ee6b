"""Groups of records: those of one cell and subject, each job once a machine."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator

from deepmatrix.errors import RecordError
from deepmatrix.store.records import JobRecord


def groups(*streams: Iterable[JobRecord]) -> Iterator[list[JobRecord]]:
    """Yield the records of each (cell, subject), rounds in order, each job once a machine.

    Args:
        streams: records sorted by their key, as a run directory gives them.

    Raises:
        RecordError: two records of the same job on one machine differ.
    """
    merged = heapq.merge(*streams, key=lambda record: record.key)
    for _, group in itertools.groupby(merged, key=lambda record: record.key[:2]):
        by_job = itertools.groupby(group, lambda record: record.key)
        yield [record for _, records in by_job for record in _unique_records(list(records))]


def _unique_records(records: list[JobRecord]) -> list[JobRecord]:
    """Return the one record of a job from each machine; failures of the engine give way to any."""
    if len(records) == 1:
        return records
    final = [record for record in records if record.is_final] or [
        min(records, key=JobRecord.model_dump_json)
    ]
    unique: dict[str, JobRecord] = {}
    for record in final:
        if unique.setdefault(record.machine, record) != record:
            raise RecordError(
                f"two different records of the job {record.job}",
                hint="merge parts of one run only; start a new run to measure again",
            )
    return [unique[machine] for machine in sorted(unique)]
