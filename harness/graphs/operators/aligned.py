"""Operators of two inputs as opsets before 7 have them: the second is aligned by an axis.

Since opset 7 shapes broadcast as numpy's do, and the standard's evaluator knows that alone.
"""

import numpy
from onnx.reference.ops.op_add import Add
from onnx.reference.ops.op_and import And
from onnx.reference.ops.op_div import Div
from onnx.reference.ops.op_equal import Equal
from onnx.reference.ops.op_greater import Greater
from onnx.reference.ops.op_less import Less
from onnx.reference.ops.op_mul import Mul
from onnx.reference.ops.op_or import Or
from onnx.reference.ops.op_pow import Pow
from onnx.reference.ops.op_sub import Sub
from onnx.reference.ops.op_xor import Xor


def aligned(b, rank, axis):
    """Return *b* with axes of 1 behind its own, which begin at *axis* of an array of *rank*."""
    return numpy.reshape(b, b.shape + (1,) * (rank - axis - b.ndim))


def _with_axis(operator):
    """Return an operator of the standard's evaluator that heeds the attribute ``axis``."""

    def run(self, a, b, **_):
        axis = getattr(self, "axis", None)
        return operator._run(self, a, b if axis is None else aligned(b, a.ndim, axis))

    return type(operator.__name__, (operator,), {"_run": run, "__module__": __name__})


OPERATORS = [
    _with_axis(operator)
    for operator in (Add, And, Div, Equal, Greater, Less, Mul, Or, Pow, Sub, Xor)
]
