"""Products with dequantised weights: ONNX Runtime computes them with activations of 8 bits.

Its optimiser makes a MatMulNBits of accuracy_level 4 of a DequantizeLinear of constants and the
MatMul that reads it. See ``kOrtSessionOptionsQDQMatMulNBitsAccuracyLevel`` in its
``onnxruntime_session_options_config_keys.h``.
"""

from __future__ import annotations

from deepmatrix.diagnosis.search.advice import Advice
from deepmatrix.diagnosis.search.graph import Graph
from deepmatrix.planning.cells import Cell
from deepmatrix.store.reported.phases import Node

OPTION = "session.qdq_matmulnbits_accuracy_level"


def dequantised_product_advice(graph: Graph, node: Node, consumer: Cell) -> Advice | None:
    """Return what to do about a product with dequantised weights on a consumer, if it is one."""
    if consumer.library != "onnxruntime" or not is_dequantised_product(graph, node):
        return None
    return Advice(
        "ONNX Runtime rounds the activations of a product with dequantised weights to 8 bits "
        "unless an option of its session forbids it",
        f"set {OPTION} to 1",
    )


def is_dequantised_product(graph: Graph, node: Node) -> bool:
    """Return whether a node is a product of floats with weights that are dequantised constants."""
    if node.kind != "MatMul":
        return False
    made_by = [graph.nodes[graph.makers[name]].kind for name in node.inputs if name in graph.makers]
    return (
        made_by[-1:] == ["DequantizeLinear"]
        and made_by.count("DequantizeLinear") == 1
        and node.inputs[-1] not in graph.variable
    )
