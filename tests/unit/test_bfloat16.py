"""Inputs and outputs of bfloat16, which numpy lacks: carried as float32, given as their bits."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from deepmatrix.store import arrays
from harness.adapters import Unsupported
from harness.graphs import BadModel, values
from harness.graphs.inputs.sample_inputs import Sampling
from harness.runtimes.onnx import adapter as evaluator
from harness.runtimes.onnx import gold
from harness.runtimes.onnx.baseline import Baseline

ml_dtypes = pytest.importorskip("ml_dtypes")

BFLOAT16, FLOAT = onnx.TensorProto.BFLOAT16, onnx.TensorProto.FLOAT
W = np.random.default_rng(0).standard_normal((64, 8)).astype(np.float32)


def save(folder: Path, nodes: list[Any], given: int, answered: int, weights: np.ndarray) -> str:
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "narrow",
        [value("x", given, ["n", 64])],
        [value("y", answered, ["n", 8])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    opset = [onnx.helper.make_opsetid("", 18)]
    path = folder / "narrow.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return str(path)


def narrow_input(folder: Path) -> str:
    node = onnx.helper.make_node
    nodes = [node("Cast", ["x"], ["f"], to=FLOAT), node("MatMul", ["f", "w"], ["y"])]
    return save(folder, nodes, BFLOAT16, FLOAT, W)


def narrow_output(folder: Path) -> str:
    node = onnx.helper.make_node
    nodes = [node("MatMul", ["x", "w"], ["m"]), node("Cast", ["m"], ["y"], to=BFLOAT16)]
    return save(folder, nodes, FLOAT, BFLOAT16, W)


def narrow(folder: Path) -> str:
    node = onnx.helper.make_node
    nodes = [node("MatMul", ["x", "w"], ["m"]), node("Relu", ["m"], ["y"])]
    return save(folder, nodes, BFLOAT16, BFLOAT16, W.astype(ml_dtypes.bfloat16))


def inspect(path: str, inputs: Any = None) -> dict[str, Any]:
    evaluator.start()
    return evaluator.inspect("onnx", path, inputs, Sampling(0))


def is_bfloat16(x: np.ndarray) -> bool:
    return bool((x.astype(ml_dtypes.bfloat16).astype(np.float32) == x).all())


def test_float32_is_rounded_as_a_cast_does() -> None:
    bits = np.random.default_rng(0).integers(0, 2**32, 100_000, np.uint32)
    x = np.concatenate([bits.view(np.float32), np.float32([0, -0.0, np.inf, -np.inf, 3.4e38])])
    x = x[~np.isnan(x)]
    expected = x.astype(ml_dtypes.bfloat16).view(np.uint16)
    np.testing.assert_array_equal(values.as_bfloat16(x), expected)
    nan = values.from_bfloat16(values.as_bfloat16(np.uint32([0x7F800001]).view(np.float32)))
    assert np.isnan(nan).all()


def test_sample_inputs_are_numbers_that_bfloat16_has(tmp_path: Path) -> None:
    inspected = inspect(narrow_input(tmp_path))
    x = inspected["inputs"]["x"]
    assert x.dtype == np.float32
    assert is_bfloat16(x)
    np.testing.assert_allclose(inspected["gold"]["y"], x.astype("f8") @ W, atol=1e-12)
    assert inspected["described"]["inputs"][0]["dtype"] == "bfloat16"


def test_a_users_float32_is_rounded_and_other_types_are_refused(tmp_path: Path) -> None:
    path = narrow_input(tmp_path)
    x = np.random.default_rng(3).standard_normal((3, 64)).astype(np.float32)
    rounded = inspect(path, {"x": x})["inputs"]["x"]
    np.testing.assert_array_equal(rounded, x.astype(ml_dtypes.bfloat16).astype(np.float32))
    with pytest.raises(BadModel, match=r"x is float64, it wants bfloat16"):
        inspect(path, {"x": x.astype(np.float64)})


def test_what_numpy_writes_of_bfloat16_is_read_as_float32(tmp_path: Path) -> None:
    x = np.float32([[1.5, -2.25]]).astype(ml_dtypes.bfloat16)
    np.savez(tmp_path / "x.npz", x=x)
    np.save(tmp_path / "x.npy", x)
    for read in (
        arrays.read_all(tmp_path / "x.npz", arrays.ANY)["x"],
        arrays.read_array(tmp_path / "x.npy"),
    ):
        assert read.dtype == np.float32
        assert read.tolist() == [[1.5, -2.25]]


@pytest.mark.parametrize("make", [narrow_input, narrow_output])
def test_onnxruntime_takes_and_gives_bfloat16(make: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from harness.runtimes.onnxruntime import adapter

    path = make(tmp_path)
    inspected = inspect(path)
    adapter.start()
    adapter.configure("cpu", 1)
    y = adapter.answer(adapter.load("onnx", path), inspected["inputs"])["y"]
    assert y.dtype == np.float32
    assert is_bfloat16(y) == (make is narrow_output)
    np.testing.assert_allclose(y, inspected["gold"]["y"], rtol=2**-8, atol=1e-4)


def test_the_rounding_of_an_output_is_no_contradiction_of_the_baseline(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    path = narrow_output(tmp_path)
    inspected = inspect(path)
    y = Baseline(path, ["y"]).answer(inspected["inputs"])["y"]
    assert gold.differs(inspected["gold"]["y"], y)
    assert inspected["described"]["judged_by"] == {"y": "float64 evaluation"}


@pytest.mark.parametrize("make", [narrow_input, narrow_output, narrow])
def test_openvino_takes_and_gives_bfloat16(make: Any, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    from harness.runtimes.openvino import adapter

    path = make(tmp_path)
    inspected = inspect(path)
    adapter.start()
    adapter.configure("cpu", 1)
    model = adapter.load("onnx", path)
    y = adapter.answer(model, inspected["inputs"])["y"]
    np.testing.assert_allclose(y, inspected["gold"]["y"], rtol=2**-7, atol=0.05)
    entries = adapter.inspect("onnx", path, inspected["inputs"], Sampling(0))["described"]["inputs"]
    assert entries[0]["dtype"] == ("float32" if make is narrow_output else "bfloat16")


def test_the_inside_of_a_graph_in_bfloat16_can_be_searched(tmp_path: Path) -> None:
    path = narrow(tmp_path)
    inputs = inspect(path)["inputs"]
    traced = evaluator.trace(path, inputs)
    assert traced["single"]["m"].dtype == np.float32
    assert is_bfloat16(traced["single"]["m"])
    exposed = str(tmp_path / "exposed.onnx")
    evaluator.expose(path, [{"name": "m", "dtype": "float32", "rank": 2}], exposed)
    answers = evaluator.answer(evaluator.load("onnx", exposed), inputs)
    np.testing.assert_array_equal(answers["m"], traced["single"]["m"])
    assert onnx.load(exposed).graph.output[1].type.tensor_type.elem_type == BFLOAT16
    cut = evaluator.cut(path, inputs, 1, str(tmp_path / "relu.onnx"))
    relu = evaluator.load("onnx", str(tmp_path / "relu.onnx"))
    np.testing.assert_array_equal(cut["inputs"]["m"], traced["single"]["m"])
    np.testing.assert_array_equal(evaluator.answer(relu, cut["inputs"])["y"], cut["gold"]["y"])


def four_bits(folder: Path) -> str:
    held = [
        onnx.numpy_helper.from_array(np.float32(0.3), "s"),
        onnx.helper.make_tensor("z", onnx.TensorProto.INT4, [], [0]),
    ]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])],
        "four",
        [value("x", FLOAT, [2, 4])],
        [value("y", onnx.TensorProto.INT4, [2, 4])],
        held,
    )
    opset = [onnx.helper.make_opsetid("", 21)]
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), folder / "four.onnx"
    )
    return str(folder / "four.onnx")


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_an_output_of_four_bits_is_what_a_runtime_does_not_give(name: str, tmp_path: Path) -> None:
    pytest.importorskip(name)
    adapter = importlib.import_module(f"harness.runtimes.{name}.adapter")
    path = four_bits(tmp_path)
    inspected = inspect(path)
    assert inspected["described"]["refusal"] == ""
    assert inspected["gold"]["y"].shape == (2, 4)
    adapter.start()
    adapter.configure("cpu", 1)
    with pytest.raises(Unsupported, match=r"no arrays .*\by\b"):
        adapter.load("onnx", path)
