"""Makers of random nodes: for a type of operator, inputs and attributes that its opset has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import onnx

Array = Any


class Tensors(Protocol):
    """The tensors of a graph that grows: see `random_graphs.Graph`."""

    random: np.random.Generator
    opset: int
    values: dict[str, Array]

    def pick(self, *ranks: int, kind: str = "f") -> str | None:
        """Return a tensor of one of some ranks and a kind of dtype."""

    def constant(self, value: Array) -> str:
        """Return the name of a new constant."""

    def weights(self, *shape: int, scale: float = 0.5) -> str:
        """Return the name of a new constant of normal floats."""

    def choose(self, *options: Any) -> Any:
        """Return one of some values."""


@dataclass(frozen=True)
class Attempt:
    """A node that may be added: its type, inputs by name, number of outputs, and attributes."""

    kind: str
    inputs: list[str]
    outputs: int = 1
    attributes: dict[str, Any] = field(default_factory=dict)


Maker = Callable[[Tensors], "Attempt | None"]

MAKERS: dict[str, Maker] = {}


def operator(*kinds: str) -> Callable[[Callable[[Tensors, str], Attempt | None]], Any]:
    """Register a maker of attempts for some types of nodes."""

    def register(make: Callable[[Tensors, str], Attempt | None]) -> Any:
        for kind in kinds:
            MAKERS[kind] = lambda graph, kind=kind: make(graph, kind)
        return make

    return register


UNARY = (
    *(
        "Abs",
        "Acos",
        "Acosh",
        "Asin",
        "Asinh",
        "Atan",
        "Atanh",
        "Ceil",
        "Cos",
        "Cosh",
        "Elu",
        "Erf",
    ),
    *("Exp", "Floor", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Log", "Mish", "Neg"),
    *("Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus"),
    *("Softsign", "Sqrt", "Tan", "Tanh", "ThresholdedRelu", "Celu", "Gelu"),
)


@operator(*UNARY)
def unary(graph: Tensors, kind: str) -> Attempt | None:
    """One tensor in, one of its shape out."""
    x = graph.pick()
    return Attempt(kind, [x]) if x else None


@operator("Add", "Sub", "Mul", "Div", "Pow", "PRelu", "Max", "Min", "Mean", "Sum", "Mod")
def binary(graph: Tensors, kind: str) -> Attempt | None:
    """Two tensors, the second one broadcast."""
    x = graph.pick()
    if x is None:
        return None
    dims = [int(graph.choose(dim, 1)) for dim in graph.values[x].shape]
    second = graph.choose(graph.weights(*dims), graph.weights(*dims[-1:]), x)
    if kind in {"Max", "Min", "Mean", "Sum"} and graph.opset < 8:  # they broadcast since then
        second = graph.weights(*graph.values[x].shape)
    return Attempt(kind, [x, second], attributes={"fmod": 1} if kind == "Mod" else {})


@operator("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual")
def comparison(graph: Tensors, kind: str) -> Attempt | None:
    """Truth values from two tensors."""
    x = graph.pick(1, 2, 3, 4)
    if x is None or (kind == "Equal" and graph.opset < 11):  # of floats since then
        return None
    return Attempt(kind, [x, graph.weights(graph.values[x].shape[-1])])


@operator("And", "Or", "Xor")
def logical(graph: Tensors, kind: str) -> Attempt | None:
    """Two tensors of truth values of one shape."""
    x = graph.pick(kind="b")
    return Attempt(kind, [x, x]) if x else None


@operator("Not")
def negation(graph: Tensors, kind: str) -> Attempt | None:
    """Truth values."""
    x = graph.pick(kind="b")
    return Attempt(kind, [x]) if x else None


@operator("Where")
def where(graph: Tensors, kind: str) -> Attempt | None:
    """A choice by truth values."""
    condition = graph.pick(1, 2, 3, 4, kind="b")
    if condition is None:
        return None
    shape = graph.values[condition].shape
    return Attempt(kind, [condition, graph.weights(*shape), graph.weights(*shape[-1:])])


@operator("Cast")
def cast(graph: Tensors, kind: str) -> Attempt | None:
    """Another type: integers and truth values become floats, floats become integers."""
    x = graph.pick(kind=graph.choose("f", "b", "i", "u"))
    if x is None:
        return None
    is_float = graph.values[x].dtype.kind == "f"
    to = graph.choose(6, 7) if is_float else onnx.TensorProto.FLOAT
    return Attempt(kind, [x], attributes={"to": to})


@operator("MatMul")
def matmul(graph: Tensors, kind: str) -> Attempt | None:
    """A product with a constant."""
    x = graph.pick(2, 3, 4)
    if x is None:
        return None
    dim = graph.values[x].shape[-1]
    return Attempt(kind, [x, graph.weights(dim, int(graph.choose(1, 5, 16)), scale=dim**-0.5)])


@operator("Gemm")
def gemm(graph: Tensors, kind: str) -> Attempt | None:
    """A product with a bias."""
    x = graph.pick(2)
    if x is None:
        return None
    transposed = int(graph.choose(0, 1))
    width, dim = int(graph.choose(3, 8)), graph.values[x].shape[1]
    shape = (width, dim) if transposed else (dim, width)
    attributes = {
        "transB": transposed,
        "alpha": graph.choose(1.0, 0.5),
        "beta": graph.choose(1.0, 2.0),
    }
    return Attempt(kind, [x, graph.weights(*shape), graph.weights(width)], attributes=attributes)


def _window(graph: Tensors, dims: tuple[int, ...]) -> dict[str, Any]:
    kernel = [int(graph.choose(1, 2, 3)) for _ in dims]
    attributes: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": [int(graph.choose(1, 2)) for _ in dims],
    }
    if graph.choose(True, False):
        attributes["pads"] = [int(graph.random.integers(0, dim)) for dim in kernel * 2]
    else:
        attributes["auto_pad"] = graph.choose("VALID", "SAME_UPPER", "SAME_LOWER")
    return attributes


@operator("Conv", "ConvTranspose")
def convolution(graph: Tensors, kind: str) -> Attempt | None:
    """In one or two directions, in groups or not."""
    x = graph.pick(3, 4)
    if x is None:
        return None
    _, channels, *dims = graph.values[x].shape
    attributes = _window(graph, tuple(dims))
    if kind == "ConvTranspose":
        attributes.pop("auto_pad", None)
    group = channels if graph.choose(True, False) else 1
    outputs = group * int(graph.choose(1, 2))
    kernel = attributes["kernel_shape"]
    shape = [outputs, channels // group] if kind == "Conv" else [channels, outputs // group]
    inputs = [x, graph.weights(*shape, *kernel, scale=0.3), graph.weights(outputs)]
    return Attempt(kind, inputs, attributes={**attributes, "group": group})


@operator("MaxPool", "AveragePool", "LpPool")
def pooling(graph: Tensors, kind: str) -> Attempt | None:
    """Over windows."""
    x = graph.pick(3, 4)
    if x is None:
        return None
    attributes = _window(graph, graph.values[x].shape[2:])
    if kind == "AveragePool":
        attributes["count_include_pad"] = int(graph.choose(0, 1))
    if kind != "LpPool" and graph.opset >= 10 and "pads" in attributes:
        attributes["ceil_mode"] = int(graph.choose(0, 1))
    return Attempt(kind, [x], attributes=attributes)


@operator("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pooling(graph: Tensors, kind: str) -> Attempt | None:
    """Over all dimensions but the first two."""
    x = graph.pick(3, 4)
    return Attempt(kind, [x]) if x else None


REDUCTIONS = (
    *("ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin"),
    *("ReduceProd", "ReduceSum", "ReduceSumSquare"),
)


@operator(*REDUCTIONS)
def reduction(graph: Tensors, kind: str) -> Attempt | None:
    """Along one axis; an attribute in old opsets, an input in newer ones."""
    x = graph.pick(1, 2, 3, 4)
    if x is None:
        return None
    axis = int(graph.random.integers(graph.values[x].ndim))
    attributes: dict[str, Any] = {"keepdims": int(graph.choose(0, 1))}
    if graph.opset < (13 if kind == "ReduceSum" else 18):
        return Attempt(kind, [x], attributes={**attributes, "axes": [axis]})
    return Attempt(kind, [x, graph.constant(np.array([axis], "int64"))], attributes=attributes)


@operator("ArgMax", "ArgMin")
def extremum(graph: Tensors, kind: str) -> Attempt | None:
    """The place of the largest or smallest value."""
    x = graph.pick(2, 3, 4)
    if x is None:
        return None
    axis = int(graph.random.integers(graph.values[x].ndim))
    return Attempt(kind, [x], attributes={"axis": axis, "keepdims": int(graph.choose(0, 1))})


@operator("Softmax", "LogSoftmax", "Hardmax")
def softmax(graph: Tensors, kind: str) -> Attempt | None:
    """Along an axis, or over all after it in old opsets."""
    x = graph.pick(2, 3, 4)
    if x is None:
        return None
    return Attempt(kind, [x], attributes={"axis": int(graph.random.integers(graph.values[x].ndim))})


@operator("Transpose")
def transposition(graph: Tensors, kind: str) -> Attempt | None:
    """Axes in another order."""
    x = graph.pick(2, 3, 4)
    if x is None:
        return None
    order = graph.random.permutation(graph.values[x].ndim)
    return Attempt(kind, [x], attributes={"perm": [int(axis) for axis in order]})


@operator("Flatten")
def flattening(graph: Tensors, kind: str) -> Attempt | None:
    """Two dimensions."""
    x = graph.pick(2, 3, 4)
    return Attempt(kind, [x], attributes={"axis": int(graph.choose(0, 1, 2))}) if x else None


@operator("Reshape")
def reshaping(graph: Tensors, kind: str) -> Attempt | None:
    """To a matrix, or with a dimension that is copied."""
    x = graph.pick(2, 3, 4)
    if x is None:
        return None
    shape = graph.choose([0, -1], [-1], [1, -1, 1], [0, -1, 1])
    return Attempt(kind, [x, graph.constant(np.array(shape, "int64"))])


@operator("Squeeze", "Unsqueeze")
def squeezing(graph: Tensors, kind: str) -> Attempt | None:
    """A dimension of 1 less or more; an attribute in old opsets."""
    x = graph.pick(2, 3)
    if x is None:
        return None
    unit_axes = [axis for axis, dim in enumerate(graph.values[x].shape) if dim == 1]
    if kind == "Squeeze" and not unit_axes:
        return None
    axes = unit_axes[:1] if kind == "Squeeze" else [int(graph.choose(0, 1))]
    if graph.opset < 13:
        return Attempt(kind, [x], attributes={"axes": axes})
    return Attempt(kind, [x, graph.constant(np.array(axes, "int64"))])


@operator("Concat")
def concatenation(graph: Tensors, kind: str) -> Attempt | None:
    """With itself and a constant."""
    x = graph.pick(2, 3, 4)
    if x is None:
        return None
    axis = int(graph.random.integers(graph.values[x].ndim))
    return Attempt(kind, [x, graph.weights(*graph.values[x].shape), x], attributes={"axis": axis})


@operator("Split")
def splitting(graph: Tensors, kind: str) -> Attempt | None:
    """In two unequal parts."""
    x = graph.pick(2, 3, 4)
    if x is None:
        return None
    axis = int(graph.random.integers(graph.values[x].ndim))
    dim = graph.values[x].shape[axis]
    if dim < 3:
        return None
    parts = [1, dim - 1]
    if graph.opset < 13:
        return Attempt(kind, [x], 2, {"axis": axis, "split": parts})
    return Attempt(kind, [x, graph.constant(np.array(parts, "int64"))], 2, {"axis": axis})


@operator("Slice")
def slicing(graph: Tensors, kind: str) -> Attempt | None:
    """A part along one axis, backwards too; attributes before opset 10."""
    x = graph.pick(2, 3, 4)
    if x is None:
        return None
    axis = int(graph.random.integers(graph.values[x].ndim))
    if graph.opset < 10:
        return Attempt(kind, [x], attributes={"axes": [axis], "starts": [1], "ends": [9999]})
    parts = graph.choose(([1], [9999], [1]), ([-1], [-9999], [-2]), ([0], [-1], [2]))
    starts, ends, steps = (graph.constant(np.array(part, "int64")) for part in parts)
    return Attempt(kind, [x, starts, ends, graph.constant(np.array([axis], "int64")), steps])


@operator("Pad")
def padding(graph: Tensors, kind: str) -> Attempt | None:
    """In three ways; attributes before opset 11."""
    x = graph.pick(2, 3, 4)
    if x is None:
        return None
    pads = [int(dim) for dim in graph.random.integers(0, 3, 2 * graph.values[x].ndim)]
    mode = graph.choose("constant", "edge", "reflect")
    if mode == "reflect" and min(graph.values[x].shape) < 3:
        return None
    if graph.opset < 11:
        return Attempt(kind, [x], attributes={"pads": pads, "mode": mode})
    return Attempt(kind, [x, graph.constant(np.array(pads, "int64"))], attributes={"mode": mode})


@operator("Tile", "Expand")
def repeating(graph: Tensors, kind: str) -> Attempt | None:
    """The same values more often."""
    x = graph.pick(2, 3)
    if x is None:
        return None
    shape = graph.values[x].shape
    dims = [2, *shape] if kind == "Expand" else graph.random.integers(1, 3, len(shape))
    return Attempt(kind, [x, graph.constant(np.array(dims, "int64"))])


@operator("Gather")
def gathering(graph: Tensors, kind: str) -> Attempt | None:
    """Rows by their numbers, from the end too where the opset has that."""
    x = graph.pick(2, 3, 4)
    if x is None:
        return None
    axis = int(graph.random.integers(graph.values[x].ndim))
    dim = graph.values[x].shape[axis]
    lowest = -dim if graph.opset >= 11 else 0
    indices = graph.random.integers(lowest, dim, (2, 2))
    return Attempt(kind, [x, graph.constant(indices)], attributes={"axis": axis})


@operator("GatherElements", "ScatterElements")
def by_element(graph: Tensors, kind: str) -> Attempt | None:
    """Values by the numbers of their places."""
    x = graph.pick(2, 3)
    if x is None:
        return None
    shape = graph.values[x].shape
    axis = int(graph.random.integers(len(shape)))
    order = np.argsort(graph.random.random(shape), axis=axis)  # a place is written once
    inputs = [x, graph.constant(order)]
    if kind == "ScatterElements":
        inputs.append(graph.weights(*shape))
    return Attempt(kind, inputs, attributes={"axis": axis})


@operator("CumSum")
def cumulative(graph: Tensors, kind: str) -> Attempt | None:
    """Sums of all before."""
    x = graph.pick(2, 3)
    if x is None:
        return None
    axis = graph.constant(np.array(int(graph.choose(0, 1)), "int64"))
    attributes = {"exclusive": int(graph.choose(0, 1)), "reverse": int(graph.choose(0, 1))}
    return Attempt(kind, [x, axis], attributes=attributes)


@operator("TopK")
def largest(graph: Tensors, kind: str) -> Attempt | None:
    """The largest values and their places; the number is an attribute before opset 10."""
    x = graph.pick(2, 3)
    if x is None or graph.values[x].shape[-1] < 3:
        return None
    if graph.opset < 10:
        return Attempt(kind, [x], 2, {"k": 2, "axis": -1})
    attributes = {"axis": -1}
    if graph.opset >= 11:
        attributes["largest"] = int(graph.choose(0, 1))
    return Attempt(kind, [x, graph.constant(np.array([2], "int64"))], 2, attributes)


@operator("DepthToSpace", "SpaceToDepth")
def blocks(graph: Tensors, kind: str) -> Attempt | None:
    """Channels become pixels, or pixels channels."""
    x = graph.pick(4)
    if x is None:
        return None
    attributes: dict[str, Any] = {"blocksize": 2}
    if kind == "DepthToSpace" and graph.opset >= 11:
        attributes["mode"] = graph.choose("DCR", "CRD")
    return Attempt(kind, [x], attributes=attributes)


@operator("Resize")
def resizing(graph: Tensors, kind: str) -> Attempt | None:
    """To larger or smaller pictures."""
    x = graph.pick(4)
    if x is None:
        return None
    scales = graph.constant(np.array([1, 1, graph.choose(2, 0.5), graph.choose(2, 1)], "float32"))
    mode = graph.choose("nearest", "linear")
    if graph.opset < 11:
        return Attempt(kind, [x, scales], attributes={"mode": mode})
    transform = graph.choose("half_pixel", "asymmetric", "align_corners")
    attributes = {"mode": mode, "coordinate_transformation_mode": transform}
    if mode == "nearest":
        attributes["nearest_mode"] = graph.choose("floor", "round_prefer_floor")
    roi = graph.constant(np.zeros(0, "float32"))
    return Attempt(kind, [x, roi, scales], attributes=attributes)


@operator("BatchNormalization", "InstanceNormalization", "LRN", "LayerNormalization")
def normalisation(graph: Tensors, kind: str) -> Attempt | None:
    """By stored or by measured statistics."""
    x = graph.pick(4) if kind == "LRN" else graph.pick(3, 4)
    if x is None:
        return None
    shape = graph.values[x].shape
    if kind == "LRN":
        return Attempt(kind, [x], attributes={"size": 3})
    if kind == "LayerNormalization":
        return Attempt(kind, [x, graph.weights(shape[-1]), graph.weights(shape[-1])])
    scale, bias = graph.weights(shape[1]), graph.weights(shape[1])
    if kind == "InstanceNormalization":
        return Attempt(kind, [x, scale, bias])
    variance = graph.constant(
        np.abs(graph.random.standard_normal(shape[1])).astype("float32") + 0.5
    )
    return Attempt(kind, [x, scale, bias, graph.weights(shape[1]), variance])


@operator("LSTM", "GRU", "RNN")
def recurrent(graph: Tensors, kind: str) -> Attempt | None:
    """One or both directions."""
    x = graph.pick(3)
    if x is None:
        return None
    hidden, gates = 4, {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    direction = graph.choose("forward", "reverse", "bidirectional")
    count = 2 if direction == "bidirectional" else 1
    inputs = [
        x,
        graph.weights(count, gates * hidden, graph.values[x].shape[2], scale=0.3),
        graph.weights(count, gates * hidden, hidden, scale=0.3),
        graph.weights(count, 2 * gates * hidden, scale=0.3),
    ]
    return Attempt(kind, inputs, 2, {"hidden_size": hidden, "direction": direction})


@operator("QuantizeLinear")
def quantisation(graph: Tensors, kind: str) -> Attempt | None:
    """Floats to eight bits."""
    x = graph.pick()
    if x is None:
        return None
    zero = graph.constant(np.array(graph.choose(0, 3), graph.choose("uint8", "int8")))
    return Attempt(kind, [x, graph.constant(np.float32(0.05)), zero])


@operator("DequantizeLinear")
def dequantisation(graph: Tensors, kind: str) -> Attempt | None:
    """Eight bits to floats."""
    x = graph.pick(kind=graph.choose("u", "i"))
    if x is None or graph.values[x].dtype.itemsize != 1:
        return None
    zero = graph.constant(np.array(1, graph.values[x].dtype))
    return Attempt(kind, [x, graph.constant(np.float32(0.05)), zero])


@operator("Clip")
def clipping(graph: Tensors, kind: str) -> Attempt | None:
    """Limits as attributes before opset 11, as inputs from then on."""
    x = graph.pick()
    if x is None:
        return None
    if graph.opset < 11:
        return Attempt(kind, [x], attributes={"min": -0.5, "max": 1.5})
    return Attempt(kind, [x, graph.constant(np.float32(-0.5)), graph.constant(np.float32(1.5))])


@operator("Einsum")
def einsum(graph: Tensors, kind: str) -> Attempt | None:
    """A product along the last axis."""
    x = graph.pick(3)
    if x is None:
        return None
    weights = graph.weights(graph.values[x].shape[2], 4)
    return Attempt(
        kind, [x, weights], attributes={"equation": graph.choose("bij,jk->bik", "bij,jk->bk")}
    )
