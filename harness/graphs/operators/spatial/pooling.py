"""Pooling over any number of dimensions, and reductions."""

import itertools

import numpy

from harness.graphs.operators.base import Operator


def windows(x, kernel, strides=None, dilations=None, pads=None, auto_pad="NOTSET", ceil_mode=0):
    """Return where the windows of a pooling lie.

    Args:
        x: (N, C, dims...).
        kernel: its size, a number a dimension.
        strides: from one window to the next, a number a dimension.
        dilations: from one value of a window to the next, a number a dimension.
        pads: begins, then ends.
        auto_pad: ``NOTSET``, ``VALID``, ``SAME_UPPER`` or ``SAME_LOWER``.
        ceil_mode: whether a last window may begin inside and end outside.

    Returns:
        (dimensions of the output, a list a dimension of the list, a place of the output, of the
        input's indices in its window, -1 for padding, and None beyond the padding).

    Raises:
        ValueError: the input with its padding holds no window.
    """
    count = len(kernel)
    strides = strides or [1] * count
    dilations = dilations or [1] * count
    auto_pad = auto_pad.decode() if isinstance(auto_pad, bytes) else auto_pad
    indices = []
    for at in range(count):
        size, reach = x.shape[2 + at], (kernel[at] - 1) * dilations[at] + 1
        begin, end = (pads[at], pads[count + at]) if pads and auto_pad in ("NOTSET", "") else (0, 0)
        if auto_pad.startswith("SAME"):
            places = -(-size // strides[at])
            total = max((places - 1) * strides[at] + reach - size, 0)
            begin = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
            end = total - begin
        else:
            room = size + begin + end - reach
            places = (-(-room // strides[at]) if ceil_mode else room // strides[at]) + 1
            if ceil_mode and (places - 1) * strides[at] >= size + begin:
                places -= 1  # a window must not begin in the padding at the end
            if places < 1:  # ONNX Runtime may answer what part of a window is there
                raise ValueError("a window is larger than its input with padding")
        firsts = [place * strides[at] - begin for place in range(places)]
        offsets = [step * dilations[at] for step in range(kernel[at])]
        indices.append(
            [[_index(first + offset, size, begin, end) for offset in offsets] for first in firsts]
        )
    return [len(lines) for lines in indices], indices


def _index(index, size, begin, end):
    """Return an index of the input, -1 for one in its padding, None for one beyond that."""
    if 0 <= index < size:
        return index
    return -1 if -begin <= index < size + end else None


def steps(x, kernel, **settings):
    """Yield, for each value of a window in turn, what all windows have there.

    Args:
        x: (N, C, dims...).
        kernel: the size of a window, a number a dimension.
        settings: of `windows`.

    Yields:
        (the values (N, C, places...), whether they are of the input (places...), whether they are
        of it or of its padding (places...)). A value that is not of the input means nothing.
    """
    dims, indices = windows(x, kernel, **settings)
    for offset in itertools.product(*(range(size) for size in kernel)):
        values, inside, padded = x, numpy.ones(dims, bool), numpy.ones(dims, bool)
        for at, step in enumerate(offset):
            line = [window[step] for window in indices[at]]
            along = [1] * len(dims)
            along[at] = dims[at]
            inside &= numpy.array([index not in (None, -1) for index in line], bool).reshape(along)
            padded &= numpy.array([index is not None for index in line], bool).reshape(along)
            places = numpy.array([max(index or 0, 0) for index in line], "int64")
            values = values.take(places, axis=2 + at)
        yield values, inside, padded


class AveragePool(Operator):
    """Means over windows; with *count_include_pad* the padding counts as zeros."""

    def _run(self, x, kernel_shape=None, count_include_pad=0, **settings):
        total, count = 0, 0
        for values, inside, padded in steps(x, kernel_shape, **settings):
            total = total + numpy.where(inside, values, x.dtype.type(0))
            count = count + (padded if count_include_pad else inside)
        return ((total / numpy.maximum(count, 1)).astype(x.dtype),)


class MaxPool(Operator):
    """The largest value of every window, and its place; padding never is the largest.

    The evaluator loses the last window of ``SAME_LOWER``, and pads its first on the wrong end.
    """

    def _run(self, x, kernel_shape=None, storage_order=0, **settings):
        inner = x.shape[2:]
        numbers = numpy.arange(int(numpy.prod(inner)))
        numbers = numbers.reshape(inner[::-1]).T if storage_order else numbers.reshape(inner)
        numbers = numbers.reshape((1, 1) + inner)
        answer, places = numpy.zeros((), x.dtype), numpy.zeros((), "int64")
        is_set = numpy.zeros((), bool)
        of_numbers = steps(numbers, kernel_shape, **settings)
        for (values, inside, _), (number, _, _) in zip(
            steps(x, kernel_shape, **settings), of_numbers
        ):
            is_larger = ~is_set | (values > answer)
            if x.dtype.kind == "f":  # the first NaN of a window is its largest value
                is_larger |= numpy.isnan(values) & ~numpy.isnan(answer)
            is_larger &= inside
            answer = numpy.where(is_larger, values, answer)
            places = numpy.where(is_larger, number, places)
            is_set = is_set | inside
        if not is_set.all():
            raise ValueError("a window of MaxPool has nothing but padding")
        channels = numpy.arange(x.shape[0] * x.shape[1]).reshape(x.shape[:2] + (1,) * len(inner))
        return (answer, channels * numbers.size + places)[: len(self.onnx_node.output)]


class LpPool(Operator):
    """The p-norm of windows."""

    def _run(self, x, kernel_shape=None, p=2, **settings):
        total = 0
        for values, inside, _ in steps(x, kernel_shape, **settings):
            total = total + numpy.where(inside, numpy.abs(values) ** p, x.dtype.type(0))
        return (total ** (1.0 / p),)


class GlobalMaxPool(Operator):
    """The largest value of every channel; the evaluator reduces exactly two dimensions."""

    def _run(self, x):
        return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


class GlobalLpPool(Operator):
    """The p-norm of every channel."""

    def _run(self, x, p=2):
        dims = tuple(range(2, x.ndim))
        return ((numpy.abs(x) ** p).sum(axis=dims, keepdims=True) ** (1.0 / p),)


class ReduceLogSumExp(Operator):
    """The evaluator gives NaN where all that it reduces is -inf, or where one is infinite."""

    def _run(self, x, axes=None, keepdims=1, noop_with_empty_axes=0):
        if x.dtype.kind in "iu":
            raise TypeError("ReduceLogSumExp of integers is not defined")
        axes = () if axes is None else tuple(int(axis) for axis in numpy.ravel(axes))
        if not axes and noop_with_empty_axes:
            return (x,)
        axes = axes or tuple(range(x.ndim))
        highest = x.max(axis=axes, keepdims=True, initial=-numpy.inf)
        highest = numpy.where(numpy.isfinite(highest), highest, x.dtype.type(0))
        with numpy.errstate(divide="ignore"):  # of nothing but -inf it is -inf
            total = numpy.log(numpy.exp(x - highest).sum(axis=axes, keepdims=True)) + highest
        return ((total if keepdims else numpy.squeeze(total, axes)).astype(x.dtype),)


OPERATORS = [AveragePool, MaxPool, LpPool, GlobalMaxPool, GlobalLpPool, ReduceLogSumExp]
