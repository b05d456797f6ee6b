"""What is concluded for an artifact on a consumer, with its reason."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deepmatrix.config.sections import Override, Precision, Tolerances
from deepmatrix.judging import deviations
from deepmatrix.judging.terms import Terms, terms_of
from deepmatrix.judging.verdicts import ORDER, Verdict, judge
from deepmatrix.planning.cells import all_cells
from deepmatrix.results import remarks
from deepmatrix.results.rows import PortabilityRow
from deepmatrix.store.manifests import Manifest
from deepmatrix.store.records import Agreement, Deviation, Generated, JobRecord
from deepmatrix.store.reported.output import Output
from deepmatrix.store.truths import Truth
from tests.unit.examples import MATRIX, planned, record

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
    ("measured", "word", "reason"),
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
def test_the_error_decides(measured: Agreement, word: str, reason: str) -> None:
    verdict = judge([record(JOB, agreement=measured)], TERMS, "")
    assert (verdict.name, verdict.reason) == (word, reason)


@pytest.mark.parametrize(
    ("reported", "dtypes", "shown"),
    [
        (None, ["float64", "int64"], "float64"),
        (None, ["float64", "float32"], "float32"),
        (None, ["int64"], "float32"),
        ("float32", ["float64"], "float32"),
    ],
)
def test_a_model_in_float64_is_served_in_it_unless_the_runtime_says_less(
    reported: str | None, dtypes: list[str], shown: str
) -> None:
    outputs = tuple(Deviation(name=f"y{at}", error=0.0, dtype=x) for at, x in enumerate(dtypes))
    measured = agreement(0.0).model_copy(update={"outputs": outputs})
    served = record(JOB, agreement=measured)
    assert served.output is not None
    environment = served.output.environment.model_copy(update={"precision": reported})
    output = served.output.model_copy(update={"environment": environment})
    verdict = judge([served.model_copy(update={"output": output})], TERMS, "")
    assert (verdict.name, verdict.precision) == ("match", shown)


@pytest.mark.parametrize("own", [1.3, NAN])
def test_a_users_model_whose_gold_its_own_precision_contradicts_has_no_gold(own: float) -> None:
    terms = replace(TERMS, imported=True)
    verdict = judge([record(JOB, agreement=agreement(1.3, own=own))], terms, "")
    assert (verdict.name, verdict.error, verdict.tolerance) == ("not-run", None, None)
    assert verdict.reason == f"no gold: the model's rounding error is {own:.1e}, above 1e-04"


@pytest.mark.parametrize(
    ("scores", "word", "reason"),
    [
        (1e-7, "not-run", "boxes: no gold: the model's rounding error is 1.3e+00, above 1e-04"),
        (1e-3, "drift", "error 1.0e-03 is above 1.0e-06"),
    ],
)
def test_one_output_that_cannot_be_judged_leaves_the_others_their_verdicts(
    scores: float, word: str, reason: str
) -> None:
    outputs = (
        Deviation(name="boxes", error=1.3, producer_error=1.3),
        Deviation(name="scores", error=scores, producer_error=1e-8),
    )
    measured = agreement(1.3, own=1.3).model_copy(update={"outputs": outputs})
    terms = replace(TERMS, imported=True)
    verdict = judge([record(JOB, agreement=measured)], terms, "")
    assert (verdict.name, verdict.reason, verdict.worst_output) == (word, reason, "scores")
    assert judge([record(JOB, agreement=measured)], TERMS, "").reason.startswith("the producer's")


def test_an_output_without_an_error_drifts() -> None:
    measured = agreement(2e-7).model_copy(update={"outputs": (Deviation(name="y", error=None),)})
    verdict = judge([record(JOB, agreement=measured)], TERMS, "")
    assert (verdict.name, verdict.error) == ("drift", None)
    assert verdict.reason == "its values cannot be compared with gold"


def test_a_consumer_of_reduced_precision_has_its_own_stated_tolerance() -> None:
    rough = agreement(5e-3)
    assert judge([record(JOB, agreement=rough)], TERMS, "").name == "drift"
    verdict = judge([record(JOB, agreement=rough)], replace(TERMS, precision="bfloat16"), "")
    assert (verdict.name, verdict.basis) == ("match", "tolerance of bfloat16")


def said(measured: Agreement, precision: str) -> JobRecord:
    """A record of a process that said what it computes in."""
    plain = record(JOB, agreement=measured)
    assert plain.output is not None
    environment = plain.output.environment.model_copy(update={"precision": precision})
    output = plain.output.model_copy(update={"environment": environment})
    return plain.model_copy(update={"output": output})


@pytest.mark.parametrize(
    ("declared", "computed", "word", "judged"),
    [
        ("bfloat16", "bfloat16", "match", "bfloat16"),
        ("bfloat16", "float16", "drift", "float16"),
        ("bfloat16", "float32", "drift", "float32"),
        ("bfloat16", "something new", "match", "bfloat16"),
        ("float32", "bfloat16", "drift", "float32"),
    ],
)
def test_what_may_choose_its_precision_is_judged_by_the_one_it_says(
    declared: Any, computed: str, word: str, judged: str
) -> None:
    verdict = judge([said(agreement(5e-3), computed)], replace(TERMS, precision=declared), "")
    assert (verdict.name, verdict.precision) == (word, judged)


def outputs(**errors: float | None) -> Agreement:
    deviations = tuple(Deviation(name=name, error=error) for name, error in errors.items())
    known = [error for error in errors.values() if error is not None]
    return agreement(max(known)).model_copy(update={"outputs": deviations})


def set_(error: float, outputs: str = "*") -> Override:
    return Override(subjects="*", outputs=outputs, error=error, reason="so it was agreed")


@pytest.mark.parametrize(
    ("stated", "word", "reason"),
    [
        ((), "drift", "output boxes: error 5.0e-03 is above 1.0e-06"),
        ((set_(1e-2),), "match", ""),
        ((set_(1e-2, "boxes"),), "match", ""),
        ((set_(1e-2, "scores"),), "drift", "output boxes: error 5.0e-03 is above 1.0e-06"),
        ((set_(1e-3, "box*"), set_(1e-2)), "drift", "output boxes: error 5.0e-03 is above 1.0e-03"),
        (
            (set_(1e-9, "scores"), set_(1e-2)),
            "drift",
            "output scores: error 9.0e-07 is above 1.0e-09",
        ),
    ],
)
def test_a_tolerance_that_is_set_stands_instead_of_the_derived_one(
    stated: tuple[Override, ...], word: str, reason: str
) -> None:
    measured = outputs(boxes=5e-3, scores=9e-7)
    verdict = judge([record(JOB, agreement=measured)], replace(TERMS, overrides=stated), "")
    assert (verdict.name, verdict.reason) == (word, reason)


def of_dtype(dtype: str, error: float, own: float) -> Agreement:
    deviation = Deviation(name="y", error=error, dtype=dtype, producer_error=own)
    return agreement(error, own=own).model_copy(update={"outputs": (deviation,)})


@pytest.mark.parametrize(
    ("dtype", "imported", "word"),
    [("float16", True, "match"), ("float32", True, "match"), ("float32", False, "drift")],
)
def test_a_persons_own_model_may_be_written_in_float16(
    dtype: str, imported: bool, word: str
) -> None:
    tolerances = TERMS.tolerances.model_copy(update={"reduced": {"float16": 1e-2}})
    terms = replace(TERMS, tolerances=tolerances, imported=imported)
    verdict = judge([record(JOB, agreement=of_dtype(dtype, 2e-4, 2.2e-4))], terms, "")
    assert verdict.name == word


def test_an_output_of_a_long_sum_has_a_larger_floor() -> None:
    mean = Deviation(name="y", error=2.8e-6, dtype="float32", producer_error=0.0, growth=15.0)
    tolerance, basis = TERMS.allowed_of(mean, agreement(2.8e-6))
    assert tolerance == pytest.approx(1.5e-5)
    assert basis == "the smallest tolerance, grown 15 times in a long sum"


def test_what_is_written_in_float16_can_be_right_to_that_only() -> None:
    terms = replace(
        TERMS, tolerances=TERMS.tolerances.model_copy(update={"reduced": {"float16": 1e-2}})
    )
    verdict = judge([record(JOB, agreement=of_dtype("float16", 5e-3, 0.0))], terms, "")
    assert (verdict.name, verdict.basis) == ("match", "tolerance of float16")
    verdict = judge([record(JOB, agreement=of_dtype("float32", 5e-3, 0.0))], terms, "")
    assert (verdict.name, verdict.basis) == ("drift", "the smallest tolerance")


def test_every_output_has_the_tolerance_of_its_own_producer_error() -> None:
    rough = Deviation(name="boxes", error=3e-5, producer_error=4e-6)
    exact = Deviation(name="scores", error=3e-5, producer_error=1e-8)
    measured = agreement(3e-5, own=4e-6).model_copy(update={"outputs": (rough, exact)})
    verdict = judge([record(JOB, agreement=measured)], TERMS, "")
    assert (verdict.name, verdict.basis) == ("drift", "the smallest tolerance")
    assert verdict.reason == "output scores: error 3.0e-05 is above 1.0e-06"


def detected(scores_off: float, *, produced_off: float = 0.0, pixels: float = 640.0) -> Verdict:
    """Judge a detector, (1, 5, 8), four rows of whose one output are *pixels*, one is scores."""
    gold = np.random.default_rng(0).uniform(0.5, 1.0, (1, 5, 8)) * [[[pixels]] * 4 + [[1.0]]]
    produced, answer = gold.copy(), gold.copy()
    answer[:, 4] += scores_off
    produced[:, 4] += produced_off
    truth = Truth(gold={"y": gold}, produced={"y": produced.astype(np.float32)})
    measured = deviations.compare({"y": answer.astype(np.float32)}, truth)
    return judge([record(JOB, agreement=measured)], TERMS, "")


def test_small_values_beside_large_ones_are_judged_by_their_own_scale() -> None:
    assert detected(1e-7).name == "match"
    off = detected(1e-4)
    assert (off.name, off.basis) == ("drift", "the smallest tolerance")
    assert off.reason == "y, slice of axis 1: error 1.0e-04 is above 1.0e-06"
    assert off.error == pytest.approx(1e-4, rel=0.1)


def test_a_slice_is_allowed_what_it_cost_the_producer() -> None:
    assert detected(1e-4, produced_off=2e-5).name == "match"
    assert detected(3e-4, produced_off=2e-5).name == "drift"


def test_a_slice_below_the_least_scale_is_judged_by_that() -> None:
    gold = np.array([[1.0] * 4, [1e-6] * 4])
    answer = gold + np.array([[0.0], [2e-7]])
    truth = Truth(gold={"y": gold}, produced={"y": gold.astype(np.float32)})
    measured = deviations.compare({"y": answer.astype(np.float32)}, truth)
    assert judge([record(JOB, agreement=measured)], TERMS, "").name == "match"


def test_a_tolerance_that_is_set_by_hand_is_of_the_whole_output() -> None:
    override = Override(subjects="*", error=1e-6, reason="pixels")
    gold = np.array([[640.0] * 4, [1.0] * 4])
    truth = Truth(gold={"y": gold}, produced={"y": gold.astype(np.float32)})
    measured = deviations.compare(
        {"y": (gold + np.array([[0.0], [1e-4]])).astype(np.float32)}, truth
    )
    by_hand = replace(TERMS, overrides=(override,))
    names = [judge([record(JOB, agreement=measured)], of, "").name for of in (TERMS, by_hand)]
    assert names == ["drift", "match"]


@pytest.mark.parametrize("own", [0.0, 1e-7, 4e-6, 5e-6, 5e-5, 1e-4, 1e-3, 1.0])
def test_a_sloppy_producer_lets_no_consumer_be_sloppy(own: float) -> None:
    terms = Terms(tolerances=MATRIX.tolerances)
    assert judge([record(JOB, agreement=agreement(7e-5, own=own))], terms, "").name == "drift"


@pytest.mark.parametrize("off", [0.0, 3.5e-6, 2e-5])
def test_the_approximation_of_gelu_is_another_function(off: float) -> None:
    """By a tanh it is up to 4.7e-4 from the error function; *off*: the producer's own error."""
    x = np.linspace(-4, 4, 801).reshape(9, 89)
    exact = x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2
    approximate = x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
    produced = (exact * (1 + off)).astype(np.float32)
    truth = Truth(gold={"y": exact}, produced={"y": produced})
    terms = Terms(tolerances=MATRIX.tolerances)
    names = [
        judge(
            [record(JOB, agreement=deviations.compare({"y": answer.astype(np.float32)}, truth))],
            terms,
            "",
        ).name
        for answer in (exact, approximate)
    ]
    assert names == ["match" if off < MATRIX.tolerances.producer else "drift", "drift"]


