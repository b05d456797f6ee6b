"""Rows of what a framework can express: its idioms and its probes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deepmatrix.results.rows import IdiomRow, ProbeRow
from deepmatrix.store.phases import ProbeOutcome
from deepmatrix.store.records import JobRecord
from deepmatrix.workloads import idioms as definitions
from deepmatrix.workloads.probes import NAMES


def idioms(
    group: Sequence[JobRecord], framework: str, network: str, tolerance: float, known: str
) -> Iterator[IdiomRow]:
    """Yield the row of a network's idiom, where it was asked for; *known* is why it may fail."""
    for record in group:
        phase = record.output.phase("idiom") if record.output else None
        if phase is None:
            continue
        status, reason = phase.status, phase.error.line if phase.error else ""
        if status == "ok" and not _within(record.idiom, tolerance):
            status, reason = "failed", "its logits, before or after training, are not those of gold"
        yield IdiomRow(
            cell=record.cell,
            workload=record.workload,
            emulated=record.emulated,
            status=status,
            reason=reason,
            known=known if status != "ok" else "",
            lines=definitions.counts().get((definitions.name_of(network), framework)),
            error=record.idiom,
        )


def probed(group: Sequence[JobRecord], tolerance: float) -> Iterator[ProbeRow]:
    """Yield a row a probe, where they were asked for."""
    for record in group:
        said = record.output.probes() if record.output else None
        if said is None:
            continue
        for name in NAMES:
            yield _probe_row(record, name, said.probes.get(name), tolerance)


def _probe_row(
    record: JobRecord, name: str, outcome: ProbeOutcome | None, tolerance: float
) -> ProbeRow:
    row = ProbeRow(
        cell=record.cell,
        probe=name,
        workload=record.workload,
        emulated=record.emulated,
        verdict="match",
        ran=(outcome.ran if outcome else None) or "",
    )
    if outcome is None:
        return row.model_copy(update={"verdict": "failed", "reason": "it was not tried"})
    if outcome.status != "ok":
        reason = outcome.error.line if outcome.error else "no error given"
        return row.model_copy(update={"verdict": outcome.status, "reason": reason})
    error = (record.probes or {}).get(name)
    if _within(error, tolerance):
        return row.model_copy(update={"error": error})
    said = "its numbers are not those of gold"
    return row.model_copy(update={"verdict": "wrong", "error": error, "reason": said})


def _within(error: float | None, tolerance: float) -> bool:
    return error is not None and error <= tolerance


def problems(found: Sequence[IdiomRow], probes: Sequence[ProbeRow]) -> Iterator[str]:
    """Yield what makes the run exit with 1. What a framework cannot express is a finding."""
    for idiom in found:
        if idiom.status == "failed" and not idiom.known:
            yield f"{idiom.cell}, {idiom.workload}: idiom: {idiom.reason}"
    for probe in probes:
        if probe.verdict == "wrong":
            yield f"{probe.cell}, {probe.probe}: wrong: {probe.reason}"
