"""Normalisations, and Dropout."""

import numpy

from harness.graphs.operators.base import Operator


class BatchNormalization(Operator):
    """Inference only: the statistics are inputs.

    The standard's evaluator takes a model before opset 14 that has a momentum to be in training.
    """

    def _run(self, x, scale, bias, mean, variance, **attributes):
        if attributes.get("training_mode") or (attributes.get("is_test") == 0 and self.opset < 7):
            raise NotImplementedError("BatchNormalization in training mode is not served")
        dims = (-1,) + (1,) * (x.ndim - 2)
        if attributes.get("spatial") == 0:
            dims = x.shape[1:]
        scale, bias, mean, variance = (
            parameter.reshape(dims) for parameter in (scale, bias, mean, variance)
        )
        epsilon = attributes.get("epsilon")
        epsilon = 1e-5 if epsilon is None else epsilon
        return ((scale * (x - mean) / numpy.sqrt(variance + epsilon) + bias).astype(x.dtype),)


def stashed(x):
    """Return floats of 16 bits as float32, where squares do not overflow; others as they are.

    So the standard has normalisations computed (stash_type 1).
    """
    return x.astype("float32") if x.dtype.itemsize < 4 else x


def layer_normalized(x, scale, bias, epsilon, axis=-1):
    """Return (normalised, mean, reciprocal of the deviation), in the type of `stashed`."""
    x, axes = stashed(x), tuple(range(axis % x.ndim, x.ndim))
    mean = x.mean(axis=axes, keepdims=True)
    reciprocal = 1 / numpy.sqrt(((x - mean) ** 2).mean(axis=axes, keepdims=True) + epsilon)
    answer = (x - mean) * reciprocal * scale
    return (answer if bias is None else answer + bias), mean, reciprocal


def rms_normalized(x, scale, epsilon, axis=-1):
    """Return (normalised by the root of the mean square, its reciprocal), in the same type."""
    x, axes = stashed(x), tuple(range(axis % x.ndim, x.ndim))
    reciprocal = 1 / numpy.sqrt((x**2).mean(axis=axes, keepdims=True) + epsilon)
    return x * reciprocal * scale, reciprocal


class LayerNormalization(Operator):
    """The evaluator computes in 16 bits where the standard says float32."""

    def _run(self, x, scale, bias=None, axis=-1, epsilon=1e-5, stash_type=1):
        _check_stash(stash_type)
        answer, mean, reciprocal = layer_normalized(x, scale, bias, epsilon, axis)
        return (answer.astype(x.dtype), mean, reciprocal)[: len(self.onnx_node.output)]


class RMSNormalization(Operator):
    """The evaluator computes in 16 bits where the standard says float32."""

    def _run(self, x, scale, axis=-1, epsilon=1e-5, stash_type=1):
        _check_stash(stash_type)
        return (rms_normalized(x, scale, epsilon, axis)[0].astype(x.dtype),)


def _check_stash(stash_type):
    if stash_type != 1:
        raise NotImplementedError("only stash_type 1 is known, not {}".format(stash_type))


class InstanceNormalization(Operator):
    """The evaluator squares numbers of 16 bits, which overflow."""

    def _run(self, x, scale, bias, epsilon=1e-5):
        dims = (-1,) + (1,) * (x.ndim - 2)
        answer, _, _ = layer_normalized(x, scale.reshape(dims), bias.reshape(dims), epsilon, 2)
        return (answer.astype(x.dtype),)


class LRN(Operator):
    """The evaluator counts examples where it should count channels."""

    def _run(self, x, alpha=None, beta=None, bias=None, size=None):
        squares = numpy.zeros_like(x)
        channels = x.shape[1]
        for channel in range(channels):
            first = max(0, channel - (size - 1) // 2)
            last = min(channels, channel + size // 2 + 1)
            squares[:, channel] = (x[:, first:last] ** 2).sum(axis=1)
        return ((x / (bias + alpha / size * squares) ** beta).astype(x.dtype),)


class MeanVarianceNormalization(Operator):
    """The evaluator expands it with constants of float32, which no float64 goes with."""

    def _run(self, x, axes=None):
        axes = tuple(int(axis) for axis in (axes if axes is not None else (0, 2, 3)))
        mean = x.mean(axis=axes, keepdims=True)
        deviation = numpy.sqrt((x * x).mean(axis=axes, keepdims=True) - mean * mean)
        return (((x - mean) / (deviation + 1e-9)).astype(x.dtype),)


class LpNormalization(Operator):
    """The evaluator takes no absolute values; where the norm is zero, so is the result."""

    def _run(self, x, axis=-1, p=2):
        norm = (numpy.abs(x) ** p).sum(axis=axis, keepdims=True) ** (1.0 / p)
        return (numpy.where(norm == 0, 0, x / numpy.where(norm == 0, 1, norm)).astype(x.dtype),)


class Dropout(Operator):
    """Of every version: before opset 7 it trains unless *is_test*, from 12 on if an input says so.

    The evaluator has none before opset 7, and in training mode none without a ratio.
    """

    def _run(self, x, ratio_input=None, training=None, **settings):
        ratio, is_test, seed = (settings.get(name) for name in ("ratio", "is_test", "seed"))
        given = ratio if ratio_input is None else ratio_input
        rate = 0.5 if given is None else float(numpy.asarray(given).item())
        trains = not is_test if self.opset < 7 else bool(numpy.any(training))
        if trains and rate:
            kept = numpy.random.RandomState(seed).uniform(size=x.shape) >= rate
            y = (kept * x / (1.0 - rate)).astype(x.dtype)
        else:
            kept, y = numpy.ones(x.shape, "bool"), x
        mask = kept if self.opset >= 10 else kept.astype(x.dtype)
        return (y, mask)[: len(self.onnx_node.output)]


OPERATORS = [
    Dropout,
    BatchNormalization,
    InstanceNormalization,
    LayerNormalization,
    RMSNormalization,
    LRN,
    MeanVarianceNormalization,
    LpNormalization,
]
