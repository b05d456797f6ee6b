"""What a process comes to, from how it ended and what it left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deepmatrix.engines import Ended
from deepmatrix.execution.conclusions import conclude
from tests.unit.examples import output, planned, record

JOB = next(planned("torch-debian12-amd64-cpu").jobs("produce"))
HUNG = """\
Timeout (0:10:00)!
Thread 0x00007f (most recent call first):
  File "/opt/deepmatrix/harness/phases.py", line 12 in train
  File "/opt/deepmatrix/harness/job.py", line 3 in main
"""


def ended(code: int | None = 0, log: str = "", ending: Any = "exited", cause: str = "") -> Ended:
    return Ended(ending=ending, cause=cause, exit_code=code, wall_s=1.0, log=log)


def write(control: Path, **changes: Any) -> dict[str, Any]:
    document = json.loads(output(JOB).model_dump_json(by_alias=True))
    document.update(changes)
    (control / "output.json").write_text(json.dumps(document))
    return document


def test_a_whole_output_and_exit_code_0_is_ok(tmp_path: Path) -> None:
    write(tmp_path)
    output, status, cause = conclude(JOB, tmp_path, ended())
    assert (status, cause) == ("ok", "")
    assert output is not None


@pytest.mark.parametrize(
    ("code", "log", "status", "cause"),
    [
        (0, "", "lost", "exited with 0 but wrote no output.json"),
        (75, "harness: no\n", "engine-lost", "the disk of its machine is full: harness: no"),
        (3, "one\nBoom: it broke\n", "crashed", "exit code 3: Boom: it broke"),
        (3, "", "crashed", "exit code 3: its log is empty"),
        (1, HUNG, "crashed", 'exit code 1: File "/opt/deepmatrix/harness/job.py", line 3 in main'),
    ],
)
def test_a_missing_output_has_a_status_and_a_cause(
    tmp_path: Path, code: int, log: str, status: str, cause: str
) -> None:
    assert conclude(JOB, tmp_path, ended(code, log))[1:] == (status, cause)


@pytest.mark.parametrize(
    ("report", "place"),
    [
        (HUNG, 'it hung in File "/opt/deepmatrix/harness/phases.py", line 12 in train'),
        ("The deadline of 600 s has passed.\n", "The deadline of 600 s has passed."),
    ],
)
@pytest.mark.parametrize(("ending", "code"), [("exited", 1), ("crashed", 137)])
def test_a_watchdogs_report_without_an_output_is_a_timeout(
    tmp_path: Path, report: str, place: str, ending: Any, code: int
) -> None:
    (tmp_path / "watchdog.txt").write_text(report)
    conclusion = conclude(JOB, tmp_path, ended(code, ending=ending, cause="killed by SIGKILL"))
    assert conclusion == (None, "timeout", f"the harness's watchdog ended it: {place}")


def test_an_empty_report_of_a_watchdog_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "watchdog.txt").touch()
    assert conclude(JOB, tmp_path, ended(3))[1] == "crashed"


def test_memory_that_ran_out_overrides_a_watchdogs_report(tmp_path: Path) -> None:
    (tmp_path / "watchdog.txt").write_text(HUNG)
    assert conclude(JOB, tmp_path, ended(137, ending="oom"))[1] == "oom"


@pytest.mark.parametrize("size", [0, 1, 100])
def test_a_torn_output_is_torn(tmp_path: Path, size: int) -> None:
    write(tmp_path)
    path = tmp_path / "output.json"
    path.write_text(path.read_text()[:size])
    output, status, cause = conclude(JOB, tmp_path, ended())
    assert (output, status) == (None, "torn")
    assert cause.startswith("output.json is torn or not a record: Invalid JSON: EOF while parsing")


def test_an_output_before_a_death_is_stored_but_the_job_crashed(tmp_path: Path) -> None:
    write(tmp_path)
    output, status, cause = conclude(JOB, tmp_path, ended(134))
    assert output is not None
    assert (status, cause) == ("crashed", "exit code 134 after it wrote its output")


def test_the_engines_ending_overrides_the_output(tmp_path: Path) -> None:
    write(tmp_path)
    how = ended(None, ending="oom", cause="more than 4 GiB")
    assert conclude(JOB, tmp_path, how) == (None, "oom", "more than 4 GiB")


def test_the_first_failed_phase_is_the_cause(tmp_path: Path) -> None:
    document = write(tmp_path)
    document["records"][2].update(
        status="failed",
        error={"type": "ValueError", "message": "no such layer\nmore", "traceback": "..."},
    )
    write(tmp_path, records=document["records"])
    assert conclude(JOB, tmp_path, ended())[1:] == ("failed", "train: ValueError: no such layer")


def test_a_skipped_phase_is_not_the_cause(tmp_path: Path) -> None:
    document = write(tmp_path)
    first, *skipped = document["records"]
    first |= {"status": "unsupported", "error": error("Unsupported", "no layer torch.narrow")}
    for phase_record in skipped:
        phase_record |= {
            "status": "failed",
            "error": error("NotReached", "startup did not succeed"),
        }
    write(tmp_path, records=document["records"])
    _, status, cause = conclude(JOB, tmp_path, ended())
    assert (status, cause) == ("unsupported", "startup: no layer torch.narrow")


def error(name: str, message: str) -> dict[str, str]:
    return {"type": name, "message": message, "traceback": ""}


def test_an_unsupported_phase_has_a_status_of_its_own(tmp_path: Path) -> None:
    document = write(tmp_path)
    document["records"][2].update(
        status="unsupported", error={"type": "Unsupported", "message": "no LSTM", "traceback": ""}
    )
    write(tmp_path, records=document["records"])
    assert conclude(JOB, tmp_path, ended())[1:] == ("unsupported", "train: no LSTM")


@pytest.mark.parametrize(
    ("change", "status", "cause"),
    [
        ({"job": "another"}, "torn", "output.json belongs to another job, another"),
        ({"records": []}, "torn", "output.json has records of no phase"),
        ({"selftest": []}, "failed", "the self-test failed, but the job continued"),
    ],
)
def test_an_output_that_does_not_fit_the_job_is_refused(
    tmp_path: Path, change: dict[str, Any], status: str, cause: str
) -> None:
    write(tmp_path, **change)
    assert conclude(JOB, tmp_path, ended())[1:] == (status, cause)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"environment": {"versions": ["torch"]}},
        {"peak_memory_bytes": "much"},
    ],
)
def test_an_output_that_breaks_the_schema_is_torn(tmp_path: Path, change: dict[str, Any]) -> None:
    write(tmp_path, **change)
    assert conclude(JOB, tmp_path, ended())[1] == "torn"


@pytest.mark.parametrize(
    ("phase", "data"),
    [
        ("train", {}),
        ("train", {"step_s": ["fast"], "losses": [], "accuracy": 1}),
        ("infer", {"batches": {"x": {"latency_s": [1.0], "warmup": 0}}}),
        ("infer", {"batches": {"1": {"latency_s": [None], "warmup": 0}}}),
        ("infer", {"batches": {"1": {"latency_s": [], "warmup": 0}}}),
        ("infer", {"batches": {"1": {"latency_s": [-1.0], "warmup": 0}}}),
        ("infer", {"batches": {"1": {"latency_s": [1.0, 1.0], "warmup": 2}}}),
        ("train", {"step_s": [1.0], "losses": [1.0], "accuracy": 5.0}),
        ("train", {"step_s": [1.0], "losses": [1.0], "accuracy": float("nan")}),
    ],
)
def test_a_phase_without_its_samples_is_torn(tmp_path: Path, phase: str, data: dict) -> None:
    document = write(tmp_path)
    for phase_record in document["records"]:
        if phase_record["phase"] == phase:
            phase_record["data"] = data
    write(tmp_path, records=document["records"])
    assert conclude(JOB, tmp_path, ended())[1] == "torn"


@pytest.mark.parametrize("path", ["/etc/passwd", "../gold.npz", "a/../../b", "", "C:\\x", "a\\b"])
def test_a_model_file_outside_its_folder_is_torn(tmp_path: Path, path: str) -> None:
    file = {"path": path, "bytes": 1, "sha256": "0" * 64}
    write(tmp_path, artifacts=[{"format": "onnx", "files": [file], "export_s": 1.0}])
    assert conclude(JOB, tmp_path, ended())[1] == "torn"


def test_a_cause_holds_no_terminal_control_sequences(tmp_path: Path) -> None:
    _, status, cause = conclude(JOB, tmp_path, ended(3, "\x1b]52;c;AAAA\x07\x1b[31mred\n"))
    job_record = record(JOB, status=status, cause=cause, output=None)
    assert job_record.cause == "exit code 3:  ]52;c;AAAA red"
