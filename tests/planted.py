"""A model of 60 nodes, and the same with one thing wrong in the middle of it."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BLOCKS = 20
MIDDLE = 10
SIDE = 12


def model(
    *,
    weight: float = 1.0,
    shifted: bool = False,
    overflow: bool = False,
    gated: bool = False,
    dropped: bool = False,
) -> onnx.ModelProto:
    """Return blocks of a convolution, tanh and a sum: x (n, 8, 12, 12) -> y (n, 8), and ``add5``.

    Args:
        weight: what one weight of the middle convolution is multiplied with.
        shifted: the middle convolution pads after the image only.
        overflow: the end goes through an exponential that float32 cannot hold.
        gated: the end goes through a sigmoid of -24, which ONNX Runtime computes as zero: from its
            logarithm, ``logarithm``, on, its answers drift.
        dropped: the second output is none.
    """
    random = np.random.default_rng(0)
    nodes, held, last = [], [], "x"
    for block in range(BLOCKS):
        kernel = (random.standard_normal((8, 8, 3, 3)) / 9).astype(np.float32)
        if block == MIDDLE:
            kernel.flat[7] *= weight
        held.append(numpy_helper.from_array(kernel, f"kernel{block}"))
        pads = [0, 0, 2, 2] if shifted and block == MIDDLE else [1, 1, 1, 1]
        nodes += [
            _node("Conv", [last, f"kernel{block}"], f"conv{block}", pads=pads),
            _node("Tanh", [f"conv{block}"], f"tanh{block}"),
            _node("Add", [f"tanh{block}", last], f"add{block}"),
        ]
        last = f"add{block}"
    if overflow:
        held.append(numpy_helper.from_array(np.float32(200), "far"))
        nodes += [_node("Add", [last, "far"], "moved"), _node("Exp", ["moved"], "exploded")]
        nodes.append(_node("Log", ["exploded"], "y"))
    elif gated:
        held.append(numpy_helper.from_array(np.float32(-24), "far"))
        held.append(numpy_helper.from_array(np.float32(1e-12), "least"))
        nodes += [
            _node("ReduceMean", [last], "mean", axes=[2, 3], keepdims=0),
            _node("Add", ["mean", "far"], "moved"),
            _node("Sigmoid", ["moved"], "gate"),
            _node("Max", ["gate", "least"], "open"),
            _node("Log", ["open"], "logarithm"),
            _node("Neg", ["logarithm"], "y"),
        ]
    else:
        nodes.append(_node("ReduceMean", [last], "y", axes=[2, 3], keepdims=0))
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8, SIDE, SIDE])
    names = ["y"] if dropped else ["y", "add5"]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
    graph = helper.make_graph(nodes, "planted", [image], outputs, held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def _node(kind: str, inputs: list[str], output: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [output], name=output, **attributes)
