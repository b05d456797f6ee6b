"""What became of a framework's idioms, probes and facts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deepmatrix.results.expressiveness.rows import FactRow, IdiomRow, ProbeRow
from deepmatrix.store.records import JobRecord
from deepmatrix.store.reported.phases import ProbeOutcome
from deepmatrix.workloads import idioms as definitions
from deepmatrix.workloads.probes import NAMES


def idioms(
    group: Sequence[JobRecord],
    framework: str,
    network: str,
    tolerance: float,
    expected_failure: str,
) -> Iterator[IdiomRow]:
    """Yield the row of a network's idiom, where it was run; *expected_failure*: why it may fail."""
    for record in group:
        phase = record.output.phase("idiom") if record.output else None
        if phase is None:
            continue
        status, reason = phase.status, phase.error.line if phase.error else ""
        if status == "ok" and not _within(record.idiom, tolerance):
            status, reason = "failed", "its logits before or after training differ from gold"
        yield IdiomRow(
            cell=record.cell,
            workload=record.workload,
            emulated=record.emulated,
            status=status,
            reason=reason,
            expected_failure=expected_failure if status != "ok" else "",
            lines=definitions.line_counts().get((definitions.network_name(network), framework)),
            error=record.idiom,
        )


def probed(group: Sequence[JobRecord], tolerance: float) -> Iterator[ProbeRow]:
    """Yield a row for each probe that a framework has a program for, where probes were run."""
    for record in group:
        data = record.output.probes() if record.output else None
        if data is None:
            continue
        for name in NAMES:
            if outcome := data.probes.get(name):
                yield _probe_row(record, name, outcome, tolerance)


def _probe_row(record: JobRecord, name: str, outcome: ProbeOutcome, tolerance: float) -> ProbeRow:
    row = ProbeRow(
        cell=record.cell,
        probe=name,
        workload=record.workload,
        emulated=record.emulated,
        verdict="match",
        ran=outcome.ran or "",
        outside=outcome.outside or "",
    )
    if outcome.status != "ok":
        reason = outcome.error.line if outcome.error else "no error given"
        return row.model_copy(update={"verdict": outcome.status, "reason": reason})
    error = (record.probes or {}).get(name)
    if _within(error, tolerance):
        return row.model_copy(update={"error": error})
    reason = "its numbers differ from gold"
    return row.model_copy(update={"verdict": "wrong", "error": error, "reason": reason})


def facts(group: Sequence[JobRecord]) -> Iterator[FactRow]:
    """Yield a row for each fact of a framework, where probes were run."""
    for record in group:
        data = record.output.probes() if record.output else None
        for name, outcome in sorted(data.facts.items()) if data else ():
            yield FactRow(
                cell=record.cell,
                fact=name,
                workload=record.workload,
                holds=outcome.holds,
                evidence=outcome.evidence or "",
                reason=outcome.error.line if outcome.error else "",
            )


def _within(error: float | None, tolerance: float) -> bool:
    return error is not None and error <= tolerance


def problems(
    idiom_rows: Sequence[IdiomRow], probe_rows: Sequence[ProbeRow], fact_rows: Sequence[FactRow]
) -> Iterator[str]:
    """Yield what makes the run exit with 1. What a framework cannot express is a finding."""
    for idiom in idiom_rows:
        if idiom.status == "failed" and not idiom.expected_failure:
            yield f"{idiom.cell}, {idiom.workload}: idiom: {idiom.reason}"
    for probe in probe_rows:
        if probe.verdict == "wrong":
            yield f"{probe.cell}, {probe.probe}: wrong: {probe.reason}"
    for fact in fact_rows:
        if fact.reason:
            yield f"{fact.cell}, {fact.fact}: error: {fact.reason}"
