"""Conformance: differences, new failures, and the cells that try a suite."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from deepmatrix.conformance import suite
from deepmatrix.conformance.suite import Conformity, Outcome
from deepmatrix.errors import ArgumentError, EngineError, RecordError
from deepmatrix.planning.selection import Selection
from deepmatrix.planning.suite_plan import plan_suite
from deepmatrix.reports.tables import conformance
from deepmatrix.store.reported.conformance import CaseOutcome, SuiteCase, SuiteData
from deepmatrix.store.runs import Run
from tests.unit.examples import DOCKER, MATRIX


def conformity(failed: dict[str, str], skipped: tuple[str, ...] = ()) -> Conformity:
    return Conformity(
        cell="onnxruntime-debian12-amd64-cpu",
        suite="onnx 1",
        versions={"onnxruntime": "1"},
        passed=10,
        failed={
            name: Outcome(ending="error", kind="Fail", reason=why) for name, why in failed.items()
        },
        skipped=dict.fromkeys(skipped, "it has a sequence"),
    )


def test_only_failures_that_the_baseline_lacks_are_new() -> None:
    before = conformity({"test_a": "no kernel", "test_b": "no kernel", "test_c": "no kernel"})
    now = conformity({"test_a": "another reason", "test_d": "no kernel"}, skipped=("test_c",))
    change = suite.change(now, before)
    assert list(change.worse) == ["test_d"]
    assert change.better == ["test_b"]


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (np.float32([1, 2.0005]), "", ""),
        (np.float32([1, 2.1]), "values", "1 of 2 values differ"),
        (np.float32([1, np.nan]), "values", "1 of 2 values differ"),
        (np.float32([[1, 2]]), "shape", "the shape (1, 2), not (2,)"),
        (np.float64([1, 2]), "dtype", "the dtype float64, not float32"),
        (np.array(["1", "2"]), "dtype", "the dtype <U1, not float32"),
    ],
)
def test_an_answer_must_have_the_dtype_shape_and_values_of_its_case(
    answer: np.ndarray, kind: str, reason: str
) -> None:
    case = SuiteCase(name="test_a", outputs=1, rtol=1e-3, atol=1e-7)
    ended = CaseOutcome(status="ok", outputs=1)
    outcome = suite._outcome(case, ended, [answer], [np.float32([1, 2])])
    assert outcome == Outcome(ending="wrong" if kind else "pass", kind=kind, reason=reason)


def test_text_arrays_of_different_widths_are_compared() -> None:
    case = SuiteCase(name="test_a", outputs=1)
    ended = CaseOutcome(status="ok", outputs=1)
    outcome = suite._outcome(case, ended, [np.array(["a"])], [np.array(["a"], dtype="U9")])
    assert outcome.ending == "pass"


def test_without_a_name_only_native_adapters_try_a_suite() -> None:
    planned = plan_suite(MATRIX, "onnx", Selection(), DOCKER)
    inspector, *runtimes = planned.cells
    assert inspector.name == "onnx"
    assert {cell.architecture for cell in runtimes} == {"amd64"}
    assert all(cell.adapter and "onnx" in cell.reads for cell in runtimes)


def test_an_emulated_cell_tries_a_suite_where_it_is_named() -> None:
    named = Selection(include=("onnxruntime-debian13-arm64-cpu",))
    planned = plan_suite(MATRIX, "onnx", named, DOCKER)
    assert [cell.id for cell in planned.cells[1:]] == list(named.include)


def test_the_inspector_tries_the_suite_that_it_makes_where_it_is_selected(tmp_path: Path) -> None:
    alone = plan_suite(MATRIX, "onnx", Selection(include=("onnx-debian12-amd64-cpu",)), DOCKER)
    assert [(cell.id, cell.serves) for cell in alone.cells] == [("onnx-debian12-amd64-cpu", True)]
    other = plan_suite(MATRIX, "onnx", Selection(include=("openvino-debian12-*",)), DOCKER)
    assert not other.cells[0].serves
    for planned in (alone, other, plan_suite(MATRIX, "onnx", Selection(), DOCKER)):
        Run.create(tmp_path, planned, MATRIX, version="1")  # two cells with one id are none


def test_a_runner_without_an_adapter_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"no selected cell can run the onnx tests"):
        plan_suite(MATRIX, "onnx", Selection(include=("onnxruntime-cpp-*",)), DOCKER)


def test_the_tables_list_new_failures_and_count_kinds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(suite, "BASELINES", tmp_path)
    now = conformity({"test_a": "no Max(12) node 'x'", "test_b": "no Max(8) node 'y'"})
    path = suite.baseline_path(now.cell)
    path.write_text(conformity({"test_a": ""}).model_dump_json(), encoding="utf-8")
    changes = {now.cell: suite.change(now, suite.baseline(now.cell) or now)}
    counts, new, kinds = conformance.tables([now], changes)
    assert counts.rows[0].texts[-2:] == ("1", "0")
    assert [row.texts[1] for row in new.rows] == ["test_b"]
    assert [row.texts for row in kinds.rows] == [("2", "error", "Fail", "no Max(12) node 'x'")]


def test_a_long_reason_shows_that_it_is_cut() -> None:
    long = conformity({"test_a": "no kernel for " * 20})
    kinds = list(conformance.tables([long], {long.cell: None}))[-1]
    reason = kinds.rows[0].texts[-1]
    assert len(reason) <= conformance.LONGEST_EXAMPLE
    assert " … " in reason


def test_an_unreadable_baseline_names_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(suite, "BASELINES", tmp_path)
    suite.baseline_path("a").write_text("{}", encoding="utf-8")
    with pytest.raises(RecordError, match=r"a[.]json"):
        suite.baseline("a")


def test_a_cell_that_answers_without_a_case_ends_its_trial(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    case = SuiteCase.model_validate({"name": "test_add"})
    made = suite.Suite(name="onnx", data=SuiteData(version="1", cases=(case,)), folder=tmp_path)
    monkeypatch.setattr(suite.Trial, "_run_cases", lambda *_: None)
    cell, attempts = plan_suite(MATRIX, "onnx", Selection(), DOCKER).cells[1], SimpleNamespace()
    trial = suite.Trial(attempts=attempts, cell=cell, suite=made)  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="answers without the outcome of any case"):
        trial.conformity()
