"""What OpenVINO is not given, since it would not survive it, and what it calls its outputs."""

from __future__ import annotations

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
