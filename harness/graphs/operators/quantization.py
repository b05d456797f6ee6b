"""Quantised arithmetic: the standard's, and what ONNX Runtime's quantiser writes.

Integers are exact. A scale may have been widened to float64; what is quantised is then rounded from
a float64 quotient, which differs from float32's by at most one step, at ties.
"""

import numpy
from onnx.reference.ops.op_conv import _conv_implementation
from onnx.reference.ops.op_quantize_linear import _CommonQuantizeLinear

from harness.graphs.operators.base import ContribOperator, Operator, present, sigmoid


def along(parameter, x, axis):
    """Return a scale or zero point, one or one a slice of *axis*, so that it goes with *x*."""
    parameter = numpy.asarray(parameter)
    if parameter.ndim == 1 and parameter.size > 1 and x.ndim > 0:
        return parameter.reshape([-1 if at == axis % x.ndim else 1 for at in range(x.ndim)])
    return parameter.reshape(()) if parameter.size == 1 else parameter


def dequantized(x, scale, zero_point=None, axis=1):
    """Return (x - zero point) times scale, in the scale's type."""
    centred = numpy.asarray(x).astype("float64")
    if zero_point is not None:
        centred = centred - along(zero_point, x, axis).astype("float64")
    return (centred * along(scale, x, axis)).astype(numpy.asarray(scale).dtype)


def quantized(x, scale, zero_point, dtype=None, axis=1):
    """Return x over scale, rounded half to even, from the zero point, within the type's range."""
    dtype = numpy.asarray(zero_point).dtype if dtype is None else numpy.dtype(dtype)
    limits = numpy.iinfo(dtype)
    steps = numpy.rint(x / along(scale, x, axis))
    if zero_point is not None:
        steps = steps + along(zero_point, x, axis).astype("float64")
    return numpy.clip(steps, limits.min, limits.max).astype(dtype)


class DequantizeLinear(Operator):
    """Of every version; before opset 19 the evaluator has none."""

    def _run(self, x, scale, zero_point=None, axis=1, block_size=0, output_dtype=None):
        from onnx.reference.ops import op_dequantize_linear

        common = op_dequantize_linear._CommonDequantizeLinear
        if x.dtype.kind in "iu" and x.dtype.itemsize <= 4 and not block_size and not output_dtype:
            return (dequantized(x, scale, zero_point, axis),)
        return common._run(
            self, x, scale, zero_point, axis=axis, block_size=block_size, output_dtype=output_dtype
        )


class QuantizeLinear(Operator):
    """Of every version."""

    def _run(self, x, scale, zero_point=None, axis=1, saturate=1, block_size=0, **types):
        output, precision = types.get("output_dtype"), types.get("precision")
        plain = zero_point is None or zero_point.dtype in (numpy.uint8, numpy.int8)
        if plain and not block_size and not output:
            dtype = "uint8" if zero_point is None else zero_point.dtype
            return (quantized(x, scale, zero_point, dtype, axis),)
        return _CommonQuantizeLinear._run(
            self,
            x,
            scale,
            zero_point,
            axis=axis,
            saturate=saturate,
            block_size=block_size,
            output_dtype=output or None,
            precision=precision or None,
        )


def dynamic(x):
    """Return (values of uint8, scale, zero point), as DynamicQuantizeLinear defines them."""
    lowest, highest = min(0.0, float(x.min())), max(0.0, float(x.max()))
    scale = (highest - lowest) / 255 or 1.0
    scale = float(numpy.float32(scale))
    zero_point = numpy.uint8(numpy.clip(numpy.rint(-lowest / scale), 0, 255))
    return quantized(x, numpy.float64(scale), zero_point), numpy.asarray(scale, x.dtype), zero_point


class DynamicQuantizeLinear(Operator):
    """Scale and zero point from the input's own range."""

    @classmethod
    def is_trusted(cls, node, constants):
        """Return whether no value lies between two steps, where float32's rounding decides."""
        x = constants.get(node.input[0])
        if x is None:
            return True
        x = numpy.asarray(x, "float64")
        _, scale, _ = dynamic(x)
        return not (numpy.abs(x / scale % 1 - 0.5) < 1e-4).any()

    def _run(self, x):
        return dynamic(x)


