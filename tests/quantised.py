"""Quantised models, made by code."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

#: Dimensions of the product: the sum of its pairs of 255 x 127 saturates in 16 bits.
DEEP, WIDE = 64, 8


def model(nodes: list[Any], inputs: list[Any], outputs: list[Any], **held: Any) -> Any:
    """Return a model of opset 17 with *held* constants."""
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()]
    graph = helper.make_graph(nodes, "quantised", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def floats(name: str, *dims: Any) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)


def saturating() -> Any:
    """Return a model whose product of uint8 and int8 leaves 16 bits: wrong on x86 without VNNI."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], name="quantise"),
        helper.make_node("MatMulInteger", ["q", "weights", "zero"], ["sum"], name="product"),
        helper.make_node("Cast", ["sum"], ["real"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["real", "rescale"], ["y"], name="rescale"),
    ]
    weights = np.full((DEEP, WIDE), 127, np.int8)
    weights[:, WIDE // 2 :] = -127
    return model(
        nodes,
        [floats("x", "n", DEEP)],
        [floats("y", "n", WIDE)],
        weights=weights,
        scale=np.float32(1 / 64),
        zero=np.uint8(0),
        rescale=np.float32(1 / 64 / 127 / 8),
    )


def large_inputs() -> np.ndarray:
    """Return inputs of `saturating` that are near its largest quantised values."""
    return np.random.default_rng(0).uniform(3.4, 3.9, (4, DEEP)).astype(np.float32)


def chain(length: int, after: str = "", scale: float = 0.25) -> Any:
    """Return a model that quantises and dequantises *length* times, then may do one thing more."""
    nodes, name = [], "x"
    for at in range(length):
        nodes += [
            helper.make_node("QuantizeLinear", [name, "scale", "zero"], [f"q{at}"]),
            helper.make_node("DequantizeLinear", [f"q{at}", "scale", "zero"], [f"d{at}"]),
        ]
        name = f"d{at}"
    nodes.append(helper.make_node(after or "Identity", [name], ["y"]))
    held = {"scale": np.float32(scale), "zero": np.int8(0)}
    return model(nodes, [floats("x", 2, 4)], [floats("y", None, None)], **held)


def product_of_weights(dims: tuple[int, int] = (256, 64)) -> Any:
    """Return a product with weights of int8, a scale a column; its activations are floats."""
    weights = np.random.default_rng(1).normal(size=dims).astype(np.float32)
    scale = (np.abs(weights).max(axis=0) / 127).astype(np.float32)
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["weights"], axis=1),
        helper.make_node("MatMul", ["x", "weights"], ["y"]),
    ]
    return model(
        nodes,
        [floats("x", "n", dims[0])],
        [floats("y", "n", dims[1])],
        q=np.rint(weights / scale).astype(np.int8),
        scale=scale,
        zero=np.zeros(dims[1], np.int8),
    )
