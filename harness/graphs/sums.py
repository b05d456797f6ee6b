"""The longest sums in an ONNX graph: rounding costs more there, as runtimes add in other orders.

https://onnx.ai/onnx/operators says along which axes an operator sums. Where shape inference knows
no shape, or an operator is not here, it counts as no sum.
"""

import functools
import operator
from typing import Any, Dict, List

import numpy

from harness.graphs import checks, shapes
from harness.graphs.canonical import names_read

#: Operators that multiply matrices: the last dimension of the first input is summed over.
PRODUCTS = ("MatMul", "FusedMatMul", "FusedGemm", "Gemm", "QGemm", "MatMulNBits")

#: Operators whose second input holds weights: the first or second dimension is that of the output.
CONVOLUTIONS = ("Conv", "ConvTranspose", "FusedConv", "NhwcFusedConv", "DeformConv")

#: Operators that sum along one axis, and that is the last one where none is stated.
ALONG_AXIS = ("Softmax", "LogSoftmax", "LpNormalization")

#: Operators that sum over all there is.
LOSSES = ("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")

#: Operators that sum over all axes from one on.
FROM_AXIS = (
    "LayerNormalization",
    "RMSNormalization",
    "SimplifiedLayerNormalization",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
)


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


def longest_sums(model: Any, inputs: Any) -> Dict[str, int]:
    """Return by tensor the terms of the longest sum that it comes from, at least 1.

    The sums of inner graphs are those of their node. *inputs*: arrays by name.
    """
    known = shapes.infer_whole(model, inputs)
    longest: Dict[str, int] = {}
    for node in model.graph.node:
        own = [_terms(each, known) for each in (node, *checks.nodes_within(node))]
        read = [longest.get(name, 1) for name in names_read(node)]
        longest.update(dict.fromkeys(node.output, max(own + read)))
    return longest


def _terms(node: Any, known: Dict[str, List[Any]]) -> int:
    """Return how many terms a node sums for each of its values, 1 where that is not known.

    An ensemble sums what its trees give.
    """
    trees = [item.ints for item in node.attribute if item.name in ("nodes_treeids", "tree_roots")]
    if trees:
        return len(numpy.unique(numpy.array(trees[0], "int64")))
    read = [known.get(name) for name in node.input]
    kind, x, y = node.op_type, next(iter(read), None), known.get(next(iter(node.output), ""))
    if not x:
        return 1
    axis = next((item.i for item in node.attribute if item.name == "axis"), -1)
    if (kind.startswith("Reduce") or kind.startswith("Global")) and y is not None:
        return _size(x) // max(_size(y), 1)
    if kind in PRODUCTS:
        is_transposed = any(item.name == "transA" and item.i for item in node.attribute)
        return int(x[-2] if is_transposed and len(x) > 1 else x[-1])
    if kind in CONVOLUTIONS and len(read) > 1 and read[1]:
        return _size(read[1]) // max(int(min(read[1][:2])), 1)
    if kind in ALONG_AXIS:
        return int(x[axis]) if -len(x) <= axis < len(x) else 1
    if kind in FROM_AXIS:
        return _size(x[axis:])
    if kind in LOSSES:
        return _size(x)
    if kind in ("InstanceNormalization", "GroupNormalization", "MeanVarianceNormalization"):
        return _size(x[1:])
    return int(max(x)) if kind in ("CumSum", "Einsum") else 1


def _size(dims: List[Any]) -> int:
    return int(functools.reduce(operator.mul, dims, 1))
