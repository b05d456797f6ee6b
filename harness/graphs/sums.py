"""The longest sums in an ONNX graph: rounding costs more there, as runtimes add in other orders.

https://onnx.ai/onnx/operators says along which axes an operator sums. Where shape inference knows
no shape, or an operator is not here, it counts as no sum.
"""

import functools
import operator
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

import numpy

from harness.graphs import checks, shapes
from harness.graphs.canonical import names_read

#: Numpy sums pairwise in blocks of so many terms; a runtime may add all terms of a sum in turn.
BLOCK = 128


def growth(terms: int) -> float:
    """Return by what rounding may cost more than in short sums, at least 1, for a longest sum.

    Rounding errors of a sum whose terms are added in turn grow with the square root of their
    number; in pairs, they hardly grow (Higham, "The accuracy of floating point summation", 1993;
    Higham and Mary, "A new approach to probabilistic rounding error analysis", 2019).
    """
    return float(max(1.0, (terms / BLOCK) ** 0.5))


def largest_error(terms: int, dtype: "numpy.dtype") -> float:
    """Return the most that a sum in any order may err by, over the sum of its absolute terms.

    Terms that are all alike are all rounded the same way, so that their errors add up.
    """
    return float(terms * numpy.finfo(dtype).eps)


class _Node(NamedTuple):
    """A node: the shapes that it reads, and that of its first output, empty where not known."""

    read: List[List[int]]
    made: List[int]
    settings: Dict[str, Any]
    constants: List[Any]
    opset: int


#: The opset from which Softmax and its like are taken along one axis, and by default the last one.
SOFTMAX_ALONG_AXIS = 13


def longest_sums(model: Any, inputs: Any) -> Dict[str, int]:
    """Return by tensor the terms of the longest sum that it comes from, at least 1.

    The sums of inner graphs are those of their node. *inputs*: arrays by name.
    """
    known = shapes.infer_whole(model, inputs)
    constants, opset = checks.constants(model), checks.opsets(model).get("", 1)
    longest: Dict[str, int] = {}
    for node in model.graph.node:
        inner = (node, *checks.nodes_within(node))
        own = [_terms(within, known, constants, opset) for within in inner]
        read = [longest.get(name, 1) for name in names_read(node)]
        longest.update(dict.fromkeys(node.output, max(own + read)))
    return longest


def _terms(node: Any, known: Dict[str, List[Any]], constants: Dict[str, Any], opset: int) -> int:
    """Return how many terms a node sums for each of its values, 1 where that is not known.

    An ensemble sums what its trees give.
    """
    import onnx

    trees = [item.ints for item in node.attribute if item.name in ("nodes_treeids", "tree_roots")]
    if trees:
        return len(numpy.unique(numpy.array(trees[0], "int64")))
    rule = TERMS.get(node.op_type)
    read = [list(known.get(name, [])) for name in node.input]
    if rule is None or not read or not read[0]:
        return 1
    made = list(known.get(next(iter(node.output), ""), []))
    settings = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    values = [constants.get(name) for name in node.input]
    return max(1, int(rule(_Node(read, made, settings, values, opset))))


def _of_reduction(node: _Node) -> int:
    return _size(node.read[0]) // max(_size(node.made), 1) if node.made else 1


def _of_product(node: _Node) -> int:
    shape = node.read[0]
    return shape[-2] if node.settings.get("transA") and len(shape) > 1 else shape[-1]


def _of_convolution(node: _Node) -> int:
    """The first or second dimension of the weights is that of the output."""
    weights = node.read[1] if len(node.read) > 1 else []
    return _size(weights) // max(min(weights[:2]), 1) if weights else 1


def _of_window(node: _Node) -> int:
    return _size(node.settings.get("kernel_shape", []))


def _of_recurrence(node: _Node) -> int:
    """Of each gate: over the input, and over the state."""
    return sum(shape[-1] for shape in node.read[1:3] if shape)


def _of_softmax(node: _Node) -> int:
    is_along = node.opset >= SOFTMAX_ALONG_AXIS
    axis = node.settings.get("axis", -1 if is_along else 1)
    return _along(node, axis) if is_along else _size(node.read[0][axis:])


def _of_norm(node: _Node) -> int:
    return _along(node, node.settings.get("axis", -1))


def _of_cumsum(node: _Node) -> int:
    axis = node.constants[1] if len(node.constants) > 1 else None
    return max(node.read[0]) if axis is None else _along(node, int(axis.item()))


def _from_axis(node: _Node) -> int:
    return _size(node.read[0][node.settings.get("axis", -1) :])


def _of_everything(node: _Node) -> int:
    return _size(node.read[0])


def _of_channels(node: _Node) -> int:
    return _size(node.read[0][1:])


def _of_longest(node: _Node) -> int:
    """At most: over a sequence, a head, or a dimension that is summed away."""
    return max(max(shape) for shape in node.read if shape)


def _along(node: _Node, axis: int) -> int:
    shape = node.read[0]
    return shape[axis] if -len(shape) <= axis < len(shape) else 1


def _size(dims: List[Any]) -> int:
    return int(functools.reduce(operator.mul, dims, 1))


#: Which operators sum, and how many terms. A maximum is none.
_OF: Tuple[Tuple[Callable[[_Node], int], Tuple[str, ...]], ...] = (
    (
        _of_reduction,
        ("ReduceSum", "ReduceMean", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceProd")
        + ("ReduceLogSum", "ReduceLogSumExp", "GlobalAveragePool", "GlobalLpPool"),
    ),
    (_of_product, ("MatMul", "FusedMatMul", "FusedGemm", "Gemm", "QGemm", "MatMulNBits")),
    (
        _of_convolution,
        ("Conv", "ConvTranspose", "FusedConv", "NhwcConv", "NhwcFusedConv", "DeformConv"),
    ),
    (_of_window, ("AveragePool", "LpPool")),
    (_of_recurrence, ("LSTM", "GRU", "RNN")),
    (_of_softmax, ("Softmax", "LogSoftmax")),
    (_of_norm, ("LpNormalization",)),
    (_of_cumsum, ("CumSum", "CumProd")),
    (
        _from_axis,
        ("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")
        + ("SkipLayerNormalization", "SkipSimplifiedLayerNormalization"),
    ),
    (_of_everything, ("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")),
    (
        _of_channels,
        ("InstanceNormalization", "GroupNormalization", "MeanVarianceNormalization", "GroupNorm"),
    ),
    (
        _of_longest,
        ("Einsum", "Attention", "MultiHeadAttention", "GroupQueryAttention", "QAttention"),
    ),
)
TERMS = {name: rule for rule, names in _OF for name in names}
