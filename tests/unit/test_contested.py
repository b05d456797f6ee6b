"""A wrong judge, planted: where the baseline contradicts it, it accuses nobody."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from harness.graphs import operators
from harness.graphs.inputs.sample_inputs import Sampling
from harness.record import BASELINE, CONTESTED, FLOAT64, OWN_PRECISION
from harness.runtimes.onnx import adapter, baseline, gold
from tests.unit.one_node import Case, scalar

pytest.importorskip("onnxruntime")

INFINITE = np.float32([[-np.inf, -np.inf], [1, 2]])
PLACES = np.zeros((1, 30000), np.float32)
PLACES[0, 20000] = 1


def inspected(folder: Path, case: Case, model: onnx.ModelProto | None = None) -> dict[str, Any]:
    model = model or case.model()
    dtype = np.int64 if case.operator == "ArgMax" else case.inputs[0].dtype
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y0", kind, None))
    path = folder / "m.onnx"
    onnx.save(model, path)
    adapter.start()
    return adapter.inspect("onnx", str(path), case.fed(), Sampling(0))


def of_nan(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan).astype(values.dtype)


@pytest.mark.parametrize(
    ("case", "change"),
    [
        (Case("Softmax", [np.float32([[1, 2, 3]])]), lambda y: y * y.dtype.type(1.0003)),
        (Case("Softmax", [np.float16([[1, 2, 3]])]), lambda y: y * y.dtype.type(np.nan)),
        (Case("ReduceLogSumExp", [INFINITE], {"axes": [1]}), of_nan),
        (Case("ArgMax", [PLACES], {"axis": 1}), lambda y: y + 1),
    ],
    ids=["a part of a thousandth", "NaN in float16", "NaN for -inf", "the next place"],
)
def test_a_wrong_evaluation_is_contested(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: Case,
    change: Callable[[np.ndarray], np.ndarray],
) -> None:
    right = inspected(tmp_path, case)
    assert right["described"]["judged_by"] == {"y0": FLOAT64}
    falsify(monkeypatch, case.operator, change)
    wrong = inspected(tmp_path, case)
    assert wrong["described"]["judged_by"] == {"y0": CONTESTED}
    np.testing.assert_allclose(wrong["gold"]["y0"], right["gold"]["y0"], rtol=1e-3)
    assert list(wrong["evaluation"]) == ["y0"]


def test_an_evaluation_that_is_wrong_by_little_more_than_rounding_is_contested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    falsify(monkeypatch, "Softmax", lambda y: y * y.dtype.type(1 + 5e-6))
    found = inspected(tmp_path, Case("Softmax", [np.float32([[1, 2, 3]])]))
    assert found["described"]["judged_by"] == {"y0": CONTESTED}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_evaluation_that_is_finite_where_the_model_overflows_is_contested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case("Mul", [np.float32([1e38, 1]), np.float32([10, 10])], version=13)
    assert inspected(tmp_path, case)["described"]["judged_by"] == {"y0": FLOAT64}
    wrong = np.float64(1 + 1e-7)  # so that ONNX Runtime in float64 does not confirm it
    falsify(monkeypatch, "Mul", lambda y: np.nan_to_num(y * y.dtype.type(wrong), posinf=3e38))
    assert inspected(tmp_path, case)["described"]["judged_by"] == {"y0": CONTESTED}


def test_rounding_beside_values_that_cancel_contests_no_evaluation(tmp_path: Path) -> None:
    """The logarithm of a sum of probabilities is 0: 2e-16 in float64, 1e-7 in float32."""
    x = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)
    case = Case("ReduceLogSumExp", [x], {"axes": [1]}, version=13)
    nodes = [
        helper.make_node("LogSoftmax", ["x0"], ["p"], axis=1),
        helper.make_node("ReduceLogSumExp", ["p"], ["y0"], axes=[1]),
    ]
    found = inspected(tmp_path, case, case.model_of(nodes, {"": 13}))
    assert np.abs(found["gold"]["y0"]).max() < 1e-15
    assert found["described"]["judged_by"] == {"y0": FLOAT64}


def test_an_error_of_rounding_contests_no_evaluation(tmp_path: Path) -> None:
    """ONNX Runtime's own rounding, 1e-6 here, widens the tolerance instead."""
    x = np.random.default_rng(0).normal(size=(1, 4000)).astype(np.float32)
    found = inspected(tmp_path, Case("MatMul", [x, x.T.copy()]))
    assert found["described"]["judged_by"] == {"y0": FLOAT64}


def test_the_error_of_one_runtimes_kernel_is_not_the_rounding_error_of_the_model(
    tmp_path: Path,
) -> None:
    """ONNX Runtime's Sigmoid is inexact by 1e-8, which a factor of 1e5 shows; ours is not."""
    x = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    case = Case("Sigmoid", [x, scalar(-12), scalar(1e5)], version=13)
    nodes = [
        helper.make_node("Add", ["x0", "x1"], ["h"]),
        helper.make_node("Sigmoid", ["h"], ["s"]),
        helper.make_node("Mul", ["s", "x2"], ["y0"]),
    ]
    found = inspected(tmp_path, case, case.model_of(nodes, {"": 13}))
    described = found["described"]
    assert described["judged_by"] == {"y0": FLOAT64}
    assert 1e-4 < described["baseline_errors"]["y0"] < 1e-2
    assert gold.error_of(found["outputs"]["y0"], found["gold"]["y0"]) < 1e-6
    assert any("ONNX Runtime's own error" in remark for remark in described["remarks"])


