"""Evidence of what a system can express: its probes, its idioms, and the networks it trained."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence

from deepmatrix.drawing import numbers
from deepmatrix.results.expressiveness.rows import ProbeRow
from deepmatrix.results.rows import Results, TrainingRow
from deepmatrix.store.records import record_path
from deepmatrix.study.checks import FactCheck, IdiomCheck, NetworkCheck, ProbeCheck
from deepmatrix.study.evidence import Evidence, cells_of

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
                    reason=f"{row.cell}, {row.probe}: {reason}",
                    record=record_path(row.cell, row.workload),
                )


def _judge_probe(row: ProbeRow) -> tuple[bool | None, str]:
    if row.verdict == "match":
        ran = f"by {row.ran}, " if row.ran else ""
        outside = f", but {row.outside}" if row.outside else ""
        return None if outside else True, f"{ran}{row.error:.1e} from gold{outside}"
    return False if row.verdict == "unsupported" else None, f"{row.verdict}: {row.reason}"


def _judge_ran(check: ProbeCheck, row: ProbeRow) -> tuple[bool | None, str]:
    if row.verdict != "match":
        return None, f"{row.verdict}: {row.reason}"
    if not row.ran:
        return None, "it did not report what it called"
    reason = f"it called {row.ran}, {row.error:.1e} from gold"
    return fnmatch.fnmatchcase(row.ran, check.ran or ""), reason


def fact_evidence(check: FactCheck, results: Results) -> Iterator[Evidence]:
    """Yield whether a fact of the system holds in the first of its cells, a native one if any.

    Where that cannot tell, the files of another platform decide nothing in its place.
    """
    for cell in cells_of(check.of, results):
        for row in results.facts:
            if row.cell == cell.cell and row.fact == check.fact:
                yield Evidence(
                    confirms=row.holds,
                    reason=f"{row.cell}: {row.evidence or row.reason}",
                    record=record_path(row.cell, row.workload),
                )
                return


def idiom_evidence(check: IdiomCheck, results: Results) -> Iterator[Evidence]:
    """Yield how the idiom ended in each cell of the system; no failure shows that it cannot be."""
    for cell in cells_of(check.of, results):
        for row in results.idioms:
            if row.cell == cell.cell and row.workload == check.idiom:
                reason = row.expected_failure or row.reason
                if row.status == "ok":
                    reason = f"{row.lines} lines of {row.workload}, {row.error:.1e} from gold"
                yield Evidence(
                    confirms=True if row.status == "ok" else None,
                    reason=f"{row.cell}: {reason}",
                    record=record_path(row.cell, row.workload),
                )


def network_evidence(check: NetworkCheck, results: Results) -> Iterator[Evidence]:
    """Yield how the trainings ended in each cell of the system, of all networks together."""
    for cell in cells_of(check.of, results):
        rows = {
            row.workload: row
            for row in results.training
            if row.cell == cell.cell and row.workload in check.networks
        }
        if rows:
            yield _training_evidence(check, rows)


def _training_evidence(check: NetworkCheck, rows: Mapping[str, TrainingRow]) -> Evidence:
    """Return what trainings show together: one that cannot be, before one that cannot tell."""
    judged = {network: judge_training(row) for network, row in rows.items()}
    trained, lacking, unclear = (
        [network for network, (confirms, _) in judged.items() if confirms is wanted]
        for wanted in (True, False, None)
    )
    if len(trained) == len(check.networks):
        return _trained_evidence([rows[network] for network in trained])
    if decisive := lacking or unclear:
        row, reason = rows[decisive[0]], judged[decisive[0]][1]
    else:
        row = next(iter(rows.values()))
        missing = [network for network in check.networks if network not in rows]
        reason = f"{row.cell}: {', '.join(missing)} not in this run"
    record = record_path(row.cell, row.workload)
    return Evidence(confirms=False if lacking else None, reason=reason, record=record)


def _trained_evidence(rows: Sequence[TrainingRow]) -> Evidence:
    """Return that networks were trained, with their accuracy and the largest error of outputs."""
    errors = [row.output_error for row in rows if row.output_error is not None]
    worst = f", at most {max(errors):.1e} from gold" if errors else ""
    named = ", ".join(f"{row.workload} ({numbers.share(row.accuracy)})" for row in rows)
    reason = f"{rows[0].cell} trained {named}{worst}"
    record = record_path(rows[0].cell, rows[0].workload)
    return Evidence(confirms=True, reason=reason, record=record)


def judge_training(row: TrainingRow) -> tuple[bool | None, str]:
    """Return whether a training shows that its cell trains the workload, and else why not."""
    subject = f"{row.cell}, {row.workload}"
    if row.status == "ok" and row.accuracy is None:
        return None, f"{subject}: it was not trained to the end"
    if row.status == "ok" and not row.accuracy_wanted:
        return None, f"{subject}: no accuracy is asked of it, so nothing shows that it learned"
    if row.status == "ok":
        return _judge_accuracy(row, subject)
    lacking = row.status == "unsupported" and row.failed_phase in EXPRESSING_PHASES
    return (
        False if lacking else None,
        f"{subject}: {row.status}: {row.expected_failure or row.reason}",
    )


def _judge_accuracy(row: TrainingRow, subject: str) -> tuple[bool | None, str]:
    """Judge the accuracy; of a decoder also the one by its own answers.

    Well above chance is at least halfway from what guessing reaches to one.
    """
    halfway = (1 + (row.guessed_accuracy or 0.0)) / 2
    for accuracy in (row.accuracy, row.greedy_accuracy):
        if accuracy is not None and accuracy < halfway:
            share = numbers.share(accuracy)
            return None, f"{subject}: its accuracy, {share}, is not well above chance"
    return True, ""
