"""Theano's operations for `harness.frameworks.symbolic`. Import this module after Theano only."""

from typing import Any

import theano as module
from theano import scan, tensor
from theano.tensor import batched_dot
from theano.tensor.nnet import categorical_crossentropy, conv2d, conv3d, sigmoid, softmax
from theano.tensor.signal.pool import pool_2d, pool_3d

from harness.frameworks.symbolic.layers import surround

__all__ = [
    "NOTES",
    "batched_dot",
    "convolve",
    "cross_entropy",
    "module",
    "scan",
    "sigmoid",
    "tensor",
]

#: Where Theano's default differs from the neutral description, and how it is adapted.
NOTES = {
    "conv": "Theano flips kernels by default: set not to. One dimension becomes two, the second of "
    "size 1",
    "max_pool": "Theano's own gives each of several equal maxima the whole gradient, and images "
    "of digits have many: the maximum of slices, padded with -inf",
    "relu": "a switch: Theano's own has a gradient of a half at zero, as in blank parts of images",
    "lrn": "Theano has none: built from squares, slices and a power",
    "rnn": "a scan over time",
    "lstm": "a scan over time",
    "gru": "a scan over time",
    "layer_norm": "built from means and a square root",
}


pool: Any = None  # the own pooling where `use_own_pooling` chose it: (layer, input) -> output


def use_own_pooling(wanted):
    """Choose Theano's own pooling, or the pooling that agrees with the other frameworks."""
    global pool
    if wanted:
        pool = _pooled
        NOTES["max_pool"] = (
            "Theano's own, for times: its gradient gives each of several equal largest values the "
            "whole"
        )


def _pooled(layer, x):
    """Pool by Theano's own pooling, 2-D or 3-D; 1-D gets a second dimension of size 1."""
    size, stride = tuple(layer["size"]), tuple(layer["stride"])
    x = surround(tensor, x, layer["padding"], -float("inf"))
    if len(size) == 1:
        image = x.dimshuffle(0, 1, 2, "x")
        return pool_2d(image, (*size, 1), ignore_border=True, stride=(*stride, 1))[:, :, :, 0]
    operation = pool_2d if len(size) == 2 else pool_3d
    return operation(x, size, ignore_border=True, stride=stride)


def variable(name, dtype, rank):
    """Return a symbolic input with this number of axes."""
    return tensor.TensorType(dtype, (False,) * rank)(name)


def cross_entropy(logits, labels):
    """Return the cross entropy of every row."""
    return categorical_crossentropy(softmax(logits), labels)


def convolve(layer, kernel, x):
    """Convolve by Theano's own convolution of two or three dimensions."""
    stride, padding = tuple(layer["stride"]), layer["padding"]
    if all(before == after for before, after in padding):
        border = tuple(before for before, _ in padding)
    else:
        x, border = surround(tensor, x, padding, 0.0), (0,) * len(padding)
    if len(stride) > 1:
        operation = conv2d if len(stride) == 2 else conv3d
        return operation(x, kernel, border_mode=border, subsample=stride, filter_flip=False)
    image, filters = x.dimshuffle(0, 1, 2, "x"), kernel.dimshuffle(0, 1, 2, "x")
    wide = conv2d(
        image, filters, border_mode=(*border, 0), subsample=(*stride, 1), filter_flip=False
    )
    return wide[:, :, :, 0]
