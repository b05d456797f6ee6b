"""Evidence of where a system works: the cells that ran, and where its artifacts match."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence

from deepmatrix.results.rows import PortabilityRow, Results
from deepmatrix.store.records import record_path
from deepmatrix.study.checks import ArtifactCheck, CellCheck
from deepmatrix.study.evidence import Evidence, cell_record_path
from harness.record import EVERYWHERE

#: Errors at loading that mean a broken cell, not an unreadable model.
BROKEN_CELL_ERRORS = (
    *EVERYWHERE,
    "ImportError",
    "ModuleNotFoundError",
    "NameError",
    "MemoryError",
    "OSError",
)


def cell_evidence(check: CellCheck, results: Results) -> Iterator[Evidence]:
    """Yield evidence for it from every cell that ran; the others say only why they did not."""
    rows = [row for row in results.cells if fnmatch.fnmatchcase(row.cell, check.cell)]
    for row in (row for row in rows if row.status == "ok"):
        mode = "its jobs ran, emulated" if row.emulated else "its jobs ran"
        record = cell_record_path(row, results)
        yield Evidence(confirms=True, reason=f"{row.cell}: {mode}", record=record)
    for row in rows:
        record = cell_record_path(row, results) if row.jobs else "plan.json"
        reason = f"{row.cell}: {row.reason or row.status}"
        yield Evidence(confirms=None, reason=reason, record=record)


def artifact_evidence(check: ArtifactCheck, results: Results) -> Iterator[Evidence]:
    """Yield one piece of evidence about all artifacts that match on all matching consumers."""
    rows = [
        row
        for row in results.portability
        if fnmatch.fnmatchcase(row.artifact, check.artifact)
        and fnmatch.fnmatchcase(row.consumer, check.consumer)
    ]
    tried = [row for row in rows if row.verdict != "not-run"]
    if rows:
        example = _example(tried or rows)
        record = record_path(example.consumer, example.artifact) if tried else "plan.json"
        names = {row.cell: row.name for row in results.cells}
        reason = _serving_reason(tried, example, names)
        yield Evidence(confirms=_is_served(tried), reason=reason, record=record)


def _is_served(rows: Sequence[PortabilityRow]) -> bool | None:
    """Return whether artifacts can be run; None where some answers are wrong or none was tried."""
    wrong = [row for row in rows if row.verdict in ("drift", "error") and not row.expected_failure]
    if not wrong and any(row.verdict == "match" for row in rows):
        return True
    return False if rows and all(map(_is_refused, rows)) else None


def _is_refused(row: PortabilityRow) -> bool:
    """Return whether a consumer cannot load an artifact, as far as the record shows."""
    at_loading = row.failed_phase == "startup" and row.error_type not in BROKEN_CELL_ERRORS
    return row.verdict == "unsupported" or (row.verdict == "error" and at_loading)


def _example(rows: Sequence[PortabilityRow]) -> PortabilityRow:
    """Return the row to show: a wrong one that is inconclusive before all others."""
    return min(
        rows, key=lambda row: (row.verdict == "match", bool(row.expected_failure), _is_refused(row))
    )


def _serving_reason(
    tried: Sequence[PortabilityRow], example: PortabilityRow, names: Mapping[str, str]
) -> str:
    matched = [row for row in tried if row.verdict == "match"]
    count = f"{len(matched)} of {len(tried)} pairs of a model and a runtime match"
    if not tried or len(matched) < len(tried):
        reason = example.expected_failure or example.reason
        detail = f"{example.artifact} on {example.consumer}: {example.verdict}: {reason}"
        return f"{count}; {detail}"
    largest = max((row.error for row in tried if row.error is not None), default=0.0)
    consumers = {names[row.consumer] + " (emulated)" * row.emulated for row in tried}
    listed = ", ".join(sorted(consumers))
    return f"{count}, the largest error {largest:.1e}, on {listed}"
