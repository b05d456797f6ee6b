"""What is concluded for an artifact on a consumer, with its reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from matrix.config import Tolerances
from matrix.records import Agreement
from matrix.verdicts import Terms, judge
from tests.unit.examples import planned, record

TERMS = Terms(
    tolerances=Tolerances(
        floor=1e-6,
        factor=8,
        reduced={"bfloat16": 1e-2},
        producer=1e-4,
        parity=1e-4,
        loss=1e-4,
        steps=20,
    )
)
NAN = float("nan")
JOB = next(planned("torch-debian12-amd64-cpu", "onnxruntime-*").jobs("consume"))


def agreement(error: float | None, own: float | None = 1e-7, note: str = "") -> Agreement:
    return Agreement(error=error, producer_error=own, from_producer=0.0, scale=1.0, note=note)


@pytest.mark.parametrize(
    ("found", "word", "reason"),
    [
        (agreement(9e-7), "match", ""),
        (agreement(1.1e-6), "drift", "error 1.1e-06 is above 1.0e-06"),
        (agreement(7e-6, own=1e-6), "match", ""),
        (agreement(9e-6, own=1e-6), "drift", "error 9.0e-06 is above 8.0e-06"),
        (agreement(0.0, own=1e-3), "drift", "the producer's own error is 1.0e-03, above 1e-04"),
        (
            agreement(0.0, own=None),
            "drift",
            "the producer's own outputs cannot be compared with gold",
        ),
        (agreement(0.0, own=NAN), "drift", "the producer's own error is nan, above 1e-04"),
        (agreement(NAN), "drift", "error nan is above 1.0e-06"),
        (agreement(None, note="its outputs are not finite"), "error", "its outputs are not finite"),
    ],
)
def test_the_error_decides(found: Agreement, word: str, reason: str) -> None:
    verdict = judge([record(JOB, agreement=found)], TERMS, "")
    assert (verdict.word, verdict.reason) == (word, reason)


def test_a_consumer_of_reduced_precision_has_its_own_stated_tolerance() -> None:
    rough = agreement(5e-3)
    assert judge([record(JOB, agreement=rough)], TERMS, "").word == "drift"
    verdict = judge([record(JOB, agreement=rough)], replace(TERMS, precision="bfloat16"), "")
    assert (verdict.word, verdict.basis) == ("match", "stated for bfloat16")


def test_a_workload_may_state_more_and_never_less() -> None:
    verdict = judge([record(JOB, agreement=agreement(5e-3))], replace(TERMS, stated=1e-2), "")
    assert (verdict.word, verdict.basis) == ("match", "stated for the workload")
    verdict = judge([record(JOB, agreement=agreement(9e-7))], replace(TERMS, stated=1e-9), "")
    assert (verdict.word, verdict.basis) == ("match", "the floor")


def test_the_worst_round_counts() -> None:
    rounds = [record(JOB), record(JOB, status="crashed", cause="SIGSEGV", agreement=None)]
    assert judge(rounds, TERMS, "").word == "error"
    assert judge(rounds, TERMS, "").reason == "SIGSEGV"


def test_no_record_is_not_run_with_the_reason() -> None:
    verdict = judge([], TERMS, "the producer failed")
    assert (verdict.word, verdict.reason) == ("not-run", "the producer failed")


def test_what_the_consumer_does_not_support_is_said() -> None:
    verdict = judge(
        [record(JOB, status="unsupported", cause="infer: no LSTM", agreement=None)], TERMS, ""
    )
    assert (verdict.word, verdict.reason) == ("unsupported", "infer: no LSTM")


@pytest.mark.parametrize("status", ["engine-lost", "no-device", "start-failed"])
def test_what_the_engine_could_not_do_is_no_verdict_on_the_model(status: str) -> None:
    rounds = [record(JOB, status=status, cause="gone", agreement=None)]
    assert judge(rounds, TERMS, "").word == "not-run"
