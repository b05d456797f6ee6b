"""What rounding decides: no runtime is accused that rounds otherwise, and none is let off else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from harness.graphs.inputs.sample_inputs import Sampling
from harness.record import ROUNDING, UNDEFINED_VALUE
from harness.runtimes.onnx import adapter

pytest.importorskip("onnxruntime")

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64

node = helper.make_node


def inspect(
    folder: Path,
    nodes: list[onnx.NodeProto],
    inputs: dict[str, Any],
    outputs: dict[str, int],
    held: dict[str, Any] | None = None,
    opset: int = 17,
) -> dict[str, Any]:
    """Return the inspection of a graph; *outputs* are types by name, *held* its constants."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, FLOAT, np.shape(x)) for name, x in inputs.items()],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
        [onnx.numpy_helper.from_array(np.asarray(x), name) for name, x in (held or {}).items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    path = folder / "m.onnx"
    onnx.save(proto, path)
    adapter.start()
    return adapter.inspect("onnx", str(path), inputs, Sampling(0))


#: A Cast from float32 to bfloat16 and what follows, and which of its values are not compared.
OF_BFLOAT16 = {
    "cast": (
        [node("Cast", ["b"], ["y"], to=TensorProto.INT32)],
        [1.5, np.nan, 1e30],
        [0, UNDEFINED_VALUE, UNDEFINED_VALUE],
    ),
    "floor": (
        [
            node("Mul", ["b", "ten"], ["m"]),
            node("Floor", ["m"], ["f"]),
            node("Cast", ["f"], ["y"], to=FLOAT),
        ],
        [0.1, 0.15],
        [ROUNDING, 0],
    ),
    "place": (
        [node("Mul", ["b", "b"], ["m"]), node("ArgMax", ["m"], ["y"], keepdims=1)],
        [1.0, 2.501, 2.5],
        [ROUNDING],
    ),
}


@pytest.mark.parametrize("case", OF_BFLOAT16)
def test_values_of_bfloat16_are_not_compared_where_those_of_float32_are_not(
    case: str, tmp_path: Path
) -> None:
    nodes, x, codes = OF_BFLOAT16[case]
    ten = helper.make_tensor("value", TensorProto.BFLOAT16, [], [10.0])
    nodes = [
        node("Cast", ["x"], ["b"], to=TensorProto.BFLOAT16),
        node("Constant", [], ["ten"], value=ten),
        *nodes,
    ]
    kind = {"cast": TensorProto.INT32, "floor": FLOAT, "place": INT64}[case]
    inspected = inspect(tmp_path, nodes, {"x": np.float32(x)}, {"y": kind})
    assert inspected["undefined"]["y"].tolist() == codes
