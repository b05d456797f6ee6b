"""What ONNX Runtime's optimiser makes of a graph: fused products, activations, normalisations."""

from typing import Any, Callable, Dict

import numpy

from harness.graphs.operators.base import (
    ContribOperator,
    Operator,
    normal_cdf,
    present,
    sigmoid,
    softmax,
)
from harness.graphs.operators.normalization import layer_normalized, rms_normalized, stashed
from harness.graphs.operators.quantization import convolution

_ACTIVATIONS: Dict[str, Callable[..., Any]] = {
    "": lambda x, *parameters: x,
    "Relu": lambda x, *parameters: numpy.maximum(x, 0),
    "Tanh": lambda x, *parameters: numpy.tanh(x),
    "Sigmoid": lambda x, *parameters: sigmoid(x),
    "LeakyRelu": lambda x, alpha=0.01: numpy.where(x < 0, alpha * x, x),
    "Clip": numpy.clip,
    "HardSigmoid": lambda x, alpha=0.2, beta=0.5: numpy.clip(alpha * x + beta, 0, 1),
    "Elu": lambda x, alpha=1.0: numpy.where(x < 0, alpha * numpy.expm1(numpy.minimum(x, 0)), x),
    "Softplus": lambda x, *parameters: numpy.logaddexp(x, 0),
    "Softsign": lambda x, *parameters: x / (1 + numpy.abs(x)),
    "ThresholdedRelu": lambda x, alpha=1.0: numpy.where(x > alpha, x, 0),
}


def activated(x, name, *parameters):
    """Return a fused activation of x."""
    name = name.decode() if isinstance(name, bytes) else name or ""
    return _ACTIVATIONS[name](x, *parameters)


class FusedMatMul(ContribOperator):
    """A product with transpositions and a factor folded in."""

    def _run(self, a, b, alpha=1.0, transA=0, transB=0, transBatchA=0, transBatchB=0):
        a = _turned(a, transA, transBatchA)
        b = _turned(b, transB, transBatchB)
        return ((alpha * numpy.matmul(a, b)).astype(a.dtype),)


class TransposeMatMul(FusedMatMul):
    """FusedMatMul under its old name."""


def _turned(x, last, batch):
    if x.ndim < 2:
        return x
    if batch:  # (batch..., last) with the first of the last two dimensions before the batch
        x = numpy.moveaxis(x, 0, -2)
    return numpy.swapaxes(x, -1, -2) if last else x


class FusedGemm(ContribOperator):
    """Gemm with an activation."""

    def _run(self, a, b, c=None, alpha=1.0, beta=1.0, transA=0, transB=0, **fused):
        total = alpha * ((a.T if transA else a) @ (b.T if transB else b))
        total = total if c is None else total + beta * c
        parameters = [fused[name] for name in _GEMM if fused.get(name) is not None]
        return (activated(total, fused.get("activation"), *parameters).astype(a.dtype),)


_GEMM = ("activation_alpha", "activation_beta", "activation_gamma")


class FusedConv(ContribOperator):
    """Conv with a sum and an activation."""

    def _run(self, x, w, *optional, activation="", activation_params=(), **settings):
        bias, added = present(optional, 0), present(optional, 1)
        total = convolution(x, w, bias, **settings)
        total = total if added is None else total + added
        return (activated(total, activation, *(activation_params or ())).astype(x.dtype),)


class NhwcConv(ContribOperator):
    """Conv with channels-last data and channels-first weights."""

    def _run(self, x, w, bias=None, **settings):
        total = convolution(numpy.moveaxis(x, -1, 1), w, bias, **settings)
        return (numpy.moveaxis(total, 1, -1).astype(x.dtype),)


def gelu(x):
    """Return x times the normal distribution function of x."""
    return x * normal_cdf(x)


def fast_gelu(x):
    """Return its approximation by a tanh."""
    return 0.5 * x * (1 + numpy.tanh(0.7978845608028654 * x * (1 + 0.044715 * x * x)))


class Gelu(ContribOperator):
    """Gelu, exact."""

    def _run(self, x):
        return (gelu(x).astype(x.dtype),)


class BiasGelu(ContribOperator):
    """Gelu of the sum of input and bias, exact."""

    def _run(self, x, bias):
        return (gelu(x + bias).astype(x.dtype),)