def test_a_definition_that_differs_in_float64_is_not_confirmed_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime's Sigmoid is inexact in float32 alone; the Mul is wrong by 1e-7."""
    x = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    case = Case("Sigmoid", [x, scalar(-12), scalar(1e5)], version=13)
    nodes = [
        helper.make_node("Add", ["x0", "x1"], ["h"]),
        helper.make_node("Sigmoid", ["h"], ["s"]),
        helper.make_node("Mul", ["s", "x2"], ["y0"]),
    ]
    falsify(monkeypatch, "Mul", lambda y: y * y.dtype.type(1 + 1e-7))
    found = inspected(tmp_path, case, case.model_of(nodes, {"": 13}))
    assert found["described"]["judged_by"] == {"y0": CONTESTED}


@pytest.mark.parametrize(("terms", "inexact"), [(10, ["y"]), (100, [])])
def test_an_error_beyond_what_any_order_of_a_sum_costs_is_onnx_runtimes_own(
    terms: int, inexact: list[str]
) -> None:
    """A sum of 10 terms errs by 10 times 1.2e-7 at most."""
    precise, second = np.ones(3), np.full(3, 1 + 5e-6, np.float32)
    assert gold._inexact(["y"], {"y": precise}, {"y": second}, {"y": terms}) == inexact


def test_masked_logits_do_not_cost_the_evaluation(tmp_path: Path) -> None:
    """Infinities that all agree on hide neither an error nor its confirmation in float64."""
    x = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    constants = [scalar(-12), scalar(1e5), x < 1, scalar(-np.inf)]
    nodes = [
        helper.make_node("Add", ["x0", "x1"], ["h"]),
        helper.make_node("Sigmoid", ["h"], ["s"]),
        helper.make_node("Mul", ["s", "x2"], ["m"]),
        helper.make_node("Where", ["x3", "m", "x4"], ["y0"]),
    ]
    case = Case("Sigmoid", [x, *constants], version=13)
    found = inspected(tmp_path, case, case.model_of(nodes, {"": 13}))
    assert np.isneginf(found["gold"]["y0"]).any()
    assert found["described"]["judged_by"] == {"y0": FLOAT64}
    assert 1e-4 < found["described"]["baseline_errors"]["y0"] < 1e-2


@pytest.mark.parametrize(
    ("value", "gold_value", "error"),
    [
        (-np.inf, -np.inf, 0.125),
        (np.nan, np.nan, 0.125),
        (np.inf, 1e39, 0.125),
        (np.inf, -np.inf, -1),
        (np.nan, 1.0, -1),
        (1.0, np.nan, -1),
    ],
)
def test_errors_are_those_of_finite_values_where_the_others_are_alike(
    value: float, gold_value: float, error: float
) -> None:
    answer, right = np.float32([1.125, value]), np.float64([1.0, gold_value])
    assert gold.error_of(answer, right) == error


def test_what_comes_from_a_long_sum_says_by_what_rounding_grows(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((1, 12_800)).astype(np.float32)
    for operator, grown in (("ReduceMean", 10.0), ("Relu", 1.0)):
        assert inspected(tmp_path, Case(operator, [x], version=13))["described"]["growth"] == {
            "y0": grown
        }


@pytest.mark.parametrize("size", [10_000, 1_000_000])
def test_the_order_of_a_long_sum_is_no_error_of_one_runtime(tmp_path: Path, size: int) -> None:
    x = np.random.default_rng(0).random((1, size)).astype(np.float32)
    for operator, settings in (("ReduceSum", {}), ("ReduceMean", {}), ("CumSum", None)):
        inputs = [x] if settings is not None else [x, scalar(1, "int64")]
        found = inspected(tmp_path, Case(operator, inputs, settings or {}, version=13))
        assert found["described"]["judged_by"] == {"y0": FLOAT64}
        assert found["described"]["baseline_errors"] == {}


def falsify(monkeypatch: pytest.MonkeyPatch, operator: str, change: Callable[..., Any]) -> None:
    """Change what the definition of an operator gives."""
    definition = operators.definition("", operator)
    run = definition._run
    monkeypatch.setattr(
        definition, "_run", lambda self, *x, **settings: (change(run(self, *x, **settings)[0]),)
    )


def fails_in_float64(y: np.ndarray) -> np.ndarray:
    """Return 1.5 times a value in float32."""
    if y.dtype == np.float64:
        raise TypeError("no float64")
    return y * y.dtype.type(1.5)


def test_without_float64_the_baseline_judges_and_not_the_evaluator_in_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case("Softmax", [np.float32([[1, 2, 3]])])
    right = inspected(tmp_path, case)["outputs"]["y0"]
    falsify(monkeypatch, "Softmax", fails_in_float64)
    found = inspected(tmp_path, case)
    assert found["described"]["judged_by"] == {"y0": BASELINE}
    np.testing.assert_allclose(found["gold"]["y0"], right, rtol=1e-6)
    np.testing.assert_array_equal(found["outputs"]["y0"], found["gold"]["y0"])  # no rounding error
    np.testing.assert_allclose(found["answers"]["y0"], right * 1.5, rtol=1e-6)


def test_what_only_the_evaluator_answers_and_not_in_float64_has_a_source_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    falsify(monkeypatch, "Softmax", fails_in_float64)
    monkeypatch.setattr(baseline, "_answer", unanswered)
    found = inspected(tmp_path, Case("Softmax", [np.float32([[1, 2, 3]])]))
    assert found["described"]["judged_by"] == {"y0": OWN_PRECISION}


def unanswered(*_: Any) -> None:
    raise baseline.NoBaseline("it is not installed")
