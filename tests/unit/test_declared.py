"""Inputs that are no tensors, or of dtypes that numpy lacks: declared, sampled, given, answered."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import harness.runtimes.onnx.adapter as evaluator
import harness.runtimes.onnxruntime.adapter as runtime
from harness.adapters import Unsupported, match_names
from harness.graphs import BadModel, WrongInputs, values
from harness.graphs.inputs import declared, onnx_inputs
from harness.graphs.inputs.sample_inputs import Sampling

FLOAT = TensorProto.FLOAT
ROW = helper.make_tensor_type_proto(FLOAT, ["n", 3])
SAMPLING = Sampling(seed=0)


@pytest.fixture(autouse=True)
def _started() -> None:
    for adapter in (evaluator, runtime):
        adapter.start()
        adapter.configure("cpu", 1)


def save(folder: Path, nodes: list[onnx.NodeProto], kind: onnx.TypeProto) -> str:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_value_info("x", kind)],
        [helper.make_tensor_value_info(nodes[-1].output[0], FLOAT, None)],
    )
    domains = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=domains, ir_version=10), path)
    return str(path)


def joined(folder: Path) -> str:
    nodes = [
        helper.make_node("ConcatFromSequence", ["x"], ["joined"], axis=0),
        helper.make_node("Relu", ["joined"], ["y"]),
    ]
    return save(folder, nodes, helper.make_sequence_type_proto(ROW))


def served(adapter: Any, path: str, inputs: dict[str, Any]) -> dict[str, Any]:
    answers: dict[str, Any] = adapter.answer(adapter.load("onnx", path), inputs)
    return answers


def test_a_sequence_is_sampled_in_parts_and_served_whole(tmp_path: Path) -> None:
    path = joined(tmp_path)
    inspected = evaluator.inspect("onnx", path, None, SAMPLING)
    assert list(inspected["inputs"]) == ["x.0", "x.1"]
    assert inspected["described"]["judged_by"] == {"y": "float64 evaluation"}
    right = np.maximum(np.concatenate(list(inspected["inputs"].values())), 0)
    for adapter in (evaluator, runtime):
        np.testing.assert_array_equal(served(adapter, path, inspected["inputs"])["y"], right)


def test_the_nodes_after_a_sequence_are_traced_and_cut_out(tmp_path: Path) -> None:
    path, part = joined(tmp_path), np.ones((1, 3), np.float32)
    inputs = {"x.0": part, "x.1": -part}
    traced = evaluator.trace(path, inputs)
    assert traced["single"]["joined"].shape == (2, 3)
    cut = evaluator.cut(path, inputs, 1, str(tmp_path / "relu.onnx"))
    assert list(cut["inputs"]) == ["joined"]
    assert cut["gold"]["y"].min() == 0
    with pytest.raises(BadModel, match="node 0 reads or gives x, which is no tensor"):
        evaluator.cut(path, inputs, 0, str(tmp_path / "joined.onnx"))


def test_the_users_arrays_say_how_long_a_sequence_is(tmp_path: Path) -> None:
    path = joined(tmp_path)
    given = {f"x.{number}": np.full((number + 1, 3), number, np.float32) for number in range(4)}
    inspected = evaluator.inspect("onnx", path, given, SAMPLING)
    assert inspected["gold"]["y"].shape == (10, 3)
    assert served(runtime, path, given)["y"].shape == (10, 3)
    with pytest.raises(WrongInputs, match=r"x\.5"):
        evaluator.inspect("onnx", path, {"x.0": given["x.0"], "x.5": given["x.1"]}, SAMPLING)


def test_a_map_is_given_by_its_keys_and_values(tmp_path: Path) -> None:
    node = helper.make_node(
        "DictVectorizer", ["x"], ["y"], domain="ai.onnx.ml", string_vocabulary=["a", "b", "c"]
    )
    kind = helper.make_map_type_proto(
        TensorProto.STRING, helper.make_tensor_type_proto(FLOAT, None)
    )
    path = save(tmp_path, [node], kind)
    entries = declared.declared_inputs(onnx.load(path), onnx)
    assert [(entry["name"], entry["dtype"], entry["shape"]) for entry in entries] == [
        ("x.keys", "str", ["x.size"]),
        ("x.values", "float32", ["x.size"]),
    ]
    keys = evaluator.inspect("onnx", path, None, SAMPLING)["inputs"]["x.keys"]
    assert len(set(keys)) == len(keys) > 1
    inputs = {"x.keys": np.array(["c", "a"]), "x.values": np.array([3.0, 1.0], np.float32)}
    assert served(runtime, path, inputs)["y"].tolist() == [[1.0, 0.0, 3.0]]


def test_an_optional_is_given_as_what_it_holds(tmp_path: Path) -> None:
    node = helper.make_node("OptionalGetElement", ["x"], ["y"])
    path = save(tmp_path, [node], helper.make_optional_type_proto(ROW))
    inspected = evaluator.inspect("onnx", path, None, SAMPLING)
    for adapter in (evaluator, runtime):
        answers = served(adapter, path, inspected["inputs"])
        np.testing.assert_array_equal(answers["y"], inspected["inputs"]["x"])


def test_an_optional_without_a_value_is_refused_with_what_to_give(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("OptionalGetElement", ["o"], ["held"]),
            helper.make_node("Add", ["x", "held"], ["y"]),
        ],
        "g",
        [
            helper.make_value_info("x", ROW),
            helper.make_value_info("o", helper.make_optional_type_proto(ROW)),
        ],
        [helper.make_tensor_value_info("y", FLOAT, None)],
    )
    path = tmp_path / "model.onnx"
    opsets = [helper.make_opsetid("", 21)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    both = evaluator.inspect("onnx", str(path), None, SAMPLING)["inputs"]
    assert set(both) == {"x", "o"}
    with pytest.raises(WrongInputs, match=r"input o is an optional, .* give 'o' too, as what it"):
        evaluator.inspect("onnx", str(path), {"x": both["x"]}, SAMPLING)


NARROW = {
    "float8_e4m3fn": TensorProto.FLOAT8E4M3FN,
    "float8_e5m2": TensorProto.FLOAT8E5M2,
    "int4": TensorProto.INT4,
    "uint4": TensorProto.UINT4,
}


@pytest.mark.parametrize("name", NARROW)
def test_a_dtype_that_numpy_lacks_comes_in_a_wider_one(name: str, tmp_path: Path) -> None:
    kind = helper.make_tensor_type_proto(NARROW[name], [4])
    path = save(tmp_path, [helper.make_node("Cast", ["x"], ["y"], to=FLOAT)], kind)
    inspected = evaluator.inspect("onnx", path, None, SAMPLING)
    x = inspected["inputs"]["x"]
    assert str(x.dtype) == values.wider_dtype(name)
    np.testing.assert_array_equal(x, values.rounded(x, name))
    np.testing.assert_array_equal(inspected["gold"]["y"], x)
    with pytest.raises(
        Unsupported, match=f"its input x of the type tensor\\({name.split('_', maxsplit=1)[0]}"
    ):
        runtime.load("onnx", path)


def test_a_sparse_input_is_refused_with_what_is_served(tmp_path: Path) -> None:
    kind = helper.make_sparse_tensor_type_proto(FLOAT, [2])
    path = save(tmp_path, [helper.make_node("Identity", ["x"], ["y"])], kind)
    with pytest.raises(BadModel, match="its input x is of the kind sparse_tensor: tensors, "):
        declared.declared_inputs(onnx.load(path), onnx)


def test_parts_become_the_value_again() -> None:
    row = np.arange(3.0)
    nested = {"x.0.0": row, "x.0.1": row, "x.1.0": row, "y": row, "z.keys": np.array([4, 2])}
    whole = values.assemble({**nested, "z.values": np.array([0.5, 0.25])}, ["x", "z"])
    assert [len(inner) for inner in whole["x"]] == [2, 1]
    assert whole["z"] == {4: 0.5, 2: 0.25}
    assert whole["y"] is row


def test_parts_that_are_missing_are_named_with_what_to_give(tmp_path: Path) -> None:
    part = np.zeros((1, 3), np.float32)
    with pytest.raises(WrongInputs, match=r"x is a sequence or a map, given in parts: x\.0, x\.1"):
        evaluator.inspect("onnx", joined(tmp_path), {"x": part}, SAMPLING)


def test_a_users_map_has_each_key_once_and_a_value_for_each() -> None:
    entries = [
        {"name": "x.keys", "dtype": "int64", "shape": ["n"], "part_of": "x", "distinct": True},
        {"name": "x.values", "dtype": "float32", "shape": ["n"], "part_of": "x"},
    ]
    held = np.zeros(2, np.float32)
    with pytest.raises(WrongInputs, match=r"x\.keys has a key twice"):
        onnx_inputs.check_inputs({"x.keys": np.array([4, 4]), "x.values": held}, entries)
    with pytest.raises(WrongInputs, match="the map x has 1 keys and 2 values"):
        onnx_inputs.check_inputs({"x.keys": np.array([4]), "x.values": held}, entries)


def test_inputs_whose_parts_have_one_name_are_refused(tmp_path: Path) -> None:
    path = joined(tmp_path)
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("x.0", FLOAT, [1, 3]))
    with pytest.raises(BadModel, match=r"its inputs 'x' and 'x\.0' both have a part called 'x\.0'"):
        declared.declared_inputs(model, onnx)


def test_who_takes_tensors_only_does_not_support_parts() -> None:
    with pytest.raises(Unsupported, match="it takes tensors only: its input x is a sequence or"):
        match_names({"x.0": np.zeros(1), "y": np.zeros(1)}, ["x", "y"])


@pytest.mark.parametrize("name", ["SequenceAt", "ReverseSequence"])
def test_lengths_and_places_are_drawn_within_what_there_is(name: str, tmp_path: Path) -> None:
    if name == "SequenceAt":
        kind = helper.make_sequence_type_proto(ROW)
        node = helper.make_node(name, ["x", "i"], ["y"])
        shape = []
    else:
        kind = helper.make_tensor_type_proto(FLOAT, [4, 2])
        node = helper.make_node(name, ["x", "i"], ["y"], batch_axis=1, time_axis=0)
        shape = [2]
    path = save(tmp_path, [node], kind)
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("i", TensorProto.INT64, shape))
    onnx.save(model, path)
    for seed in range(5):
        inspected = evaluator.inspect("onnx", path, None, Sampling(seed=seed))
        assert not inspected["described"]["refusal"]
        right = inspected["gold"]["y"]
        np.testing.assert_array_equal(served(runtime, path, inspected["inputs"])["y"], right)


def test_a_cast_map_has_the_precision_of_its_evaluation_and_no_key_outside(tmp_path: Path) -> None:
    kind = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(FLOAT, None))
    node = helper.make_node(
        "CastMap", ["x"], ["y"], domain="ai.onnx.ml", map_form="SPARSE", max_map=6
    )
    path = save(tmp_path, [node], kind)
    inputs = {"x.keys": np.array([4, 1]), "x.values": np.array([0.5, 2.0], np.float32)}
    answer = served(evaluator, path, inputs)["y"]
    np.testing.assert_array_equal(answer, served(runtime, path, inputs)["y"])
    assert str(answer.dtype) == "float32"
    with pytest.raises(ValueError, match="a key of the map is not from 0 to 5"):
        served(evaluator, path, {**inputs, "x.keys": np.array([-2, 1])})
