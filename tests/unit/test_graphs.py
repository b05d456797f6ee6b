"""A user's own ONNX model: refused with its reason, or evaluated on inputs in float64."""

from __future__ import annotations

import functools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness import control, record
from harness.graphs import BadModel, checks
from harness.graphs.inputs import declared, onnx_inputs
from harness.graphs.inputs.sample_inputs import Sampling
from harness.graphs.operators import evaluate, evaluator
from harness.graphs.precise import widen
from harness.phases import inspection
from harness.runtimes.onnx import adapter

FLOAT = TensorProto.FLOAT


def model(nodes: list, inputs: list, *held: onnx.TensorProto, opset: int = 17) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        inputs,
        [helper.make_tensor_value_info(nodes[-1].output[0], FLOAT, None)],
        list(held),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def relu(*shape: object) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", FLOAT, list(shape))
    return model([helper.make_node("Relu", ["x"], ["y"])], [x])


def linear(weights: onnx.TensorProto) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", FLOAT, ["n", 4])
    return model([helper.make_node("MatMul", ["x", "w"], ["y"])], [x], weights)


def outside(location: str, length: int = 64) -> onnx.ModelProto:
    weights = TensorProto(name="w", data_type=FLOAT, dims=[4, 4])
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(length))):
        weights.external_data.add(key=key, value=value)
    return linear(weights)


def huge() -> onnx.ModelProto:
    return linear(TensorProto(name="w", data_type=FLOAT, dims=[1 << 20, 2500], raw_data=b"0" * 16))


def of_opset(version: int) -> onnx.ModelProto:
    graph = relu(2)
    graph.opset_import[0].version = version
    return graph


def strange() -> onnx.ModelProto:
    graph = relu(2)
    graph.graph.node[0].op_type = "Frobnicate"
    return graph


def circular() -> onnx.ModelProto:
    graph = relu(2)
    graph.graph.node[0].input[0] = "y"
    return graph


HOSTILE = {
    "it is truncated, or not an ONNX model": relu(2).SerializeToString()[:-7],
    "it is not an ONNX model but an archive: unpack it": b"PK\x03\x04" + bytes(99),
    "it is not an ONNX model but a model of the format tflite": b"\x1c\0\0\0TFL3" + bytes(99),
    "it is not an ONNX model but a model of the format keras-h5": b"\x89HDF\r\n\x1a\n" + bytes(99),
    "it is not an ONNX model but a pickled Python object": b"\x80\x04" + bytes(99),
    "its external data is outside its folder: '../secret'": outside("../secret"),
    "its external data is outside its folder: '/etc/passwd'": outside("/etc/passwd"),
    "its external data is behind a link: 'link.bin'": outside("link.bin"),
    "its external data is not beside it, as a file: 'gone.bin'": outside("gone.bin"),
    "the tensor w claims more than there is in 'short.bin'": outside("short.bin"),
    "'pointer.bin' is a pointer of Git LFS, not the weights: git lfs pull": outside("pointer.bin"),
    "the tensor w claims 10485760000 bytes and has 16": huge(),
}

QUESTIONABLE = {
    "opset 999; newest known: ": of_opset(999),
    "its opset does not define the operators Frobnicate": strange(),
    "it breaks ONNX's rules": circular(),
}


@pytest.mark.parametrize("reason", HOSTILE)
def test_what_is_hostile_or_no_model_is_refused_with_its_reason(
    tmp_path: Path, reason: str
) -> None:
    content = HOSTILE[reason]
    (tmp_path / "secret").write_bytes(bytes(64))
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "link.bin").symlink_to(tmp_path / "secret")
    (folder / "short.bin").write_bytes(bytes(32))
    (folder / "pointer.bin").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
    )
    raw = content if isinstance(content, bytes) else content.SerializeToString()
    (folder / "m.onnx").write_bytes(raw)
    with pytest.raises(BadModel) as raised:
        checks.read(str(folder / "m.onnx"))
    assert reason in str(raised.value)


