"""What a process came to, from how it ended and what it left."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from deepmatrix.engines import Ended
from deepmatrix.planning.plan import Job
from deepmatrix.store.output import Output
from deepmatrix.store.records import Status


def conclude(job: Job, control: Path, ended: Ended) -> tuple[Output | None, Status, str]:
    """Say what a process came to, from how it ended and what it left.

    Nothing is believed that does not fit the job: another job's output, phases that are missing
    or too many, an arithmetic that was not proven.

    Returns the output where it can be read, the status, and its cause in one line.
    """
    if ended.ending == "cancelled":
        raise ValueError("a cancelled job has no conclusion")
    if ended.ending != "exited":
        return None, ended.ending, ended.cause
    path = control / "output.json"
    if not path.is_file():
        return _without_output(ended)
    try:
        output = Output.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        told = f"output.json ({path.stat().st_size} bytes) is torn or not a record"
        return None, "torn", f"{told}: {_first(error)}"
    if output.job != job.id:
        return None, "torn", f"output.json is that of another job, {output.job[:100]}"
    said = tuple(record.phase for record in output.records)
    if said != job.phases:
        return None, "torn", f"output.json tells of {', '.join(said) or 'no phase'}"
    if ended.exit_code != 0:
        return output, "crashed", f"exit code {ended.exit_code} after it had written its output"
    return output, *_of_phases(output)


def _first(error: OSError | ValidationError) -> str:
    """Return the first thing that is wrong, without what an untrusted file says there."""
    if isinstance(error, OSError):
        return error.strerror or "it cannot be read"
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{first['type']} at {place}" if place else first["type"]


def _without_output(ended: Ended) -> tuple[None, Status, str]:
    if ended.exit_code == 0:
        return None, "lost", "exited with 0 but wrote no output.json"
    if "Timeout (" in ended.log and "most recent call first" in ended.log:
        return None, "timeout", f"its own watchdog ended it: {_hung_at(ended.log)}"
    return None, "crashed", f"exit code {ended.exit_code}: {_last_line(ended.log)}"


def _of_phases(output: Output) -> tuple[Status, str]:
    if phase := output.failure():
        line = phase.error.line if phase.error else "no error given"
        return phase.status, f"{phase.phase}: {line}"
    if not output.selftest or not all(test.passed for test in output.selftest):
        return "failed", "its arithmetic was not proven, and yet it went on"
    return "ok", ""


def _hung_at(log: str) -> str:
    """Return the innermost frame of a faulthandler traceback."""
    lines = log[log.rindex("Timeout (") :].splitlines()
    frames = [line.strip() for line in lines if line.strip().startswith("File ")]
    return f"it hung in {frames[0]}" if frames else "no Python frame was running"


def _last_line(log: str) -> str:
    lines = log.strip().splitlines()
    return lines[-1].strip()[:300] if lines else "it left no log"
