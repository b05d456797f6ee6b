"""What the user reads after a verification: the verdict, a line a consumer, a line an output."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from deepmatrix import reports
from deepmatrix.drawing import layout, numbers
from deepmatrix.judging.deviations import RANDOM
from deepmatrix.judging.terms import Terms
from deepmatrix.models.budgets import Budgets
from deepmatrix.reports import markdown, screens
from deepmatrix.reports.budgets import exceeded
from deepmatrix.reports.tables import result_tables
from deepmatrix.reports.tables.own_models import headlines, verification
from deepmatrix.results import remarks
from deepmatrix.results.precision.rows import CostRow
from deepmatrix.results.rows import CellRow, Results
from deepmatrix.store.records import Deviation, Steps
from deepmatrix.store.truths import REFERENCE
from harness.record import BASELINE
from tests.unit import verifications
from tests.unit.examples import MATRIX
from tests.unit.verifications import INSPECTOR, MODEL

WIDTHS = (80, 120, 160)
NATIVE = "onnxruntime-debian12-amd64-cpu"
REDUCED = "openvino_default-debian12-amd64-cpu"
DRIFTED = "openvino_default-debian13-arm64-cpu"


def screen(results: Results, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, no_color=True)
    reports.show(console, results)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_first_line_is_the_verdict() -> None:
    first = screen(verifications.results()).strip().splitlines()[0]
    assert first == (
        "models/resnet50/model.onnx: 7 of 10 consumers match, 1 drifts, 1 does not support it, "
        "1 is not judged"
    )
    assert headlines.headline(verifications.results(), MODEL)[1] == "bad"
    assert headlines.headline(verifications.results(NATIVE), MODEL) == (
        "models/resnet50/model.onnx: 1 of 1 consumer matches",
        "good",
    )


def test_a_newcomer_is_told_what_gold_is_and_what_the_tolerance_comes_from() -> None:
    text = " ".join(screen(verifications.results(), 200).split())
    reader = f"the model was read by the standard's evaluator, in {INSPECTOR}"
    assert f"gold, the right values: the model evaluated in float64 ({reader})" in text
    assert "16 times the model's rounding error" in text.replace("\N{NO-BREAK SPACE}", " ")
    assert "rounding error is how far its own precision is from float64" in text
    sources = {"logits": REFERENCE, "embedding": BASELINE}
    line = headlines.judge_line(MODEL.model_copy(update={"judged_by": sources}))
    assert "of logits your --reference; of embedding ONNX Runtime without optimisations (" in line
    line = headlines.judge_line(MODEL.model_copy(update={"judged_by": {}}))
    assert line == f"gold: nothing gives the right values ({reader})"


@pytest.mark.parametrize("width", WIDTHS)
def test_each_consumer_has_one_line_with_its_verdict(width: int) -> None:
    text = screen(verifications.results(), width)
    table = text[text.index("consumer") : text.index("Outputs of")]
    for consumer, (verdict, *_) in verifications.VERDICTS.items():
        (line,) = [line for line in table.splitlines() if line.startswith(f"{consumer} ")]
        assert verdict in line
    assert max(cell_len(line) for line in table.splitlines()) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_the_time_of_each_runtime_is_shown_and_its_version_where_that_fits(width: int) -> None:
    lines = screen(verifications.results(NATIVE, REDUCED), width).splitlines()
    for cell, version in ((NATIVE, "1.24.0"), (REDUCED, "2026.3.0")):
        (line,) = [line for line in lines if line.startswith(cell)]
        assert "1.23 ms" in line
        assert (version in line) == (width >= 120)
    if width == 80:
        assert any("on a wider console: version; " in line for line in lines)


@pytest.mark.parametrize(("alike", "is_named"), [(NATIVE, False), (REDUCED, True), ("", True)])
def test_a_precision_is_no_reason_where_the_answer_is_wrong_in_float32_too(
    alike: str, *, is_named: bool
) -> None:
    cause = verifications.CAUSE.model_copy(update={"as_on": alike})
    rows = tuple(
        row.model_copy(update={"cause": cause}) if row.consumer == DRIFTED else row
        for row in verifications.results().portability
    )
    text = " ".join(
        screen(verifications.results().model_copy(update={"portability": rows})).split()
    )
    assert ("float16 by default: set INFERENCE_PRECISION_HINT=f32; " in text) is is_named
    assert "first wrong node" in text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"only_node": True}, "its only node, product, is wrong"),
        ({"alone": False}, "first wrong node product, only inside the model"),
        ({"alone": True, "hint": "set x to 1"}, "set x to 1; first wrong node product, also alone"),
    ],
)
def test_the_first_wrong_node_is_said_in_a_few_words(fields: dict[str, Any], words: str) -> None:
    cause = verifications.CAUSE.model_copy(update={"node": "product", "as_on": "", **fields})
    rows = tuple(
        row.model_copy(update={"cause": cause}) if row.consumer == DRIFTED else row
        for row in verifications.results().portability
    )
    results = verifications.results().model_copy(update={"portability": rows})
    assert words in " ".join(screen(results).split())


@pytest.mark.parametrize("width", WIDTHS)
def test_a_person_reads_what_to_do(width: int) -> None:
    text = " ".join(screen(verifications.results(), width).split())
    assert "bfloat16 by default: set INFERENCE_PRECISION_HINT=f32" in text
    assert "float16 by default: set INFERENCE_PRECISION_HINT=f32; first wrong node" in text
    assert "operators that it does not know: FusedMatMul of com.microsoft" in text
    assert "→ see it again: nox -s verify -- causes/model.onnx" in text


def test_what_unsupported_does_to_the_run_is_said_where_it_fails_it() -> None:
    assert "with --exclude" in " ".join(screen(verifications.results()).split())
    assert "--exclude" not in screen(verifications.results(NATIVE))


def test_the_tables_of_a_matrix_are_not_on_the_screen() -> None:
    text = screen(verifications.results())
    assert not [title for title in ("Cells", "Deployment", "Interfaces") if title in text]
    titles = [table.title for table in result_tables(verifications.results())]
    assert {"Consumers of resnet50", "Outputs of resnet50", "Cells", "Causes"} <= set(titles)
    assert not [title for title in titles if title.startswith("Portability")]
    page = markdown.document(verifications.results())
    assert "16 times the model's rounding error" in page  # with plain spaces


def test_a_drift_whose_cause_was_not_searched_says_how_to_go_on() -> None:
    searched = verifications.results()
    assert any(row.cause for row in searched.portability)
    rows = tuple(row.model_copy(update={"cause": None}) for row in searched.portability)
    open_ones = searched.model_copy(update={"portability": rows})
    for results, is_open in ((searched, False), (open_ones, True)):
        (table,) = (table for table in result_tables(results) if table.title == "Causes")
        assert ("`--resume` goes on" in table.note) == is_open


def test_a_consumer_that_several_machines_measured_has_a_line_for_each() -> None:
    results = verifications.results(NATIVE)
    assert "machine" not in verification.consumers(results, MODEL).titles
    (timed,) = results.inference
    twice = tuple(timed.model_copy(update={"machine": name}) for name in ("board", "desk"))
    table = verification.consumers(results.model_copy(update={"inference": twice}), MODEL)
    place = table.titles.index("machine")
    lines = [(line.texts[0], line.texts[place]) for line in table.rows]
    assert lines == [(NATIVE, "board"), (NATIVE, "desk")]


def test_what_is_wrong_comes_first_and_the_evaluator_last() -> None:
    table = verification.consumers(verifications.results(), MODEL)
    consumers = [line.texts[0] for line in table.rows]
    assert consumers[0] == f"{DRIFTED} (emulated)"
    assert consumers[-1] == f"{INSPECTOR} (the standard's evaluator)"


def test_the_standards_evaluator_is_not_timed_and_held_to_no_budget() -> None:
    results = verifications.results(NATIVE, INSPECTOR)
    table = verification.consumers(results, MODEL)
    times = {line.texts[0]: line.texts[table.titles.index("p50")] for line in table.rows}
    assert times == {NATIVE: "1.23 ms", f"{INSPECTOR} (the standard's evaluator)": numbers.DASH}
    broken = list(exceeded(Budgets(p99_s=1e-9, error=1e-9, image_bytes=1.0), results))
    assert len(broken) == 3
    assert not [line for line in broken if INSPECTOR in line]


def test_a_runtime_that_gold_comes_from_says_so() -> None:
    results = verifications.results(NATIVE)
    model = MODEL.model_copy(update={"inspector": NATIVE, "evaluator": False, "judged_by": {}})
    table = verification.consumers(results, model)
    assert table.rows[0].texts[-1] == "gold is its own answer: give a --reference"


def test_a_model_that_only_its_judge_serves_is_no_success() -> None:
    line, mood = headlines.headline(verifications.results(INSPECTOR), MODEL)
    assert line.endswith("served by nothing but the evaluator")
    assert mood == "warned"


def test_one_output_that_is_no_vector_has_no_table_of_its_own() -> None:
    results = verifications.results(NATIVE)
    row = results.portability[0]
    output = row.outputs[0].model_copy(update={"cosine": None})
    row = row.model_copy(update={"outputs": (output,)})
    results = results.model_copy(update={"portability": (row,)})
    assert not verification.outputs(results, MODEL).rows
    assert "output" not in verification.consumers(results, MODEL).titles


def test_outputs_that_match_share_a_line_and_others_have_their_own() -> None:
    table = verification.outputs(verifications.results(), MODEL)
    assert [line.texts[:2] for line in table.rows] == [
        ("logits", f"{DRIFTED} (emulated)"),
        ("logits", "6 that match"),
        ("logits", "the one that matches in bfloat16"),
        ("embedding", f"{DRIFTED} (emulated)"),
        ("embedding", "6 that match"),
        ("embedding", "the one that matches in bfloat16"),
    ]
    assert table.rows[0].texts[2:5] == ("6.1e-02", "97.2 %", "0.996279")


@pytest.mark.parametrize(
    ("error", "is_sampled", "is_close"),
    [(3.9e-2, True, True), (4.1e-2, True, False), (3.9e-2, False, False), (1e-2, True, False)],
)
def test_a_small_drift_on_sample_inputs_asks_for_real_ones(
    error: float, is_sampled: bool, is_close: bool
) -> None:
    row = next(row for row in verifications.results(DRIFTED).portability if not row.judges)
    verdict = "drift" if error > 2e-2 else "match"
    judged = row.model_copy(update={"verdict": verdict, "error": error, "tolerance": 2e-2})
    inputs = tuple(entry.model_copy(update={"sampled": is_sampled}) for entry in MODEL.inputs)
    model = MODEL.model_copy(update={"inputs": inputs})
    why = verification.explain_verdict(judged, None, model, is_like_float32=False)
    assert ("give real --inputs" in why) is is_close


@pytest.mark.parametrize(
    ("error", "tolerance", "text"),
    [
        (0.0, 1.0, "▱▱▱▱▱ 0 %"),
        (0.12, 1.0, "▰▱▱▱▱ 12 %"),
        (1.0, 1.0, "▰▰▰▰▰ 100 %"),
        (42.0, 1.0, "▰▰▰▰▰ 42×"),
        (1e6, 1.0, "▰▰▰▰▰ >999×"),
        (1.7e308, 5e-324, "▰▰▰▰▰ >999×"),
        (5e-324, 1.7e308, "▱▱▱▱▱ 0 %"),
        (None, 1.0, numbers.DASH),
        (1.0, None, numbers.DASH),
        (1.0, math.nan, numbers.DASH),
    ],
)
def test_a_meter_shows_how_much_of_the_tolerance_is_used(
    error: float | None, tolerance: float | None, text: str
) -> None:
    assert numbers.meter(error, tolerance).replace("\N{NO-BREAK SPACE}", " ") == text


def test_what_quantisation_costs_is_on_the_screen_and_the_original_is_not_shown_as_served() -> None:
    original = MODEL.model_copy(update={"name": "float", "artifact": "float", "source": "f.onnx"})
    names = {"artifact": MODEL.artifact, "model": MODEL.name, "original": "float"}
    cost = CostRow(**names, output="y", error=0.1, snr_db=34.7)
    served = verifications.results()
    results = served.model_copy(update={"models": (original, *served.models), "costs": (cost,)})
    text = screen(results, 160)
    assert "Cost of quantisation" in text
    assert "34.7" in text
    assert "f.onnx" not in text


def with_rows(**changes: object) -> Results:
    whole = verifications.results(NATIVE, REDUCED)
    rows = tuple(row.model_copy(update=changes) for row in whole.portability)
    return whole.model_copy(update={"portability": rows})


def test_answers_with_the_same_bits_are_counted() -> None:
    repeated = with_rows(repeatable=True, repeats={"1": 100, "2": 100})
    assert "100 repeats with 1 and 2 threads: same bits on 2 consumers" in screen(repeated)
    apart = with_rows(repeatable=True, repeats={"1": 20, "2": 20}, threads_apart=0.024)
    text = "same bits with each number of threads on 2 consumers; 1 and 2 threads differ by 2.4e-02"
    assert f"20 repeats with 1 and 2 threads: {text}" in " ".join(screen(apart, 200).split())
    once = with_rows(repeatable=True)
    assert "2 repeats: same bits on 2 consumers" in screen(once)
    assert "same bits" not in screen(with_rows(repeatable=False))


def test_a_cell_that_did_not_run_has_its_name_and_its_reason() -> None:
    whole = verifications.results(NATIVE)
    left_out = "emulated, and left out by --native"
    names = ("openvino-debian13-arm64-cpu", "onnx-debian13-arm64-cpu")
    skipped = [
        CellRow(cell=name, name=name.split("-")[0], status="not-run", reason=left_out)
        for name in names
    ]
    whole = whole.model_copy(update={"cells": (*whole.cells, *skipped)})
    assert f"2 cells did not run: {left_out} ({', '.join(names)})" in screen(whole, 160)
    narrow = screen(whole, 80)
    assert f"2 cells did not run: {left_out} ({', '.join(names)})" in " ".join(narrow.split())
    assert all(cell_len(line) <= 80 for line in narrow.splitlines())


def test_an_output_that_is_random_by_design_says_so_on_its_line() -> None:
    random = Deviation(name="z", error=0.0, random=True, caution=RANDOM)
    text = screen(with_rows(outputs=(random,), repeatable=False))
    assert "z: random by design: compared by shape, mean and spread only" in text
    assert "other bits" not in text


def test_the_precision_is_the_models_own_unless_a_consumer_reduces_it() -> None:
    steps = Steps(count=1, size=1.0, error=0.01)
    halves = Deviation(name="y", error=0.0, dtype="float32", computed_in="float16")
    integers = Deviation(name="z", error=0.0, dtype="int8", steps=steps)
    floats = Deviation(name="z", error=0.0, dtype="float32", steps=steps)
    expected = {"float16": (halves,), "int8": (integers,), "float16, quantised": (halves, floats)}
    for precision, outputs in expected.items():
        for consumer, shown in ((NATIVE, precision), (REDUCED, "bfloat16")):
            (row,) = verifications.results(consumer).portability
            results = verifications.results(consumer).model_copy(
                update={"portability": (row.model_copy(update={"outputs": outputs}),)}
            )
            assert shown in verification.consumers(results, MODEL).rows[0].texts


def test_a_wide_tolerance_in_steps_says_what_a_step_stands_for() -> None:
    """Of an output that is zero everywhere, four steps are any number of percents."""
    steps = Steps(count=4, size=1.0, real=1 / 256, error=16.0)
    terms = Terms(tolerances=MATRIX.tolerances, imported=True)
    tolerance, basis = terms.allowed(0.0, "y", "int8", steps)
    (row,) = verifications.results(NATIVE).portability
    output = Deviation(name="y", error=0.0, dtype="int8", steps=steps)
    update = {"tolerance": tolerance, "basis": basis, "worst_output": "y", "outputs": (output,)}
    (warning,) = remarks.wide_tolerances([row.model_copy(update=update)])
    assert warning == (
        f"resnet50: a match allows 4 quantisation steps of 0.00391 on {NATIVE}; if you need less, "
        "set --max-error"
    )


def test_a_wide_tolerance_says_what_it_allows_and_what_to_set() -> None:
    (warning,) = remarks.wide_tolerances(verifications.results(NATIVE, REDUCED).portability)
    assert warning == (
        f"resnet50: a match allows an error of 2.0% (tolerance of bfloat16) on {REDUCED}; "
        "if you need less, set --max-error"
    )


#: What OpenVINO says, without the places in its source.
CONVERSION = (
    "RuntimeError: Check 'false' failed at src/frontends/unconverted_ops_report.cpp:151: FrontEnd "
    "API failed with OpConversionFailure: Model wasn't fully converted. Failed operations detailed "
    "log: While validating node 'opset1::Convolution Convolution_10621 (f32[1,1,?,4,4,4]) -> "
    "(dynamic[...])': Expected a 3D, 4D or 5D tensor. Summary: -- Conversion is failed for: Conv-20"
)


@pytest.mark.parametrize("longest", [60, 80, 120, 300])
def test_a_reason_that_is_cut_names_who_refuses_and_what(longest: int) -> None:
    reasons = (CONVERSION, "startup: Unsupported: openvino does not read it: " + CONVERSION[-40:])
    for reason in reasons:
        text = layout.shortened(reason, longest)
        assert len(text) <= longest
        assert text.startswith(reason[:15])
        assert text.endswith("failed for: Conv-20")
        assert (" … " in text) is (len(reason) > longest)


#: What says what is wrong stands before the end, and how it is cut to 120 characters.
BEFORE_THE_END = {
    "startup: RuntimeError: Check '!shape.rank().is_dynamic()' failed at src/plugins/intel_cpu/src/"
    "node.cpp:108: Unexpected: CPU plug-in doesn't support Squeeze operation with dynamic rank. "
    "Operation name: Squeeze_72": "doesn't support Squeeze operation with dynamic rank",
    "infer: NotEvaluated: RuntimeError: Unable to find input 'graph_input_cast_0' in known results "
    "['', '205', '206', '207', '248', '249', '250', '251', 'conv1.bias', 'conv1.weight']": (
        "Unable to find input 'graph_input_cast_0'"
    ),
    "startup: Fail: Non-zero status code returned while running Reshape node. Name:'/t/Reshape_4' "
    "Status Message: reshape_helper.h:91 onnxruntime::ReshapeHelper::ReshapeHelper(const onnx"
    "runtime::TensorShape&) input_shape_size == requested_shape_size was false. The input tensor "
    "cannot be reshaped to the requested shape. Input shape:{64,2,32}, requested shape:{7,8,8}": (
        "The input tensor cannot be reshaped"
    ),
    "startup: Fail: [ONNXRuntimeError] : 1 : FAIL : Exception during initialization: /onnxruntime_"
    "src/onnxruntime/core/providers/cpu/rnn/lstm_base.h:53 onnxruntime::LSTMBase::LSTMBase(const "
    "onnxruntime::OpKernelInfo&) layout_ == 0 was false. Batchwise recurrent operations (layout == "
    "1) are not supported. If you need support create a github issue with justification.": (
        "Batchwise recurrent operations (layout == 1) are not supported"
    ),
}


@pytest.mark.parametrize(("reason", "wrong"), BEFORE_THE_END.items())
def test_a_reason_that_is_cut_keeps_what_is_wrong(reason: str, wrong: str) -> None:
    text = layout.shortened(reason, 120)
    assert len(text) <= 120
    assert text.startswith(reason[:6])
    assert wrong in text


@given(st.text(max_size=200), st.integers(20, 150))
def test_a_cut_reason_is_never_longer_and_a_short_one_never_cut(text: str, longest: int) -> None:
    cut = layout.shortened(text, longest)
    assert len(cut) <= longest
    assert cut == text or len(text) > longest


@pytest.mark.parametrize("width", WIDTHS)
def test_the_screen_names_the_operator_of_a_long_reason(width: int) -> None:
    results = verifications.results(NATIVE)
    row = results.portability[0].model_copy(
        update={"verdict": "error", "error": None, "message": CONVERSION, "outputs": ()}
    )
    text = screen(results.model_copy(update={"portability": (row,)}), width)
    assert "Conversion is failed for: Conv-20" in " ".join(text.split())


def test_a_long_name_of_an_output_is_cut_and_keeps_the_table() -> None:
    long = "model/decoder/" + "block/attention/" * 12 + "logits"
    run = verifications.results()
    rows = [
        row.model_copy(
            update={
                "outputs": tuple(
                    output.model_copy(update={"name": long if output.name == "logits" else "z"})
                    for output in row.outputs
                )
            }
        )
        for row in run.portability
    ]
    model = MODEL.model_copy(update={"judged_by": {long: BASELINE, "z": REFERENCE}})
    text = screen(run.model_copy(update={"portability": tuple(rows), "models": (model,)}), 160)
    assert long not in text
    assert layout.shortened_name(long) in text
    titles = next(line for line in text.splitlines() if line.startswith("output "))
    assert "consumers" in titles, "the table of outputs is a grid"


@pytest.mark.parametrize("count", [screens.MOST_MODELS, screens.MOST_MODELS + 1])
def test_of_many_models_only_those_that_are_not_all_right_have_their_tables(count: int) -> None:
    run = verifications.results()
    judged = run.models[0]
    matching = next(row for row in run.portability if row.verdict == "match" and not row.judges)
    names = [f"right{number}" for number in range(count - 1)]
    models = [
        judged.model_copy(update={"name": name, "artifact": f"a--{name}--onnx"}) for name in names
    ]
    rows = [
        matching.model_copy(update={"artifact": model.artifact, "model": model.name})
        for model in models
    ]
    text = screen(
        run.model_copy(
            update={"models": (judged, *models), "portability": (*run.portability, *rows)}
        ),
        160,
    )
    is_many = count > screens.MOST_MODELS
    assert text.count("gold, the right values") == (1 if is_many else count)
    assert (f"{count - 1} models match on all consumers" in text) == is_many
    # The right models have the same columns: what these mean stands below the first.
    assert text.count("Version: of the runtime that answered") == (1 if is_many else 2)