def _product(a, b, a_zero, b_zero):
    """Return the exact product of two integer matrices less their zero points, as int64."""
    a, b = numpy.asarray(a).astype("int64"), numpy.asarray(b).astype("int64")
    if a_zero is not None:
        zero = numpy.asarray(a_zero).astype("int64")
        a = a - (zero[..., None] if zero.ndim == 1 and zero.size > 1 else zero)
    if b_zero is not None:
        b = b - numpy.asarray(b_zero).astype("int64")
    return numpy.matmul(a, b)


class MatMulInteger(Operator):
    """Exact, as int32."""

    def _run(self, a, b, a_zero=None, b_zero=None):
        return (_product(a, b, a_zero, b_zero).astype("int32"),)


class QLinearMatMul(Operator):
    """An exact product, rounded once."""

    def _run(self, a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero):
        a_zero, b_zero = numpy.asarray(a_zero), numpy.asarray(b_zero)
        total = _product(a, b, a_zero, b_zero).astype("float64")
        scale = numpy.asarray(a_scale, "float64") * numpy.asarray(b_scale, "float64")
        return (quantized(total * scale, numpy.asarray(y_scale, "float64"), y_zero, axis=-1),)


def _convolution(x, x_zero, w, w_zero, bias, **settings):
    """Return the exact convolution of integers, as float64."""
    x = numpy.asarray(x).astype("float64") - numpy.asarray(x_zero).astype("float64")
    w_zero = numpy.asarray(w_zero).astype("float64")
    if w_zero.size > 1:
        w_zero = w_zero.reshape((-1,) + (1,) * (w.ndim - 1))
    w = numpy.asarray(w).astype("float64") - w_zero
    bias = None if bias is None else numpy.asarray(bias).astype("float64")
    return convolution(x, w, bias, **settings)


def convolution(x, w, bias=None, **settings):
    """Return a convolution of channels-first data, in float64."""
    names = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
    values = [settings.get(name) for name in names]
    values[0] = values[0] or "NOTSET"
    values[2] = values[2] or 1
    return _conv_implementation(x, w, bias, *values)


class ConvInteger(Operator):
    """Exact, as int32."""

    def _run(self, x, w, x_zero=None, w_zero=None, **settings):
        zero = numpy.zeros((), "int64")
        total = _convolution(
            x,
            zero if x_zero is None else x_zero,
            w,
            zero if w_zero is None else w_zero,
            None,
            **settings,
        )
        return (numpy.rint(total).astype("int32"),)


class QLinearConv(Operator):
    """An exact convolution, rounded once; the bias is in steps of both scales' product."""

    def _run(self, x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias=None, **settings):
        total = _convolution(x, x_zero, w, w_zero, bias, **settings)
        scale = along(
            numpy.asarray(x_scale, "float64") * numpy.asarray(w_scale, "float64"), total, 1
        )
        return (quantized(total * scale, numpy.asarray(y_scale, "float64"), y_zero),)


class _QLinearPair(ContribOperator):
    """An operation of two quantised tensors, on what they stand for."""

    def _run(self, *inputs):
        a, a_scale, a_zero, b, b_scale, b_zero, y_scale = inputs[:7]
        y_zero = present(inputs, 7)
        y_zero = numpy.zeros((), a.dtype) if y_zero is None else y_zero
        result = self.combine(
            dequantized(a, numpy.asarray(a_scale, "float64"), a_zero),
            dequantized(b, numpy.asarray(b_scale, "float64"), b_zero),
        )
        return (quantized(result, numpy.asarray(y_scale, "float64"), y_zero),)


class QLinearAdd(_QLinearPair):
    """The sum."""

    def combine(self, a, b):
        """Return it."""
        return a + b


