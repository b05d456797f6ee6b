"""Single numbers that decide a branch or a shape, as a rate of samples does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.graphs.inputs.sample_inputs import Sampling
from harness.graphs.inputs.steering import steering
from harness.runtimes.onnx import adapter

pytest.importorskip("onnxruntime")

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
node, value = helper.make_node, helper.make_tensor_value_info


def detector(*before: onnx.NodeProto, rate: str = "sr") -> Any:
    """Return a voice detector: rows of sound, a recurrent state, and the rate of samples.

    It knows one rate, for which a window has 96 samples; for another it fails.
    """
    ends = [numpy_helper.from_array(np.array([n]), f"n{n}") for n in (0, 1, 96)]
    right = helper.make_graph(
        [node("Slice", ["x", "n0", "n96", "n1"], ["part"]), node("MatMul", ["part", "w"], ["r"])],
        "right",
        [],
        [value("r", FLOAT, None)],
    )
    wrong = helper.make_graph(
        [node("MatMul", ["w", "w"], ["e"])], "wrong", [], [value("e", FLOAT, None)]
    )
    nodes = [
        *before,
        node("Equal", [rate, "rate"], ["is_rate"]),
        node("If", ["is_rate"], ["h"], then_branch=right, else_branch=wrong),
        node("Add", ["h", "state"], ["y"]),
    ]
    held = [
        *ends,
        numpy_helper.from_array(np.array(16000), "rate"),
        numpy_helper.from_array(np.ones((96, 8), np.float32), "w"),
    ]
    inputs = [
        value("x", FLOAT, [None, None]),
        value("state", FLOAT, [2, None, 8]),
        value("sr", INT64, []),
    ]
    graph = helper.make_graph(nodes, "detector", inputs, [value("y", FLOAT, None)], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)


TAKEN = [
    node("Unsqueeze", ["sr", "n0"], ["rates"]),
    node("Gather", ["rates", "n0"], ["taken"]),
]


@pytest.mark.parametrize("model", [detector(), detector(*TAKEN, rate="taken")])
def test_a_rate_is_the_one_that_a_branch_knows_and_a_state_has_the_batch(
    tmp_path: Path, model: Any
) -> None:
    path = tmp_path / "detector.onnx"
    onnx.save(model, path)
    adapter.start()
    inspected = adapter.inspect("onnx", str(path), None, Sampling(0))
    inputs = inspected["inputs"]
    assert inputs["sr"] == 16000
    assert inputs["state"].shape[1] == inputs["x"].shape[0]
    assert inspected["described"]["values"]["sr"] == "what a branch compares it with"
    assert inspected["described"]["refusal"] == ""
    assert inspected["gold"]["y"].shape == (2, inputs["x"].shape[0], 8)


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([node("Cast", ["n"], ["b"], to=9), node("Not", ["b"], ["c"])], {}),
        ([node("Range", ["zero", "n", "one"], ["y"])], {"n": "is an end of Range"}),
        (
            [
                node("Gather", ["n", "zero"], ["g"]),
                node("Equal", ["g", "one"], ["b"]),
                node("If", ["b"], ["y"]),
            ],
            {"n": "decides a branch of If"},
        ),
        (
            [node("Unsqueeze", ["n", "zeros"], ["s"]), node("Expand", ["one", "s"], ["y"])],
            {"n": "is a shape for Expand"},
        ),
        ([node("Gather", ["one", "n"], ["y"])], {"n": "is an index of Gather"}),
    ],
)
def test_what_an_input_steers_is_found_behind_the_nodes_that_compute_it(
    nodes: list[Any], expected: dict[str, str]
) -> None:
    inputs = [value("n", INT64, [])]
    graph = helper.make_graph(nodes, "g", inputs, [value("y", INT64, None)])
    entries: list[Any] = [{"name": "n", "dtype": "int64", "shape": []}]
    assert steering(helper.make_model(graph), entries) == expected


def test_data_of_floats_and_tables_of_ids_steer_nothing() -> None:
    graph = helper.make_graph(
        [node("Gather", ["table", "ids"], ["y"]), node("Range", ["x", "x", "x"], ["r"])],
        "g",
        [value("ids", INT64, [2, 64]), value("x", FLOAT, [])],
        [value("y", FLOAT, None)],
    )
    entries: list[Any] = [
        {"name": "ids", "dtype": "int64", "shape": [2, 64]},
        {"name": "x", "dtype": "float32", "shape": []},
    ]
    assert steering(helper.make_model(graph), entries) == {}
