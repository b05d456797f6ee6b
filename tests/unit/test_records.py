"""Where a record's status comes from: the phase, the type of its error, and what the user reads."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from deepmatrix.planning.plan import Job
from deepmatrix.store.records import JobRecord
from deepmatrix.store.reported.phases import PhaseStatus
from harness.graphs import BadModel, WrongInputs
from harness.record import BAD_MODEL, NOT_REACHED, STATUSES, WRONG_INPUTS
from tests.unit.examples import output, record

JOB = Job(
    wave="produce",
    cell="torch-debian12-amd64-cpu",
    subject="digits-conv",
    round=0,
    phases=("startup", "parity", "train"),
)
PREAMBLE = "[ONNXRuntimeError] : 1 : FAIL : "
IN_JAVASCRIPT = "Can't create a session. ERROR_CODE: 6, ERROR_MESSAGE: "
SKIPPED = ("failed", NOT_REACHED, "an earlier phase failed")


def ended(phases: dict[str, tuple[str, str, str]], status: Any, cause: str = "") -> JobRecord:
    """Return a record of which some phases ended with (status, type, message)."""
    document = output(JOB).model_dump(by_alias=True)
    for phase in document["records"]:
        if phase["phase"] in phases:
            state, error_type, message = phases[phase["phase"]]
            phase.update(status=state, error={"type": error_type, "message": message})
    return record(JOB, output=output(JOB, records=document["records"]), status=status, cause=cause)


@pytest.mark.parametrize(
    ("phases", "status", "expected"),
    [
        ({}, "ok", ("", "")),
        ({"parity": ("failed", "E", ""), "train": SKIPPED}, "failed", ("parity", "E")),
        ({"startup": SKIPPED, "train": ("failed", "E", "")}, "failed", ("train", "E")),
        ({"startup": SKIPPED}, "failed", ("startup", NOT_REACHED)),
        (
            {"startup": ("unsupported", "U", ""), "train": ("failed", "E", "")},
            "failed",
            ("train", "E"),
        ),
        ({"parity": ("unsupported", "U", "")}, "unsupported", ("parity", "U")),
        ({"parity": ("failed", "E", "")}, "torn", ("", "")),
    ],
)
def test_a_record_tells_the_phase_that_failed_and_its_error(
    phases: dict[str, tuple[str, str, str]], status: str, expected: tuple[str, str]
) -> None:
    job_record = ended(phases, status)
    assert (job_record.failed_phase, job_record.error_type) == expected


@pytest.mark.parametrize(
    ("error", "status", "problem"),
    [
        (("failed", BAD_MODEL, "it is truncated\nat 12"), "failed", "it is truncated"),
        (("failed", BAD_MODEL, ""), "failed", BAD_MODEL),
        (("failed", "ValueError", "no such op"), "failed", "ValueError: no such op"),
        (("failed", BAD_MODEL, "it is truncated"), "bad-artifact", "what the host found"),
        (
            ("failed", "Fail", f"{PREAMBLE}Load model from /in/a b.onnx failed:Type Error: x"),
            "failed",
            "Fail: Type Error: x",
        ),
        (("failed", "Fail", f"{PREAMBLE}no kernel"), "failed", "Fail: no kernel"),
        (("failed", "Error", "Load model from m.onnx failed:bad"), "failed", "Error: bad"),
        (("failed", "Error", f"{IN_JAVASCRIPT}bad"), "failed", "Error: bad"),
    ],
)
def test_a_bad_model_is_told_in_its_own_words_and_an_error_with_its_type(
    error: tuple[str, str, str], status: str, problem: str
) -> None:
    assert ended({"startup": error}, status, cause="what the host found").model_problem == problem


def test_the_harness_and_the_host_agree_on_the_name_of_a_bad_model() -> None:
    assert BadModel.__name__ == BAD_MODEL
    assert WrongInputs.__name__ == WRONG_INPUTS


def test_the_host_knows_the_statuses_of_the_harness() -> None:
    assert get_args(PhaseStatus) == STATUSES