class QLinearMul(_QLinearPair):
    """The product."""

    def combine(self, a, b):
        """Return it."""
        return a * b


class _QLinearSingle(ContribOperator):
    """A function of one quantised tensor, on what it stands for."""

    def _run(self, x, x_scale, x_zero, y_scale, y_zero=None, **settings):
        value = dequantized(x, numpy.asarray(x_scale, "float64"), x_zero)
        y_zero = numpy.zeros((), x.dtype) if y_zero is None else y_zero
        return (
            quantized(self.apply(value, **settings), numpy.asarray(y_scale, "float64"), y_zero),
        )


class QLinearSigmoid(_QLinearSingle):
    """Sigmoid."""

    def apply(self, value):
        """Return it."""
        return sigmoid(value)


class QLinearLeakyRelu(_QLinearSingle):
    """LeakyRelu."""

    def apply(self, value, alpha=0.01):
        """Return it."""
        return numpy.where(value < 0, alpha * value, value)


class QLinearGlobalAveragePool(_QLinearSingle):
    """Means of channels."""

    def apply(self, value, channels_last=0):
        """Return them."""
        first = 1 if channels_last else 2
        dims = tuple(range(first, first + value.ndim - 2))
        return value.mean(axis=dims, keepdims=True)


class QLinearAveragePool(_QLinearSingle):
    """Means of windows."""

    def apply(self, value, channels_last=0, kernel_shape=None, count_include_pad=0, **settings):
        """Return them."""
        from harness.graphs.operators.spatial.pooling import steps

        value = numpy.moveaxis(value, -1, 1) if channels_last else value
        total, count = numpy.zeros(()), numpy.zeros(())
        for values, inside, _ in steps(value, kernel_shape, **settings):
            total = total + numpy.where(inside, values, 0)
            # A window that ends beyond the padding has as many values as any: so does its kernel.
            count = count + (1 if count_include_pad else inside)
        answer = total / numpy.maximum(count, 1)
        return numpy.moveaxis(answer, 1, -1) if channels_last else answer


class QLinearSoftmax(ContribOperator):
    """Softmax; *opset* is that of the operator which it was made from."""

    def _run(self, x, x_scale, x_zero, y_scale, y_zero, axis=-1, opset=13):
        from harness.graphs.operators.base import softmax

        value = dequantized(x, numpy.asarray(x_scale, "float64"), x_zero)
        if opset < 13:
            axis = axis + value.ndim if axis < 0 else axis
            rows = int(numpy.prod(value.shape[:axis], dtype="int64"))
            answer = softmax(value.reshape(rows, -1), 1).reshape(value.shape)
        else:
            answer = softmax(value, axis)
        return (quantized(answer, numpy.asarray(y_scale, "float64"), y_zero),)


class QLinearConcat(ContribOperator):
    """Inputs come as (values, scale, zero point), one after the other."""

    def _run(self, y_scale, y_zero, *inputs, axis=0):
        values = [
            dequantized(inputs[at], numpy.asarray(inputs[at + 1], "float64"), inputs[at + 2])
            for at in range(0, len(inputs), 3)
        ]
        joined = numpy.concatenate(values, axis=axis)
        return (quantized(joined, numpy.asarray(y_scale, "float64"), y_zero),)


class QGemm(ContribOperator):
    """A quantised Gemm; without an output's scale it gives floats."""

    def _run(self, *inputs, alpha=1.0, transA=0, transB=0):
        a, a_scale, a_zero, b, b_scale, b_zero = inputs[:6]
        bias, y_scale, y_zero = (present(inputs, at) for at in (6, 7, 8))
        a_value = numpy.asarray(a).astype("int64") - numpy.asarray(a_zero).astype("int64")
        b_zero = numpy.asarray(b_zero).astype("int64")
        if transB and b_zero.size > 1:
            b_zero = b_zero.reshape(-1, 1)
        b_value = numpy.asarray(b).astype("int64") - b_zero
        total = (a_value.T if transA else a_value) @ (b_value.T if transB else b_value)
        if bias is not None:
            total = total + numpy.asarray(bias).astype("int64")
        scale = numpy.asarray(a_scale, "float64") * numpy.asarray(b_scale, "float64") * alpha
        result = total * along(scale, total, 1)
        if y_scale is None:
            return (result.astype(numpy.asarray(a_scale).dtype),)
        return (quantized(result, numpy.asarray(y_scale, "float64"), y_zero),)


