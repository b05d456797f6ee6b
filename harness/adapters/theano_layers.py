"""The neutral layers in Theano's own operations. Imported once Theano is there.

A layer is a function of the layer's description, its parameters (shared variables by name) and
its inputs, symbolic all; it returns an expression.
"""

import itertools

import theano
import theano.tensor as tt
from theano.tensor.nnet import conv2d, conv3d

from harness.adapters import Unsupported

#: Where Theano's default differs from the neutral description, and what is done about it.
NOTES = {
    "conv": "Theano turns kernels around; it is told not to. One side is two, the second 1 long",
    "max_pool": "Theano's own gives each of several equal largest values the whole gradient, and "
    "images of digits have many: the largest of slices, -inf around them",
    "relu": "Theano's own has a gradient of a half at zero, where blank parts of images are: a "
    "switch",
    "lrn": "Theano has none: from squares, slices and a power",
    "rnn": "a scan over time",
    "lstm": "a scan over time",
    "gru": "a scan over time",
    "layer_norm": "from means and a square root",
}


def outputs(network, weights, x):
    """Return every layer's expression by name, with *x* as the network's input."""
    found, before = {"input": x}, "input"
    for layer in network["layers"]:
        if layer["kind"] not in KINDS:
            raise Unsupported("layer kind " + layer["kind"])
        name = layer["name"]
        own = {
            key.split(".")[1]: value for key, value in weights.items() if key.split(".")[0] == name
        }
        inputs = [found[each] for each in layer.get("inputs", [before])]
        found[name] = KINDS[layer["kind"]](layer, own, *inputs)
        before = name
    del found["input"]
    return found


def _surround(x, padding, value):
    """Put *value* around the sides that have padding."""
    if not any(before or after for before, after in padding):
        return x
    sides = [x.shape[axis] for axis in range(2, x.ndim)]
    shape = [side + before + after for side, (before, after) in zip(sides, padding)]
    empty = tt.alloc(tt.constant(value, dtype=x.dtype), x.shape[0], x.shape[1], *shape)
    inside = [slice(None), slice(None)]
    inside += [slice(before, before + side) for side, (before, _) in zip(sides, padding)]
    return tt.set_subtensor(empty[tuple(inside)], x)


def _conv(layer, own, x):
    stride, padding, kernel = tuple(layer["stride"]), layer["padding"], own["kernel"]
    if all(before == after for before, after in padding):
        border = tuple(before for before, _ in padding)
    else:
        x, border = _surround(x, padding, 0.0), (0,) * len(padding)
    if len(stride) == 1:
        image, filters = x.dimshuffle(0, 1, 2, "x"), kernel.dimshuffle(0, 1, 2, "x")
        found = conv2d(
            image, filters, border_mode=(*border, 0), subsample=(*stride, 1), filter_flip=False
        )
        found = found[:, :, :, 0]
    else:
        operation = conv2d if len(stride) == 2 else conv3d
        found = operation(x, kernel, border_mode=border, subsample=stride, filter_flip=False)
    return found + own["bias"].dimshuffle("x", 0, *["x"] * len(stride))


def _max_pool(layer, own, x):
    """The largest of strided slices, the first of equal ones."""
    del own
    x = _surround(x, layer["padding"], -float("inf"))
    counts = [
        (x.shape[axis] - size) // stride + 1
        for axis, (size, stride) in enumerate(zip(layer["size"], layer["stride"]), start=2)
    ]
    found = None
    for starts in itertools.product(*(range(size) for size in layer["size"])):
        places = [
            slice(start, start + (count - 1) * stride + 1, stride)
            for start, count, stride in zip(starts, counts, layer["stride"])
        ]
        piece = x[(slice(None), slice(None), *places)]
        found = piece if found is None else tt.maximum(found, piece)
    return found


def _lrn(layer, own, x):
    """Every channel over the squares of its neighbours, as Caffe's: alpha over their number."""
    del own
    half = layer["size"] // 2
    squares = _surround(tt.sqr(x).dimshuffle(0, "x", 1, 2, 3), [(half, half), (0, 0), (0, 0)], 0.0)
    channels = x.shape[1]
    around = sum(squares[:, 0, number : number + channels] for number in range(layer["size"]))
    share = layer["alpha"] / layer["size"]
    return x / tt.power(layer["k"] + share * around, layer["beta"])


def _dense(layer, own, x):
    del layer
    return tt.dot(x, own["kernel"].T) + own["bias"]