def test_a_tolerance_is_set_for_the_artifacts_and_consumers_that_its_globs_name() -> None:
    stated = [
        {"subjects": "*--lstm--*", "cells": "onnx-*", "error": 1e-3, "reason": "a"},
        {"subjects": "*", "cells": "*-arm64-*", "error": 1e-2, "reason": "b"},
    ]
    tolerances = MATRIX.tolerances.model_copy(
        update={"overrides": tuple(map(Override.model_validate, stated))}
    )
    matrix = MATRIX.model_copy(update={"tolerances": tolerances})
    manifest = Manifest.model_construct(matrix=matrix, plan=planned())
    cells = {cell.id: cell for cell in all_cells(matrix)}
    one, there = (cells[f"onnx-debian12-{name}-cpu"] for name in ("amd64", "arm64"))
    here = one.with_threads(2)
    errors = {
        (cell.architecture, artifact): terms_of(manifest, cell, artifact).allowed(None)[1]
        for cell in (here, there)
        for artifact in ("torch--lstm--onnx", "torch--conv--onnx")
    }
    assert errors == {
        ("amd64", "torch--lstm--onnx"): "override: a",
        ("arm64", "torch--lstm--onnx"): "override: a",
        ("amd64", "torch--conv--onnx"): "the smallest tolerance",
        ("arm64", "torch--conv--onnx"): "override: b",
    }