class MatMulIntegerToFloat(ContribOperator):
    """MatMulInteger times the scales, and a bias."""

    def _run(self, a, b, a_scale, b_scale, a_zero=None, b_zero=None, bias=None):
        total = _product(a, b, a_zero, b_zero) * numpy.asarray(a_scale) * numpy.asarray(b_scale)
        total = total if bias is None else total + bias
        return (total.astype(numpy.asarray(a_scale).dtype),)


class DynamicQuantizeMatMul(ContribOperator):
    """A is quantised from its own range, B is already."""

    def _run(self, a, b, b_scale, b_zero=None, bias=None):
        values, scale, zero = dynamic(a)
        total = _product(values, b, zero, b_zero) * scale * numpy.asarray(b_scale)
        return ((total if bias is None else total + bias).astype(a.dtype),)


class _ContribDequantizeLinear(DequantizeLinear):
    op_domain = "com.microsoft"


class _ContribQuantizeLinear(QuantizeLinear):
    op_domain = "com.microsoft"


_ContribDequantizeLinear.__name__ = "DequantizeLinear"
_ContribQuantizeLinear.__name__ = "QuantizeLinear"


class MatMulNBits(ContribOperator):
    """A product with a matrix of K x N kept in blocks of 2, 4 or 8 bits, along K."""

    def _run(
        self, a, packed, scales, *optional, K=None, N=None, bits=4, block_size=None, **settings
    ):
        zero_points, group, bias = (present(optional, at) for at in (0, 1, 2))
        blocks = -(-K // block_size)
        weights = _unpacked(packed.reshape(N, blocks, -1), bits)[..., :block_size].astype("float64")
        if zero_points is None:
            zeros = numpy.full((N, blocks), 2.0 ** (bits - 1))
        elif zero_points.dtype == numpy.uint8:
            zeros = _unpacked(zero_points.reshape(N, -1), bits)[:, :blocks].astype("float64")
        else:
            zeros = zero_points.reshape(N, blocks)
        weights = (weights - zeros[..., None]) * scales.reshape(N, blocks)[..., None]
        matrix = weights.reshape(N, -1)[:, :K]
        if group is not None and group.size:
            spread = scales.reshape(N, blocks)[numpy.arange(N)[:, None], group[None, :]]
            zeros = zeros[numpy.arange(N)[:, None], group[None, :]]
            plain = _unpacked(packed.reshape(N, blocks, -1), bits).reshape(N, -1)[:, :K]
            matrix = (plain - zeros) * spread
        answer = numpy.matmul(a, matrix.T)
        return ((answer if bias is None else answer + bias).astype(a.dtype),)


def _unpacked(packed, bits):
    """Return the values of the last dimension's bytes, the lowest bits first."""
    count = 8 // bits
    values = [(packed >> numpy.uint8(bits * at)) & numpy.uint8(2**bits - 1) for at in range(count)]
    return numpy.stack(values, axis=-1).reshape(packed.shape[:-1] + (-1,))


OPERATORS = [
    DequantizeLinear,
    QuantizeLinear,
    DynamicQuantizeLinear,
    MatMulInteger,
    QLinearMatMul,
    ConvInteger,
    QLinearConv,
    QLinearAdd,
    QLinearMul,
    QLinearSigmoid,
    QLinearLeakyRelu,
    QLinearGlobalAveragePool,
    QLinearAveragePool,
    QLinearSoftmax,
    QLinearConcat,
    QGemm,
    MatMulIntegerToFloat,
    DynamicQuantizeMatMul,
    _ContribDequantizeLinear,
    _ContribQuantizeLinear,
    MatMulNBits,
]
