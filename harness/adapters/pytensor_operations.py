"""PyTensor's operations, as `harness.adapters.symbolic` wants them. Imported once it is there."""

import pytensor as module
from pytensor import scan, tensor
from pytensor.tensor import matmul as batched_dot
from pytensor.tensor import sigmoid

from harness.adapters.symbolic_layers import pieces, surround

__all__ = ["batched_dot", "module", "scan", "sigmoid", "tensor"]

#: Where PyTensor's default differs from the neutral description, and what is done about it.
NOTES = {
    "conv": "PyTensor has none any more: a matrix product with the columns of all windows",
    "max_pool": "PyTensor has none any more: the largest of slices, -inf around them",
    "relu": "a switch: the larger of x and 0 has a gradient of a half at zero",
    "lrn": "PyTensor has none: from squares, slices and a power",
    "rnn": "a scan over time",
    "lstm": "a scan over time",
    "gru": "a scan over time",
    "layer_norm": "from means and a square root",
}


def variable(name, dtype, sides):
    """Return an input of so many sides."""
    return tensor.tensor(name, dtype=dtype, shape=(None,) * sides)


def cross_entropy(logits, labels):
    """Return that of every row."""
    rows = tensor.arange(labels.shape[0])
    return tensor.logsumexp(logits, axis=1) - logits[rows, labels]


def convolve(layer, kernel, x):
    """Put what every window has, (N, places x C, sides...), through one matrix product."""
    x = surround(tensor, x, layer["padding"], 0.0)
    columns = tensor.concatenate(list(pieces(x, layer["kernel"], layer["stride"])), axis=1)
    sides, rows = columns.shape[2:], columns.shape[0]
    axes = range(2, 2 + len(layer["kernel"]))
    flat = columns.dimshuffle(1, 0, *axes).reshape((columns.shape[1], -1))
    weights = kernel.dimshuffle(0, *axes, 1).reshape((kernel.shape[0], -1))
    found = tensor.dot(weights, flat).reshape((kernel.shape[0], rows, *sides))
    return found.dimshuffle(1, 0, *axes)
