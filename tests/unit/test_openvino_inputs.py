"""What OpenVINO is not given, since it would not survive it."""

from __future__ import annotations

from pathlib import Path

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