def _ways(layer, own, x, step, states):
    """Scan over time, forward, and backward where it is bidirectional. *states*: how many."""
    found = []
    for prefix in ["", "backward_"] if layer.get("bidirectional") else [""]:
        weights = {
            name[len(prefix) :]: value
            for name, value in own.items()
            if name.startswith("backward_") == bool(prefix)
        }
        given = tt.dot(x.dimshuffle(1, 0, 2), weights["kernel"].T) + weights["bias"]
        zeros = tt.zeros((x.shape[0], layer["units"]), x.dtype)
        hidden, _ = theano.scan(
            lambda one, *before: step(layer["units"], weights, one, *before),  # noqa: B023
            sequences=given[::-1] if prefix else given,
            outputs_info=[zeros] * states,
        )
        hidden = hidden[0] if states > 1 else hidden
        if not layer["return_sequences"]:
            found.append(hidden[-1])
        else:
            found.append((hidden[::-1] if prefix else hidden).dimshuffle(1, 0, 2))
    return found[0] if len(found) == 1 else tt.concatenate(found, axis=found[0].ndim - 1)


def _rnn_step(units, own, given, hidden):
    del units
    return tt.tanh(given + tt.dot(hidden, own["recurrent"].T))


def _lstm_step(units, own, given, hidden, memory):
    gates = given + tt.dot(hidden, own["recurrent"].T)
    write, forget, new, read = (gates[:, n * units : (n + 1) * units] for n in range(4))
    memory = tt.nnet.sigmoid(forget) * memory + tt.nnet.sigmoid(write) * tt.tanh(new)
    return tt.nnet.sigmoid(read) * tt.tanh(memory), memory


def _gru_step(units, own, given, hidden):
    again = tt.dot(hidden, own["recurrent"].T) + own["recurrent_bias"]
    both = tt.nnet.sigmoid(given[:, : 2 * units] + again[:, : 2 * units])
    reset, update = both[:, :units], both[:, units:]
    new = tt.tanh(given[:, 2 * units :] + reset * again[:, 2 * units :])
    return (1 - update) * new + update * hidden


def _softmax(x):
    """Over the last axis of three or more: Theano's own is for matrices."""
    exponent = tt.exp(x - x.max(axis=-1, keepdims=True))
    return exponent / exponent.sum(axis=-1, keepdims=True)


def _attend(query, memory, values):
    """(B, T, D), (B, S, D), (B, S, D) -> (B, T, D)."""
    width = tt.cast(query.shape[2], query.dtype)
    scores = tt.batched_dot(query, memory.dimshuffle(0, 2, 1)) / tt.sqrt(width)
    return tt.batched_dot(_softmax(scores), values)


def _multihead_attention(layer, own, x):
    heads = layer["heads"]
    rows, steps, width = x.shape[0], x.shape[1], own["query_bias"].shape[0]

    def part(name, of):
        return tt.dot(of, own[name + "_kernel"].T) + own[name + "_bias"]

    def split(one):
        apart = one.reshape((rows, steps, heads, width // heads)).dimshuffle(0, 2, 1, 3)
        return apart.reshape((rows * heads, steps, width // heads))

    found = _attend(*(split(part(name, x)) for name in ("query", "key", "value")))
    joined = found.reshape((rows, heads, steps, width // heads)).dimshuffle(0, 2, 1, 3)
    return part("output", joined.reshape((rows, steps, width)))


def _layer_norm(layer, own, x):
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = tt.sqr(centred).mean(axis=-1, keepdims=True)
    return centred / tt.sqrt(variance + layer["epsilon"]) * own["scale"] + own["offset"]


def _slice(layer, own, x):
    del own
    chosen = [slice(None)] * layer["axis"] + [slice(layer["start"], layer["stop"])]
    return x[tuple(chosen)]


KINDS = {
    "conv": _conv,
    "max_pool": _max_pool,
    "global_average_pool": lambda layer, own, x: x.flatten(3).mean(axis=2),
    "lrn": _lrn,
    "relu": lambda layer, own, x: tt.switch(x > 0, x, 0),
    "tanh": lambda layer, own, x: tt.tanh(x),
    "flatten": lambda layer, own, x: x.flatten(2),
    "dense": _dense,
    "rnn": lambda layer, own, x: _ways(layer, own, x, _rnn_step, 1),
    "lstm": lambda layer, own, x: _ways(layer, own, x, _lstm_step, 2),
    "gru": lambda layer, own, x: _ways(layer, own, x, _gru_step, 1),
    "concat": lambda layer, own, *inputs: tt.concatenate(inputs, axis=layer["axis"]),
    "add": lambda layer, own, one, other: one + other,
    "attention": lambda layer, own, query, memory: _attend(query, memory, memory),
    "multihead_attention": _multihead_attention,
    "layer_norm": _layer_norm,
    "position": lambda layer, own, x: x + own["table"],
    "slice": _slice,
    "mean": lambda layer, own, x: x.mean(axis=1),
}
