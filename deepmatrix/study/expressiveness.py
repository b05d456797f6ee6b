"""Evidence of what a system can express: its probes, and the networks it trained."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator

from deepmatrix.results.rows import ProbeRow, Results, TrainingRow
from deepmatrix.study.checks import NetworkCheck, ProbeCheck
from deepmatrix.study.evidence import Evidence, cells_of, record_path

#: Phases in which ``unsupported`` means that the network cannot be expressed; an export's does not.
EXPRESSING_PHASES = ("startup", "parity", "train")


def probe_evidence(check: ProbeCheck, results: Results) -> Iterator[Evidence]:
    """Yield how the probe ended in each cell of the system."""
    for cell in cells_of(check.of, results):
        for row in results.probes:
            if row.cell == cell.cell and row.probe == check.probe:
                confirms, reason = _judge_ran(check, row) if check.ran else _judge_probe(row)
                yield Evidence(
                    confirms=confirms,
                    reason=f"{row.cell}: {reason}",
                    record=record_path(row.cell, row.workload),
                )


def _judge_probe(row: ProbeRow) -> tuple[bool | None, str]:
    if row.verdict == "match":
        return True, f"{row.error:.1e} from gold"
    return False if row.verdict == "unsupported" else None, f"{row.verdict}: {row.reason}"


def _judge_ran(check: ProbeCheck, row: ProbeRow) -> tuple[bool | None, str]:
    if row.verdict != "match":
        return None, f"{row.verdict}: {row.reason}"
    if not row.ran:
        return None, "it did not report which operations ran"
    return fnmatch.fnmatchcase(row.ran, check.ran or ""), f"operations that ran: {row.ran}"


def network_evidence(check: NetworkCheck, results: Results) -> Iterator[Evidence]:
    """Yield how the training ended in each cell of the system."""
    for cell in cells_of(check.of, results):
        for row in results.training:
            if row.cell == cell.cell and row.workload == check.network:
                confirms, reason = _judge_training(row)
                record = record_path(row.cell, row.workload)
                yield Evidence(confirms=confirms, reason=reason, record=record)


def _judge_training(row: TrainingRow) -> tuple[bool | None, str]:
    if row.status == "ok" and row.accuracy is not None:
        error = "" if row.output_error is None else f", {row.output_error:.1e} from gold"
        return True, f"{row.cell} trained {row.workload}{error}"
    if row.status == "ok":
        return None, f"{row.cell}: the workload has no training"
    lacking = row.status == "unsupported" and row.failed_phase in EXPRESSING_PHASES
    return (
        False if lacking else None,
        f"{row.cell}: {row.status}: {row.expected_failure or row.reason}",
    )