@pytest.mark.parametrize("complaint", QUESTIONABLE)
def test_what_only_the_standard_is_against_is_left_to_the_runtimes(
    tmp_path: Path, complaint: str
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(QUESTIONABLE[complaint].SerializeToString())
    adapter.start()
    (text,) = checks.complaints(checks.read(str(path)))
    assert text.startswith(complaint)
    inspected = adapter.inspect("onnx", str(path), None, Sampling(0))
    remarks = inspected["described"]["remarks"]
    assert remarks[0] == text
    assert inspected["outputs"] or remarks[1].startswith("no gold of our own: ")


def test_external_data_beside_a_model_is_read(tmp_path: Path) -> None:
    values = np.arange(16, dtype=np.float32).reshape(4, 4)
    (tmp_path / "w.bin").write_bytes(values.tobytes())
    (tmp_path / "m.onnx").write_bytes(outside("w.bin").SerializeToString())
    loaded = checks.read(str(tmp_path / "m.onnx"))
    np.testing.assert_array_equal(numpy_helper.to_array(loaded.graph.initializer[0]), values)


def test_free_dims_get_sizes_and_the_same_seed_the_same_inputs() -> None:
    free = relu("n", 3, "h", "w")
    entries = declared.declared_inputs(free, onnx)
    evaluated = functools.partial(evaluate, free)
    first = onnx_inputs.sample_and_evaluate(entries, Sampling(1), evaluated).inputs
    second = onnx_inputs.sample_and_evaluate(entries, Sampling(1), evaluated).inputs
    assert first["x"].shape == (2, 3, 64, 64)
    np.testing.assert_array_equal(first["x"], second["x"])


def test_sizes_are_tried_until_the_model_can_be_evaluated() -> None:
    x = helper.make_tensor_value_info("x", FLOAT, ["n", "w"])
    weights = numpy_helper.from_array(np.ones((48, 2), np.float32), "w")
    narrow = model([helper.make_node("MatMul", ["x", "w"], ["y"])], [x], weights)
    entries = declared.declared_inputs(narrow, onnx)
    sampled = onnx_inputs.sample_and_evaluate(
        entries, Sampling(0), functools.partial(evaluate, narrow)
    )
    assert sampled.inputs["x"].shape == (1, 48)
    assert sampled.remark == ""


def test_a_model_that_declares_a_free_batch_and_takes_one_only_is_named_with_its_node() -> None:
    x = helper.make_tensor_value_info("x", FLOAT, ["n", 6])
    shape = numpy_helper.from_array(np.array([1, 2, 3], np.int64), "s")
    fixed = model([helper.make_node("Reshape", ["x", "s"], ["y"], name="r")], [x], shape)
    entries = declared.declared_inputs(fixed, onnx)
    sampled = onnx_inputs.sample_and_evaluate(
        entries, Sampling(0), functools.partial(evaluate, fixed)
    )
    assert sampled.inputs["x"].shape == (1, 6)
    assert sampled.remark.startswith(
        "the batch dimension is dynamic, but only batch 1 works: with 2, Reshape 'r' fails"
    )


def test_a_model_that_nothing_can_evaluate_has_inputs_and_a_reason() -> None:
    x = helper.make_tensor_value_info("x", FLOAT, ["n", 3])
    weights = numpy_helper.from_array(np.ones((48, 2), np.float32), "w")
    wrong = model([helper.make_node("MatMul", ["x", "w"], ["y"], name="m")], [x], weights)
    entries = declared.declared_inputs(wrong, onnx)
    sampled = onnx_inputs.sample_and_evaluate(
        entries, Sampling(0), functools.partial(evaluate, wrong)
    )
    assert (sampled.inputs["x"].shape, sampled.result) == ((2, 3), None)
    assert sampled.failure.startswith("MatMul 'm' fails")


def sample_inputs_for(entries: list, evaluated: object = dict) -> dict[str, np.ndarray]:
    inputs: dict[str, np.ndarray] = onnx_inputs.sample_and_evaluate(
        entries, Sampling(0), evaluated
    ).inputs
    return inputs


def test_a_dim_of_one_name_has_one_size_and_a_size_of_none_stays() -> None:
    dims = {"a": ["m", "k"], "b": ["k", "n"], "c": ["n", 0, -1]}
    inputs = [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in dims.items()]
    entries = declared.declared_inputs(
        model([helper.make_node("MatMul", ["a", "b"], ["y"])], inputs), onnx
    )
    shapes = [x.shape for x in sample_inputs_for(entries).values()]
    assert shapes == [(2, 64), (64, 64), (64, 0, 64)]


def identity(kind: onnx.TypeProto, outcome: onnx.TypeProto) -> onnx.ModelProto:
    graph = relu(2)
    graph.graph.input[0].type.CopyFrom(kind)
    graph.graph.output[0].type.CopyFrom(outcome)
    return graph


PLAIN = helper.make_tensor_type_proto(FLOAT, [2])
REFUSED = {
    "is complex64, which is unsupported; supported types:": TensorProto.COMPLEX64,
    "has elements of the type 0: there is none": TensorProto.UNDEFINED,
    "has elements of the type 999: there is none": 999,
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_not_served_is_refused_among_inputs_and_outputs_alike(reason: str) -> None:
    refused = helper.make_tensor_type_proto(REFUSED[reason], [2])
    with pytest.raises(BadModel, match=f"its input x {reason}"):
        declared.declared_inputs(identity(refused, PLAIN), onnx)
    with pytest.raises(BadModel, match=f"its output y {reason}"):
        declared.declared_inputs(identity(PLAIN, refused), onnx)


def test_an_output_of_a_type_that_numpy_lacks_is_stored_in_a_wider_one() -> None:
    small = helper.make_tensor_type_proto(TensorProto.BFLOAT16, [2])
    cast = relu(2)
    cast.graph.node[0].CopyFrom(helper.make_node("Cast", ["x"], ["y"], to=TensorProto.BFLOAT16))
    cast.graph.output[0].type.CopyFrom(small)
    assert declared.declared_inputs(cast, onnx)
    y = evaluate(cast, {"x": np.array([1.765625, 0.3], np.float32)})["y"]
    assert (str(y.dtype), y[0]) == ("float32", 1.765625)
    assert y[1] == pytest.approx(0.3, rel=2**-8)


def test_sample_texts_have_the_shape_that_is_declared() -> None:
    text = helper.make_tensor_type_proto(TensorProto.STRING, [3, 2])
    entries = declared.declared_inputs(identity(text, text), onnx)
    assert entries == [{"name": "x", "dtype": "str", "shape": [3, 2]}]
    words = sample_inputs_for(entries)["x"]
    assert (words.dtype.kind, words.shape) == ("U", (3, 2))
    onnx_inputs.check_inputs({"x": words}, entries)
    with pytest.raises(BadModel, match="the input x is int64, it wants str"):
        onnx_inputs.check_inputs({"x": np.zeros((3, 2), np.int64)}, entries)


def test_inputs_larger_than_what_is_made_are_refused_before_they_are() -> None:
    entries = declared.declared_inputs(relu(1 << 40, 1 << 40), onnx)
    with pytest.raises(
        BadModel, match=r"its input x would have .* GiB: sample inputs have at most 1"
    ):
        sample_inputs_for(entries)


def inspect(folder: Path, outputs: dict[str, np.ndarray]) -> None:
    """Inspect a model for which the adapter returns these outputs."""
    inspected = {"described": {}, "inputs": {}, "outputs": outputs}
    job = SimpleNamespace(
        document={
            "cell": {"name": "tensorflow"},
            "import": {"format": "saved-model", "model": "model", "seed": 0},
        },
        directory=str(folder),
        adapter=SimpleNamespace(inspect=lambda *_: inspected),
        user_inputs=lambda: None,
    )
    inspection.inspect(job, {})


def test_answers_that_are_neither_numbers_nor_text_are_refused_whatever_the_format(
    tmp_path: Path,
) -> None:
    with pytest.raises(BadModel, match="its output things is object"):
        inspect(tmp_path, {"things": np.array([{}], object)})


def test_given_inputs_with_nan_are_said_by_their_rows(tmp_path: Path) -> None:
    onnx.save(relu("n", 2), tmp_path / "model.onnx")
    x = np.float32([[1, np.nan], [2, 3], [np.nan, np.nan], [4, np.inf]])
    control.save_arrays(str(tmp_path), "given.npz", {"x": x})
    given = {"format": "onnx", "model": "model.onnx", "inputs": "given.npz", "seed": 0}
    document = {"cell": {"name": "onnx"}, "import": given}
    described: dict[str, Any] = {}
    adapter.start()
    inspection.inspect(inspection.InspectionJob(str(tmp_path), document, adapter, {}), described)
    assert [remark for remark in described["remarks"] if "rows have NaN" in remark] == [
        "input x: 2 of 4 rows have NaN; runtimes may differ there, where the standard says nothing "
        "of NaN"
    ]


def test_tensors_are_kept_whatever_they_are_called(tmp_path: Path) -> None:
    outputs = {name: np.ones(2) for name in ("file", "self", "args", "allow_pickle", "/y:0")}
    inspect(tmp_path, outputs)
    saved = control.load_arrays(str(tmp_path), record.PRODUCED)
    assert list(saved) == list(outputs)


@pytest.mark.parametrize(
    ("user_inputs", "message"),
    [
        ({"a": np.ones((2, 4), np.float32)}, "got the inputs a; it has ids, mask"),
        (
            {"ids": np.ones((2, 4), np.float32), "mask": np.ones(2, bool)},
            "the input ids is float32, it wants int64",
        ),
        (
            {"ids": np.ones((2, 5), np.int64), "mask": np.ones(2, bool)},
            r"the input ids has the shape \(2, 5\), not \(n, 4\)",
        ),
        (
            {"ids": np.ones((2, 4), np.int64), "masks": np.ones(2, bool)},
            "it has no input 'masks'; did you mean 'mask'",
        ),
    ],
)
def test_given_inputs_have_to_fit(user_inputs: dict[str, np.ndarray], message: str) -> None:
    entries = [
        {"name": "ids", "dtype": "int64", "shape": ["n", 4]},
        {"name": "mask", "dtype": "bool", "shape": ["n"]},
    ]
    with pytest.raises(BadModel, match=message):
        onnx_inputs.check_inputs(user_inputs, entries)


def run(graph: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    outputs: list[np.ndarray] = evaluator(graph).run(None, inputs)
    return outputs


def test_a_widened_model_computes_in_float64() -> None:
    random = np.random.default_rng(0)
    x = helper.make_tensor_value_info("x", FLOAT, ["n", 4])
    weights = numpy_helper.from_array(random.random((4, 3), np.float32), "w")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Constant", [], ["c"], value_float=0.1),
        helper.make_node("Mul", ["a", "c"], ["b"]),
        helper.make_node("Cast", ["b"], ["d"], to=FLOAT),
        helper.make_node("Softmax", ["d"], ["y"]),
    ]
    single = model(nodes, [x], weights)
    rows = random.random((2, 4), np.float32)
    (rough,) = run(single, {"x": rows})
    (precise,) = run(widen(single), {"x": rows.astype(np.float64)})
    assert (rough.dtype, precise.dtype) == (np.float32, np.float64)
    logits = rows.astype(np.float64) @ numpy_helper.to_array(weights).astype(np.float64)
    odds = np.exp(logits * np.float32(0.1).astype(np.float64))
    np.testing.assert_allclose(precise, odds / odds.sum(axis=1, keepdims=True), rtol=1e-14)
    np.testing.assert_allclose(rough, precise, rtol=1e-5)


def test_batch_normalisation_of_old_opsets_is_not_in_training() -> None:
    x = helper.make_tensor_value_info("x", FLOAT, [2, 3, 4, 4])
    random = np.random.default_rng(0)
    held = {name: random.random(3, np.float32) + 0.5 for name in ("s", "b", "m", "v")}
    node = helper.make_node("BatchNormalization", ["x", *held], ["y"], momentum=0.9, epsilon=1e-5)
    normalising = model(
        [node], [x], *(numpy_helper.from_array(v, k) for k, v in held.items()), opset=11
    )
    images = random.random((2, 3, 4, 4), np.float32)
    s, b, m, v = (array.reshape(3, 1, 1) for array in held.values())
    np.testing.assert_allclose(
        run(normalising, {"x": images})[0], s * (images - m) / np.sqrt(v + 1e-5) + b, rtol=1e-5
    )


@pytest.mark.parametrize("shape", [(1, 5, 2, 2), (5, 2, 1, 1), (2, 3, 2, 2)])
def test_response_normalisation_runs_over_channels(shape: tuple[int, ...]) -> None:
    x = helper.make_tensor_value_info("x", FLOAT, list(shape))
    node = helper.make_node("LRN", ["x"], ["y"], size=3, alpha=0.3, beta=0.75, bias=2.0)
    images = np.random.default_rng(0).random(shape, np.float32)
    squares = np.zeros(shape)
    for channel in range(shape[1]):
        squares[:, channel] = (images[:, max(0, channel - 1) : channel + 2] ** 2).sum(axis=1)
    expected = images / (2.0 + 0.1 * squares) ** 0.75
    np.testing.assert_allclose(run(model([node], [x]), {"x": images})[0], expected, rtol=1e-5)


def test_a_weight_that_is_listed_among_the_inputs_is_none() -> None:
    weights = numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")
    listed = linear(weights)
    listed.graph.input.append(helper.make_tensor_value_info("w", FLOAT, [4, 4]))
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    (answer,) = adapter.answer(evaluator(listed), {"x": x}).values()
    assert (answer == x).all()


def test_nodes_in_any_order_are_evaluated_and_traced(tmp_path: Path) -> None:
    """ONNX Runtime sorts nodes itself; its float16 converter appends its casts."""
    node, info = helper.make_node, helper.make_tensor_value_info
    inner = helper.make_graph(
        [node("Neg", ["doubled"], ["chosen"]), node("Add", ["shifted", "shifted"], ["doubled"])],
        "inner",
        [],
        [info("chosen", FLOAT, None)],
    )
    opset = helper.make_opsetid("", 17)
    function = helper.make_function(
        "local", "Shift", ["a"], ["b"], [node("Add", ["c", "a"], ["b"]), node("Neg", ["a"], ["c"])],
        [opset],
    )  # fmt: skip
    nodes = [
        node("Add", ["picked", "zero"], ["y"]),
        node("If", ["yes"], ["picked"], then_branch=inner, else_branch=inner),
        node("Add", ["x", "zero"], ["shifted"]),
        node("Shift", ["x"], ["zero"], domain="local"),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [info("x", FLOAT, [2])],
        [info("y", FLOAT, None)],
        [numpy_helper.from_array(np.array(True), "yes")],
    )
    imports = [opset, helper.make_opsetid("local", 1)]
    unsorted = helper.make_model(graph, opset_imports=imports, ir_version=8, functions=[function])
    path, x = tmp_path / "model.onnx", np.array([1.5, -2], "float32")
    onnx.save(unsorted, path)
    adapter.start()
    served = adapter.answer(adapter.load("onnx", str(path)), {"x": x})
    np.testing.assert_array_equal(served["y"], -2 * x)
    traced = adapter.trace(str(path), {"x": x})
    assert [node["kind"] for node in traced["nodes"]] == ["Shift", "Add", "If", "Add"]
    np.testing.assert_array_equal(traced["precise"]["y"], -2 * x)


def test_nodes_in_order_keep_it(tmp_path: Path) -> None:
    node = helper.make_node
    nodes = [node("Neg", ["x"], ["a"]), node("Abs", ["x"], ["b"]), node("Add", ["b", "a"], ["y"])]
    x = helper.make_tensor_value_info("x", FLOAT, [2])
    onnx.save(model(nodes, [x]), tmp_path / "model.onnx")
    kept = checks.read(str(tmp_path / "model.onnx")).graph.node
    assert [x.op_type for x in kept] == ["Neg", "Abs", "Add"]


def test_an_output_says_in_which_reduced_precision_it_is_computed(tmp_path: Path) -> None:
    node, info = helper.make_node, helper.make_tensor_value_info
    nodes = [
        node("Cast", ["x"], ["half"], to=TensorProto.FLOAT16),
        node("Exp", ["half"], ["grown"]),
        node("Cast", ["grown"], ["y"], to=FLOAT),
        node("Neg", ["x"], ["z"]),
    ]
    graph = helper.make_graph(
        nodes, "graph", [info("x", FLOAT, [2])], [info("y", FLOAT, [2]), info("z", FLOAT, [2])]
    )
    opset = helper.make_opsetid("", 17)
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    adapter.start()
    described = adapter.inspect("onnx", str(path), None, Sampling(seed=0))["described"]
    assert described["computed_in"] == {"y": "float16"}


def test_an_attribute_of_a_later_opset_is_named_with_that_opset() -> None:
    """A quantiser writes a scale for each channel, with its axis, into a model of any opset."""
    x = helper.make_tensor_value_info("x", TensorProto.INT8, [2, 3])
    scales = numpy_helper.from_array(np.ones(3, "float32"), "scales")
    nodes = [helper.make_node("DequantizeLinear", ["x", "scales"], ["y"], axis=1)]
    assert checks.complaints(model(nodes, [x], scales, opset=12)) == [
        "its opset 12 does not define the attribute axis of DequantizeLinear, opset 13 does: "
        "export it to opset 13, or convert it before it is quantised"
    ]
    assert not checks.complaints(model(nodes, [x], scales, opset=13))
