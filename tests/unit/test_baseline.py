"""The baseline: ONNX Runtime answers in a process of its own, whatever becomes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from harness.graphs.inputs.sample_inputs import Sampling
from harness.record import UNPROVEN
from harness.runtimes.onnx import adapter, baseline, gold

pytest.importorskip("onnxruntime")


def saved(folder: Path, node: onnx.NodeProto) -> str:
    """Save a model of one node: x (4, 3) -> y."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    opsets = [helper.make_opsetid("", 13)]
    graph = helper.make_graph([node], "g", [x], [y])
    path = str(folder / "model.onnx")
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def crashing(folder: Path) -> str:
    """Save a model at which ONNX Runtime crashes: the first output of a Split is left out."""
    return saved(folder, helper.make_node("Split", ["x"], ["", "y"], axis=0))


def test_a_model_that_crashes_onnx_runtime_is_judged_by_the_evaluator(tmp_path: Path) -> None:
    adapter.start()
    inspected = adapter.inspect("onnx", crashing(tmp_path), None, Sampling(0))
    x = inspected["inputs"]["x"]
    np.testing.assert_array_equal(inspected["gold"]["y"], x[2:])
    assert inspected["described"]["judged_by"] == {"y": "float64 evaluation"}
    given = adapter.inspect("onnx", crashing(tmp_path), {"x": x}, Sampling(0))
    for described in (inspected["described"], given["described"]):
        assert described["remarks"].count("no baseline: ONNX Runtime died with signal 11") == 1


def test_an_evaluation_without_a_baseline_says_whether_it_is_proven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gold, "unproven_operators", lambda _: ["Split"])
    adapter.start()
    described = adapter.inspect("onnx", crashing(tmp_path), None, Sampling(0))["described"]
    assert described["judged_by"] == {"y": UNPROVEN}
    assert described["rounded"] == []


def test_a_crash_is_remembered_and_the_next_inputs_are_tried(tmp_path: Path) -> None:
    runtime = baseline.Baseline(crashing(tmp_path), ["y"])
    inputs = {"x": np.zeros((4, 3), np.float32)}
    for _ in range(2):
        with pytest.raises(baseline.Death, match="ONNX Runtime died with signal"):
            runtime.answer(inputs)


def test_wrong_inputs_are_refused_with_onnx_runtimes_own_line(tmp_path: Path) -> None:
    path = saved(tmp_path, helper.make_node("Relu", ["x"], ["y"]))
    runtime = baseline.Baseline(path, ["y"])
    with pytest.raises(baseline.Refusal, match=r"(?i)invalid.*dimensions"):
        runtime.answer({"x": np.zeros((2, 3), np.float32)})
    answers = runtime.answer({"x": np.full((4, 3), -1.0, np.float32)})
    assert answers["y"].tolist() == [[0.0] * 3] * 4
    assert not runtime.remarks()