def test_the_worst_round_counts() -> None:
    rounds = [record(JOB), record(JOB, status="crashed", cause="SIGSEGV", agreement=None)]
    assert judge(rounds, TERMS, "").name == "error"
    assert judge(rounds, TERMS, "").reason == "SIGSEGV"


def test_no_record_is_not_run_with_the_reason() -> None:
    verdict = judge([], TERMS, "the producer failed")
    assert (verdict.name, verdict.reason) == ("not-run", "the producer failed")


def test_what_the_consumer_does_not_support_is_said() -> None:
    verdict = judge(
        [record(JOB, status="unsupported", cause="infer: no LSTM", agreement=None)], TERMS, ""
    )
    assert (verdict.name, verdict.reason) == ("unsupported", "infer: no LSTM")


@pytest.mark.parametrize("status", ["engine-lost", "no-device", "start-failed"])
def test_what_the_engine_could_not_do_is_no_verdict_on_the_model(status: str) -> None:
    rounds = [record(JOB, status=status, cause="gone", agreement=None)]
    assert judge(rounds, TERMS, "").name == "not-run"


def test_another_number_of_outputs_is_an_error() -> None:
    measured = Agreement(
        error=None,
        producer_error=None,
        from_producer=None,
        scale=0.0,
        note="it gave 3 outputs, 1 are expected",
    )
    verdict = judge([record(JOB, agreement=measured)], TERMS, "")
    assert (verdict.name, verdict.reason) == ("error", "it gave 3 outputs, 1 are expected")