class FastGelu(ContribOperator):
    """Gelu of the sum of input and bias, approximated by a tanh."""

    def _run(self, x, bias=None):
        return (fast_gelu(x if bias is None else x + bias).astype(x.dtype),)


class QuickGelu(ContribOperator):
    """The approximation by a sigmoid."""

    def _run(self, x, alpha=1.702):
        return ((x * sigmoid(alpha * x)).astype(x.dtype),)


class BiasSoftmax(ContribOperator):
    """Softmax of a sum, over all dimensions from *axis* on."""

    def _run(self, x, bias, axis=1, is_inner_broadcast=1):
        axis = axis + x.ndim if axis < 0 else axis
        if bias.ndim < x.ndim and not is_inner_broadcast:
            bias = bias.reshape(bias.shape + (1,) * (x.ndim - bias.ndim))
        total = x + bias
        rows = int(numpy.prod(total.shape[:axis], dtype="int64"))
        return (softmax(total.reshape(rows, -1), 1).reshape(total.shape).astype(x.dtype),)


class SkipLayerNormalization(ContribOperator):
    """LayerNormalization of a sum; its fourth output is the sum."""

    def _run(self, x, skip, gamma, beta=None, bias=None, epsilon=1e-12):
        total = _sum(x, skip, bias)
        answer, mean, reciprocal = layer_normalized(total, gamma, beta, epsilon)
        results = (answer.astype(x.dtype), mean, reciprocal, total.astype(x.dtype))
        return results[: len(self.onnx_node.output)]


class SkipSimplifiedLayerNormalization(ContribOperator):
    """RMS normalisation of a sum; its fourth output is the sum."""

    def _run(self, x, skip, gamma, bias=None, epsilon=1e-12):
        total = _sum(x, skip, bias)
        answer, reciprocal = rms_normalized(total, gamma, epsilon)
        nothing = numpy.zeros((), total.dtype)
        results = (answer.astype(x.dtype), nothing, reciprocal, total.astype(x.dtype))
        return results[: len(self.onnx_node.output)]


def _sum(x, skip, bias):
    total = stashed(x) + skip
    return total if bias is None else total + bias


class SimplifiedLayerNormalization(Operator):
    """RMS normalisation, as ONNX Runtime writes it in the standard's own domain."""

    def _run(self, x, scale, axis=-1, epsilon=1e-5, stash_type=1):
        del stash_type
        answer, reciprocal = rms_normalized(x, scale, epsilon, axis)
        return (answer.astype(x.dtype), reciprocal)[: len(self.onnx_node.output)]


class EmbedLayerNormalization(ContribOperator):
    """Embeddings of words, positions and segments, normalised; and the lengths by the mask."""

    def _run(self, ids, segments, words, positions, *optional, epsilon=1e-12, mask_index_type=1):
        segment_table, gamma, beta, mask, places = (present(optional, at) for at in range(5))
        del mask_index_type
        places = numpy.arange(ids.shape[1])[None] if places is None else places
        total = stashed(words)[ids] + positions[places]
        if segments is not None and segment_table is not None:
            total = total + segment_table[segments]
        answer, _, _ = layer_normalized(total, gamma, beta, epsilon)
        lengths = numpy.zeros(ids.shape[0], "int32") if mask is None else mask.sum(axis=1)
        results = (answer.astype(words.dtype), lengths.astype("int32"), total.astype(words.dtype))
        return results[: len(self.onnx_node.output)]


class Trilu(ContribOperator):
    """A triangle of matrices."""

    def _run(self, x, k=None, upper=1):
        k = 0 if k is None else int(numpy.asarray(k).ravel()[0])
        return ((numpy.triu if upper else numpy.tril)(x, k),)


class Inverse(ContribOperator):
    """The inverse of matrices."""

    def _run(self, x):
        return (numpy.linalg.inv(x).astype(x.dtype),)


OPERATORS = [
    FusedMatMul,
    TransposeMatMul,
    FusedGemm,
    FusedConv,
    NhwcConv,
    Gelu,
    BiasGelu,
    FastGelu,
    QuickGelu,
    BiasSoftmax,
    SkipLayerNormalization,
    SkipSimplifiedLayerNormalization,
    SimplifiedLayerNormalization,
    EmbedLayerNormalization,
    Trilu,
    Inverse,
]
