"""What OpenVINO refuses and is not given, and what it calls its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest

from harness.adapters import Unsupported
from harness.runtimes.openvino import adapter

pytest.importorskip("openvino")


def test_text_is_unsupported_before_openvino_is_given_any(tmp_path: Path) -> None:
    value = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("Identity", ["t"], ["y"])
    graph = onnx.helper.make_graph(
        [node], "text", [value("t", onnx.TensorProto.STRING, [2])], [value("y", 8, [2])]
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    path = tmp_path / "text.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    adapter.start()
    adapter.configure("cpu", 1)
    with pytest.raises(Unsupported, match=r"^openvino takes no text: its input t$"):
        adapter.load("onnx", str(path))


def write(
    folder: Path,
    nodes: list[onnx.NodeProto],
    inputs: dict[str, tuple[int, Sequence[int | str]]],
    opset: int = 17,
) -> str:
    """Write a model with one output, ``y``, and inputs of these types and shapes."""
    make = onnx.helper.make_tensor_value_info
    declared = [make(name, *kind) for name, kind in inputs.items()]
    graph = onnx.helper.make_graph(nodes, "g", declared, [make("y", 1, None)])
    opsets = [onnx.helper.make_opsetid("", opset)]
    path = folder / "model.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    adapter.start()
    adapter.configure("cpu", 1)
    return str(path)


def refusal(path: str) -> str:
    with pytest.raises(Unsupported) as raised:
        adapter.load("onnx", path)
    return str(raised.value)


def test_what_the_plugin_does_not_compile_is_unsupported(tmp_path: Path) -> None:
    squeeze = onnx.helper.make_node("Squeeze", ["x"], ["y"], name="squeezed")
    path = write(tmp_path, [squeeze], {"x": (1, ["a", "b", "c"])})
    assert refusal(path) == (
        "openvino refuses it: Unexpected: CPU plug-in doesn't support Squeeze operation with "
        "dynamic rank. Operation name: y"
    )


def test_the_reason_of_a_map_says_how_to_export_without() -> None:
    adapter.start()
    adapter.configure("cpu", 1)
    path = Path(__file__).parents[1] / "models" / "skl_zipmap.onnx"
    assert refusal(str(path)) == (
        "openvino refuses it: Loading input model Unsupported value_info type: output_probability "
        "is no tensor; export the model with tensors only (skl2onnx, onnxmltools: zipmap=False)"
    )


def test_the_reason_says_why_a_node_is_not_converted(tmp_path: Path) -> None:
    pad = onnx.helper.make_node("Pad", ["x", "pads"], ["y"], mode="wrap")
    path = write(tmp_path, [pad], {"x": (1, [4]), "pads": (7, [2])}, opset=19)
    text = refusal(path)
    assert text.endswith("Unsupported padding mode: [wrap]")
    assert text == " ".join(text.split())
    assert "src/" not in text


def test_an_operator_that_is_not_known_is_named(tmp_path: Path) -> None:
    node = onnx.helper.make_node("CumProd", ["x", "at"], ["y"])
    path = write(tmp_path, [node], {"x": (1, [4]), "at": (7, [])}, opset=26)
    assert refusal(path) == "openvino does not know the operators CumProd"


def test_an_input_that_openvino_leaves_out_is_not_passed(tmp_path: Path) -> None:
    node = onnx.helper.make_node("ReduceSum", ["x", "axes"], ["y"])
    path = write(tmp_path, [node], {"x": (1, [2]), "axes": (7, [0])})
    inputs = {"x": np.array([1, 2], np.float32), "axes": np.array([], np.int64)}
    (y,) = adapter.answer(adapter.load("onnx", path), inputs).values()
    assert y.tolist() == [3]


def test_outputs_that_are_the_same_constant_all_count(tmp_path: Path) -> None:
    value = onnx.helper.make_tensor_value_info
    nodes = [onnx.helper.make_node("Relu", ["x"], ["r"])]
    nodes.append(onnx.helper.make_node("Identity", ["w"], ["copy"]))
    outputs = [value("r", 1, [2]), value("copy", 1, [2]), value("w", 1, [2])]
    held = onnx.numpy_helper.from_array(np.array([3, 4], np.float32), "w")
    graph = onnx.helper.make_graph(nodes, "constant", [value("x", 1, [2])], outputs, [held])
    opset = [onnx.helper.make_opsetid("", 17)]
    path = tmp_path / "constant.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    adapter.start()
    adapter.configure("cpu", 1)
    answers = adapter.answer(adapter.load("onnx", str(path)), {"x": np.ones(2, np.float32)})
    assert [x.tolist() for x in answers.values()] == [[1, 1], [3, 4], [3, 4]]


def test_an_input_that_openvino_renames_is_matched_by_its_order(tmp_path: Path) -> None:
    nodes = [
        onnx.helper.make_node("Dropout", ["x", "ratio"], ["dropped"]),
        onnx.helper.make_node("Sub", ["dropped", "r"], ["y"]),
    ]
    path = write(tmp_path, nodes, {"x": (1, [2]), "ratio": (1, []), "r": (1, [2])})
    inputs = {
        "x": np.array([1, 2], np.float32),
        "ratio": np.array(0.5, np.float32),
        "r": np.array([5, 7], np.float32),
    }
    (y,) = adapter.answer(adapter.load("onnx", path), inputs).values()
    assert y.tolist() == [-4, -5]