def repeated(difference: float, *, stateful: bool = False, random: bool = False) -> JobRecord:
    """A record of a process whose second of three answers, with two threads, differs."""
    measured = agreement(1e-7).model_copy(
        update={"outputs": (Deviation(name="y", error=1e-7, random=random),)}
    )
    plain = record(JOB, agreement=measured)
    assert plain.output is not None
    document = plain.output.model_dump(by_alias=True)
    for phase in document["records"]:
        if phase["phase"] == "infer":
            largest = {"y": difference} if difference else {}
            phase["data"]["stateful"] = stateful
            phase["data"]["repeats"] = {
                "1": {"answers": 3, "different": 0, "largest": {}},
                "2": {"answers": 3, "different": int(difference > 0), "largest": largest},
            }
    return plain.model_copy(update={"output": Output.model_validate(document)})


@pytest.mark.parametrize(
    ("served", "word", "unsteady"),
    [
        (repeated(0.0), "match", ""),
        (repeated(2e-7), "match", "1 of 3 answers differ, by 2.0e-07 at most (threads: 2)"),
        (repeated(2e-3), "drift", "1 of 3 answers differ, by 2.0e-03 at most (threads: 2)"),
        (repeated(2e-3, random=True), "match", ""),
        (repeated(2e-3, stateful=True), "match", ""),
    ],
)
def test_an_answer_that_differs_at_times_is_a_remark_or_beyond_the_tolerance_a_drift(
    served: JobRecord, word: str, unsteady: str
) -> None:
    verdict = judge([served], TERMS, "")
    assert (verdict.name, verdict.unsteady) == (word, unsteady)
    assert verdict.reason == (unsteady if word == "drift" else "")


