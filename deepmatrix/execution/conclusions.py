"""The status of a job and its cause, from how its process ended and what it wrote."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter

from deepmatrix.boundary.files import Damaged, read_bytes, read_json
from deepmatrix.boundary.opening import is_there
from deepmatrix.engines import Ended
from deepmatrix.engines.archives import MAX_OUTPUT_BYTES
from deepmatrix.planning.plan import Job
from deepmatrix.store.records import Status
from deepmatrix.store.reported.output import Output
from harness.record import NO_ROOM, OUTPUT, WATCHDOG

_OUTPUT = TypeAdapter(Output)

#: The largest report of a watchdog that is read: tracebacks of some thousand threads.
MAX_REPORT_BYTES = 1 << 20


def conclude(job: Job, control: Path, ended: Ended) -> tuple[Output | None, Status, str]:
    """Return a process's output where it can be read, its job's status, and the cause in one line.

    An output that does not fit the job is refused: another job's, one with missing or extra
    phases, one whose self-test failed.
    """
    if ended.ending == "cancelled":
        raise ValueError("a cancelled job has no conclusion")
    path = control / OUTPUT
    report = watchdog_report(control)
    if report and ended.ending in ("exited", "crashed") and not is_there(path):
        return None, "timeout", f"the harness's watchdog ended it: {_place(report)}"
    if ended.ending != "exited":
        return None, ended.ending, ended.cause
    if ended.exit_code == NO_ROOM:
        return None, "engine-lost", f"the disk of its machine is full: {_last_line(ended.log)}"
    if not is_there(path):
        return _without_output(ended)
    try:
        output = read_json(path, _OUTPUT, largest=MAX_OUTPUT_BYTES)
    except Damaged as error:
        return None, "torn", f"output.json is torn or not a record: {error.problem}"
    if output.job != job.id:
        return None, "torn", f"{OUTPUT} belongs to another job, {output.job[:100]}"
    phases = tuple(record.phase for record in output.records)
    if phases != job.phases:
        return None, "torn", f"{OUTPUT} has records of {', '.join(phases) or 'no phase'}"
    if ended.exit_code != 0:
        return output, "crashed", f"exit code {ended.exit_code} after it wrote its output"
    return output, *status_of_phases(output)


def _without_output(ended: Ended) -> tuple[None, Status, str]:
    if ended.exit_code == 0:
        return None, "lost", f"exited with 0 but wrote no {OUTPUT}"
    return None, "crashed", f"exit code {ended.exit_code}: {_last_line(ended.log)}"


def status_of_phases(output: Output) -> tuple[Status, str]:
    """Return the status of a job whose process ended well, and its cause in one line."""
    if phase := output.failure():
        line = phase.error.line if phase.error else "it reports no error"
        return phase.status, f"{phase.phase}: {line}"
    if not output.selftest or not all(test.passed for test in output.selftest):
        return "failed", "the self-test failed, but the job continued"
    return "ok", ""


def watchdog_report(control: Path) -> str:
    """Return what the harness's watchdog wrote before it ended the process; empty if it did not."""
    try:
        report = read_bytes(control / WATCHDOG, largest=MAX_REPORT_BYTES)
    except Damaged:
        return ""
    return report.decode("utf-8", "replace")


def _place(report: str) -> str:
    """Return the innermost frame in a watchdog's report, else its first line."""
    lines = [line.strip() for line in report.splitlines()]
    frames = [line for line in lines if line.startswith("File ")]
    return f"it hung in {frames[0][:300]}" if frames else lines[0][:300]


def _last_line(log: str) -> str:
    lines = log.strip().splitlines()
    return lines[-1].strip()[:300] if lines else "its log is empty"
