"""PyTensor's operations for `harness.frameworks.symbolic`.

Import this module after PyTensor only.
"""

from typing import Any, List

import numpy
import pytensor as module
from pytensor import scan, tensor
from pytensor.tensor import matmul as batched_dot
from pytensor.tensor import sigmoid

from harness.frameworks.symbolic.layers import surround

__all__ = ["batched_dot", "module", "scan", "sigmoid", "tensor"]

#: Where PyTensor's default differs from the neutral description, and how it is adapted.
NOTES = {
    "conv": "PyTensor no longer has one: a matrix product with the gathered windows",
    "max_pool": "PyTensor no longer has one: the maximum of slices, padded with -inf",
    "relu": "a switch: the maximum of x and 0 has a gradient of a half at zero",
    "lrn": "PyTensor has none: built from squares, slices and a power",
    "rnn": "a scan over time",
    "lstm": "a scan over time",
    "gru": "a scan over time",
    "layer_norm": "built from means and a square root",
}


def variable(name, dtype, rank):
    """Return a symbolic input with this number of axes."""
    return tensor.tensor(name, dtype=dtype, shape=(None,) * rank)


def cross_entropy(logits, labels):
    """Return the cross entropy of every row."""
    rows = tensor.arange(labels.shape[0])
    return tensor.logsumexp(logits, axis=1) - logits[rows, labels]


def convolve(layer, kernel, x):
    """Gather all windows, (N, C, places..., dims...), and multiply once by the kernel.

    One gather instead of a slice for each place: compile time grows with the number of nodes.
    """
    x = surround(tensor, x, layer["padding"], 0.0)
    count = len(layer["kernel"])
    places = []
    for dim, (size, stride) in enumerate(zip(layer["kernel"], layer["stride"])):
        steps = (x.shape[2 + dim] - size) // stride + 1
        index = numpy.arange(size)[:, None] + tensor.arange(steps)[None, :] * stride
        axes: List[Any] = ["x"] * (2 * count)
        axes[dim], axes[count + dim] = 0, 1
        places.append(index.dimshuffle(*axes))
    windows = x[(slice(None), slice(None), *places)]
    inner, dims = range(2, 2 + count), windows.shape[2 + count :]
    rows = kernel.shape[1] * int(numpy.prod(layer["kernel"]))
    outer = range(2 + count, 2 + 2 * count)
    columns = windows.dimshuffle(1, *inner, 0, *outer).reshape((rows, -1))
    products = tensor.dot(kernel.reshape((kernel.shape[0], rows)), columns)
    return products.reshape((kernel.shape[0], x.shape[0], *dims)).dimshuffle(1, 0, *inner)