def threads_apart(difference: float, **output: Any) -> JobRecord:
    """A record of a process whose answers with two threads are all apart from those with one."""
    plain = repeated(0.0)
    assert plain.output is not None
    document = plain.output.model_dump(by_alias=True)
    for phase in document["records"]:
        if phase["phase"] == "infer":
            phase["data"]["repeats"]["2"]["threads_apart"] = {"y": difference}
    outputs = (Deviation(name="y", error=1e-7, **output),)
    measured = agreement(1e-7).model_copy(update={"outputs": outputs})
    output_document = Output.model_validate(document)
    return plain.model_copy(update={"output": output_document, "agreement": measured})


@pytest.mark.parametrize(
    ("apart", "output", "word", "known"),
    [
        (2e-7, {}, "match", 2e-7),
        (2e-3, {}, "drift", 2e-3),
        (2e-3, {"random": True}, "match", 0.0),
        (2e-3, {"caution": "rounding decides 1 of 2 values"}, "match", 2e-3),
    ],
)
def test_answers_that_differ_by_threads_are_a_drift_beyond_the_tolerance(
    apart: float, output: dict[str, Any], word: str, known: float
) -> None:
    verdict = judge([threads_apart(apart, **output)], TERMS, "")
    reason = "answers with 1 and 2 threads differ, by 2.0e-03 at most" * (word == "drift")
    assert (verdict.name, verdict.unsteady, verdict.reason) == (word, reason, reason)
    assert verdict.threads_apart == known


def detections(**columns: float) -> np.ndarray:
    """Return gold of a detector: in each of 40 rows a place of pixels, and the *columns*."""
    places = np.linspace(1.0, 490.0, 40)
    return np.stack([places, *(np.full(40, value) for value in columns.values())], 1)[None]


SLICES = "slices along axis 2 are smaller than the tolerance, 1.0e-02: a match says nothing of them"


@pytest.mark.parametrize(
    ("precision", "gold", "caution"),
    [
        ("bfloat16", detections(score=0.96, kind=0.0), f"1 of 2 {SLICES}"),
        ("bfloat16", detections(score=0.96, kind=3.0), f"2 of 3 {SLICES}"),
        ("bfloat16", detections(score=48.0), ""),
        ("bfloat16", np.array([[490.0, 0.96]]), ""),
        ("bfloat16", np.array([[[490.0] * 4, [np.nan] * 4]]), ""),
        ("float32", detections(score=0.96), ""),
        ("float32", detections(score=1e-9), ""),
    ],
)
def test_a_match_within_a_tolerance_wider_than_a_kind_of_value_says_so(
    precision: Precision, gold: np.ndarray, caution: str
) -> None:
    produced = gold.astype(np.float32)
    measured = deviations.compare(
        {"y": produced}, Truth(gold={"y": gold}, produced={"y": produced})
    )
    served = record(JOB, agreement=measured)
    (output,) = judge([served], replace(TERMS, precision=precision), "").deviations
    assert output.caution.split(";")[0] == caution
    assert ("set --max-error, or let the runtime compute in f32" in output.caution) == bool(caution)
    row = PortabilityRow(
        artifact="a", consumer="c", emulated=False, verdict="match", outputs=(output,)
    )
    warnings = [f"a: a match of output y proves little: {output.caution}"] if caution else []
    assert list(remarks.cautions([row])) == warnings


