"""Softmax before opset 13, and operators that select, count and scatter."""

import numpy
from onnx.reference.ops import op_non_max_suppression
from onnx.reference.ops.op_scatter_elements import ScatterElements

from harness.graphs.operators.base import Operator, softmax


class _Flattened(Operator):
    """Until opset 12 the input is seen as a matrix, from *axis* on; later only *axis* counts."""

    def _run(self, x, axis=None):
        before = self.opset < 13
        if x.size == 0:
            return (x,)
        if not before:
            return (self.along(x, axis).astype(x.dtype),)
        axis = axis + x.ndim if axis < 0 else axis
        rows = int(numpy.prod(x.shape[:axis], dtype="int64"))
        return (self.along(x.reshape(rows, -1), 1).reshape(x.shape).astype(x.dtype),)


class Softmax(_Flattened):
    """Softmax of every version."""

    def along(self, x, axis):
        """Return the softmax along an axis."""
        return softmax(x, axis)


class LogSoftmax(_Flattened):
    """The logarithm of Softmax, of every version."""

    def along(self, x, axis):
        """Return its logarithm along an axis, without the loss of taking it afterwards."""
        shifted = x - x.max(axis=axis, keepdims=True)
        return shifted - numpy.log(numpy.exp(shifted).sum(axis=axis, keepdims=True))


class Hardmax(_Flattened):
    """One where the first largest value is, zero elsewhere; of every version."""

    def along(self, x, axis):
        """Return ones at the first largest values along an axis."""
        where = numpy.expand_dims(numpy.argmax(x, axis=axis), axis)
        answer = numpy.zeros_like(x)
        numpy.put_along_axis(answer, where, 1, axis=axis)
        return answer


class OneHot(Operator):
    """Negative indices count from the end; *depth* may be of any type, also a tensor of one."""

    def _run(self, indices, depth, values, axis=-1):
        depth = int(numpy.asarray(depth).ravel()[0])
        axis = axis + indices.ndim + 1 if axis < 0 else axis
        indices = numpy.asarray(indices).astype("int64")
        wrapped = numpy.where(indices < 0, indices + depth, indices)
        steps = numpy.arange(depth).reshape(
            [-1 if at == axis else 1 for at in range(indices.ndim + 1)]
        )
        hot = numpy.expand_dims(wrapped, axis) == steps
        return (numpy.where(hot, values[1], values[0]).astype(values.dtype),)


class CumSum(Operator):
    """The axis may be a tensor of rank 0, or of one element."""

    def _run(self, x, axis, exclusive=0, reverse=0):
        axis = int(numpy.asarray(axis).ravel()[0])
        turned = numpy.flip(x, axis) if reverse else x
        total = numpy.cumsum(turned, axis=axis, dtype=x.dtype)
        if exclusive:
            total = total - turned
        return ((numpy.flip(total, axis) if reverse else total).astype(x.dtype),)


class GatherElements(Operator):
    """Any number of elements along the axis, and as few along the others as the indices have.

    The evaluator gathers by `numpy.choose`, which knows 64.
    """

    def _run(self, data, indices, axis=0):
        axis = axis + data.ndim if axis < 0 else axis
        sizes = [None if at == axis else size for at, size in enumerate(indices.shape)]
        reached = data[tuple(slice(size) for size in sizes)]
        return (numpy.take_along_axis(reached, indices.astype("int64"), axis),)


class Scatter(Operator):
    """What ScatterElements was called until opset 10."""

    def _run(self, data, indices, updates, axis=0):
        return ScatterElements._run(self, data, indices, updates, axis=axis, reduction="none")


class _Arg(Operator):
    """The standard says nothing of NaN; as ONNX Runtime does, a comparison with it is false."""

    def _run(self, data, axis=0, keepdims=1, select_last_index=0):
        keys = numpy.flip(data, axis) if select_last_index else data
        where = self.search(keys, axis)
        if select_last_index:
            where = data.shape[axis] - 1 - where
        return ((numpy.expand_dims(where, axis) if keepdims else where).astype("int64"),)


class ArgMax(_Arg):
    """The place of the largest value."""

    def search(self, keys, axis):
        """Return the first place."""
        return numpy.argmax(keys, axis=axis)


class ArgMin(_Arg):
    """The place of the smallest value."""

    def search(self, keys, axis):
        """Return the first place."""
        return numpy.argmin(keys, axis=axis)


class Unsqueeze(Operator):
    """Axes may come in any order; they count in the result."""

    def _run(self, data, axes=None):
        numbers = [int(axis) for axis in numpy.asarray(axes).ravel()]
        rank = data.ndim + len(numbers)
        places = {axis + rank if axis < 0 else axis for axis in numbers}
        dims = iter(data.shape)
        return (data.reshape([1 if at in places else next(dims) for at in range(rank)]),)


class Flatten(Operator):
    """A matrix, which may have no elements."""

    def _run(self, x, axis=1):
        dims = (x.shape[:axis], x.shape[axis:])
        return (x.reshape([int(numpy.prod(part, dtype="int64")) for part in dims]),)


class NonMaxSuppression(op_non_max_suppression.NonMaxSuppression):
    """Its limits may be tensors of rank 0, or be left out.

    The evaluator reads their first element, which a tensor of rank 0 or none does not have.
    """

    def _run(self, boxes, scores, count=None, overlap=None, score=None, center_point_box=0):
        if count is None or not numpy.size(count) or numpy.ravel(count)[0] <= 0:
            return (numpy.zeros((0, 3), "int64"),)
        overlap = numpy.zeros(1, boxes.dtype) if overlap is None else numpy.ravel(overlap)
        score = None if score is None else numpy.ravel(score)
        return op_non_max_suppression.NonMaxSuppression._run(
            self, boxes, scores, numpy.ravel(count), overlap, score, center_point_box
        )


OPERATORS = [
    Softmax,
    LogSoftmax,
    Hardmax,
    OneHot,
    CumSum,
    GatherElements,
    Scatter,
    ArgMax,
    ArgMin,
    Unsqueeze,
    Flatten,
    NonMaxSuppression,
]