def test_a_match_with_scores_that_are_zero_in_a_wrong_reference_says_so_too() -> None:
    gold, answer = detections(score=0.0), detections(score=0.96).astype(np.float32)
    produced = {"y": gold.astype(np.float32)}
    measured = deviations.compare({"y": answer}, Truth(gold={"y": gold}, produced=produced))
    verdict = judge([record(JOB, agreement=measured)], replace(TERMS, precision="bfloat16"), "")
    assert verdict.name == "match"
    assert f"1 of 2 {SLICES}" in verdict.deviations[0].caution


def test_only_a_model_that_keeps_state_is_called_stateful() -> None:
    assert judge([repeated(2e-3, stateful=True)], TERMS, "").stateful
    assert not judge([repeated(2e-3)], TERMS, "").stateful
    assert not judge([repeated(2e-3, stateful=True, random=True)], TERMS, "").stateful


def test_repeated_answers_of_an_output_are_held_to_its_own_tolerance() -> None:
    served = repeated(2e-3)
    assert served.agreement is not None
    half = served.agreement.outputs[0].model_copy(update={"dtype": "bfloat16"})
    whole = Deviation(name="z", error=9e-7, dtype="float32")
    outputs = served.agreement.model_copy(update={"outputs": (whole, half)})
    assert judge([served.model_copy(update={"agreement": outputs})], TERMS, "").name == "match"
    whole, half = (
        output.model_copy(update={"name": name}) for output, name in ((whole, "y"), (half, "z"))
    )
    outputs = outputs.model_copy(update={"outputs": (whole, half)})
    assert judge([served.model_copy(update={"agreement": outputs})], TERMS, "").name == "drift"


def test_gold_that_was_computed_in_bfloat16_is_no_more_exact_than_that() -> None:
    """Though the output itself is float32: converters keep the types of inputs and outputs."""
    terms = replace(TERMS, imported=True)
    output = Deviation(
        name="y", error=9e-3, dtype="float32", producer_error=0.0, rounded=True,
        computed_in="bfloat16",
    )  # fmt: skip
    allowed = (1e-2, "gold is in the model's own bfloat16")
    assert terms.allowed_of(output, agreement(9e-3)) == allowed
    precise = output.model_copy(update={"rounded": False})
    assert terms.allowed_of(precise, agreement(9e-3))[0] == 1e-6


TOKENS = Generated(output="", prompt=4, steps=4, equal=4)
ROUNDS = (
    record(JOB, agreement=agreement(2e-7)),
    record(JOB, agreement=agreement(2e-7), wall_s=9.0),
    record(JOB, agreement=agreement(9e-7)),
    record(JOB, agreement=agreement(3e-6)),
    record(JOB, agreement=agreement(NAN)),
    repeated(0.0),
    repeated(2e-3),
    repeated(2e-3, stateful=True),
    threads_apart(2e-3),
    said(agreement(5e-3), "bfloat16"),
    said(agreement(5e-3), "float32"),
    record(JOB, agreement=agreement(2e-7), generated=TOKENS),
    record(
        JOB,
        agreement=agreement(2e-7),
        generated=TOKENS.model_copy(update={"repeatable": False}),
    ),
    record(JOB, agreement=None),
    record(JOB, status="crashed", cause="SIGSEGV"),
    record(JOB, status="crashed", cause="SIGILL"),
)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("count", [2, 3])
def test_rounds_that_answer_alike_are_judged_as_each_by_itself(count: int, precision: Any) -> None:
    terms = replace(TERMS, precision=precision)
    alone = {id(each): judge([each], terms, "") for each in ROUNDS}
    for rounds in itertools.product(ROUNDS, repeat=count):
        verdicts = [alone[id(each)] for each in rounds]
        worst = max(verdicts, key=lambda each: (ORDER.index(each.name), each.error or 0.0))
        assert repr(judge(rounds, terms, "")) == repr(worst)  # NaN is not NaN
