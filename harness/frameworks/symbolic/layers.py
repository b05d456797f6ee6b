"""The neutral layers in the operations that Theano and its successor PyTensor share.

A layer is a function of the system's operations (see `adapter.use` beside it), the layer's
description, its parameters (shared variables by name) and its inputs, symbolic all; it returns an
expression.
"""

import itertools
from typing import Any, Callable, Dict

import numpy

from harness.adapters import layers_of, parameters_of


def outputs(ops, network, weights, x):
    """Return every layer's expression by name, with *x* as the network's input."""
    expressions = {"input": x}
    for layer, sources in layers_of(network, KINDS):
        inputs = [expressions[source] for source in sources]
        params = parameters_of(layer, weights)
        expressions[layer["name"]] = KINDS[layer["kind"]](ops, layer, params, *inputs)
    del expressions["input"]
    return expressions


def surround(tensor, x, padding, value):
    """Put *value* around the dimensions that have padding."""
    if not any(before or after for before, after in padding):
        return x
    dims = [x.shape[axis] for axis in range(2, x.ndim)]
    shape = [dim + before + after for dim, (before, after) in zip(dims, padding)]
    empty = tensor.alloc(tensor.constant(value, dtype=x.dtype), x.shape[0], x.shape[1], *shape)
    inside = [slice(None), slice(None)]
    inside += [slice(before, before + dim) for dim, (before, _) in zip(dims, padding)]
    return tensor.set_subtensor(empty[tuple(inside)], x)


def pieces(x, window, stride):
    """Yield, for every position in a window over the dimensions of x, the values of all windows."""
    counts = [
        (x.shape[axis] - size) // step + 1
        for axis, (size, step) in enumerate(zip(window, stride), start=2)
    ]
    for starts in itertools.product(*(range(size) for size in window)):
        places = [
            slice(start, start + (count - 1) * step + 1, step)
            for start, count, step in zip(starts, counts, stride)
        ]
        yield x[(slice(None), slice(None), *places)]


def _conv(ops, layer, params, x):
    convolved = ops.convolve(layer, params["kernel"], x)
    return convolved + params["bias"].dimshuffle("x", 0, *["x"] * len(layer["kernel"]))


def _max_pool(ops, layer, params, x):
    """Return the maximum of strided slices, the first of equal values; or the system's pooling."""
    del params
    if getattr(ops, "pool", None):
        return ops.pool(layer, x)
    x = surround(ops.tensor, x, layer["padding"], -float("inf"))
    largest = None
    for piece in pieces(x, layer["size"], layer["stride"]):
        largest = piece if largest is None else ops.tensor.maximum(largest, piece)
    return largest


def _lrn(ops, layer, params, x):
    """Normalise over the squares of neighbouring channels as Caffe: alpha over their number."""
    del params
    half = layer["size"] // 2
    squares = ops.tensor.sqr(x).dimshuffle(0, "x", 1, 2, 3)
    squares = surround(ops.tensor, squares, [(half, half), (0, 0), (0, 0)], 0.0)
    channels = x.shape[1]
    around = sum(squares[:, 0, number : number + channels] for number in range(layer["size"]))
    share = layer["alpha"] / layer["size"]
    return x / ops.tensor.power(layer["k"] + share * around, layer["beta"])


def _dense(ops, layer, params, x):
    del layer
    return ops.tensor.dot(x, params["kernel"].T) + params["bias"]


def _directions(ops, layer, params, x, step, states, before=None):
    """Scan over time, forward, and backward where it is bidirectional.

    *states* is the number of states that a step carries. It starts from the last step of *before*,
    (N, S, H), where that is given.
    """
    outputs = []
    for prefix in ["", "backward_"] if layer.get("bidirectional") else [""]:
        weights = {
            name[len(prefix) :]: value
            for name, value in params.items()
            if name.startswith("backward_") == bool(prefix)
        }
        from_input = ops.tensor.dot(x.dimshuffle(1, 0, 2), weights["kernel"].T) + weights["bias"]
        zeros = ops.tensor.zeros((x.shape[0], layer["units"]), x.dtype)
        start = [zeros] * states if before is None else [before[:, -1]]
        hidden, _ = ops.scan(
            lambda current, *before: step(ops, layer["units"], weights, current, *before),  # noqa: B023
            sequences=from_input[::-1] if prefix else from_input,
            outputs_info=start,
        )
        hidden = hidden[0] if states > 1 else hidden
        if not layer["return_sequences"]:
            outputs.append(hidden[-1])
        else:
            outputs.append((hidden[::-1] if prefix else hidden).dimshuffle(1, 0, 2))
    return (
        outputs[0]
        if len(outputs) == 1
        else ops.tensor.concatenate(outputs, axis=outputs[0].ndim - 1)
    )


def _rnn_step(ops, units, params, from_input, hidden):
    del units
    return ops.tensor.tanh(from_input + ops.tensor.dot(hidden, params["recurrent"].T))


def _lstm_step(ops, units, params, from_input, hidden, memory):
    gates = from_input + ops.tensor.dot(hidden, params["recurrent"].T)
    write, forget, new, read = (gates[:, n * units : (n + 1) * units] for n in range(4))
    memory = ops.sigmoid(forget) * memory + ops.sigmoid(write) * ops.tensor.tanh(new)
    return ops.sigmoid(read) * ops.tensor.tanh(memory), memory


def _gru_step(ops, units, params, from_input, hidden):
    from_state = ops.tensor.dot(hidden, params["recurrent"].T) + params["recurrent_bias"]
    gates = ops.sigmoid(from_input[:, : 2 * units] + from_state[:, : 2 * units])
    reset, update = gates[:, :units], gates[:, units:]
    new = ops.tensor.tanh(from_input[:, 2 * units :] + reset * from_state[:, 2 * units :])
    return (1 - update) * new + update * hidden


def _softmax(ops, x):
    """Return the softmax over the last of three or more axes: Theano's own is for matrices."""
    exponent = ops.tensor.exp(x - x.max(axis=-1, keepdims=True))
    return exponent / exponent.sum(axis=-1, keepdims=True)


def _attend(ops, query, memory, values, causal):
    """(B, T, D), (B, S, D), (B, S, D) -> (B, T, D)."""
    width = ops.tensor.cast(query.shape[2], query.dtype)
    scores = ops.batched_dot(query, memory.dimshuffle(0, 2, 1)) / ops.tensor.sqrt(width)
    if causal:
        place = ops.tensor.arange(query.shape[1])
        seen = place.dimshuffle(0, "x") >= place.dimshuffle("x", 0)
        scores = ops.tensor.switch(seen, scores, numpy.float32(-numpy.inf))
    return ops.batched_dot(_softmax(ops, scores), values)


def _multihead_attention(ops, layer, params, x):
    heads = layer["heads"]
    rows, steps, width = x.shape[0], x.shape[1], params["query_bias"].shape[0]

    def part(name, of):
        return ops.tensor.dot(of, params[name + "_kernel"].T) + params[name + "_bias"]

    def split(projected):
        split_heads = projected.reshape((rows, steps, heads, width // heads)).dimshuffle(0, 2, 1, 3)
        return split_heads.reshape((rows * heads, steps, width // heads))

    query, key, value = (split(part(name, x)) for name in ("query", "key", "value"))
    attended = _attend(ops, query, key, value, layer.get("causal", False))
    joined = attended.reshape((rows, heads, steps, width // heads)).dimshuffle(0, 2, 1, 3)
    return part("output", joined.reshape((rows, steps, width)))


def _layer_norm(ops, layer, params, x):
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = ops.tensor.sqr(centred).mean(axis=-1, keepdims=True)
    return (
        centred / ops.tensor.sqrt(variance + layer["epsilon"]) * params["scale"] + params["offset"]
    )


def _slice(ops, layer, params, x):
    del params
    chosen = [slice(None)] * layer["axis"] + [slice(layer["start"], layer["stop"])]
    return x[tuple(chosen)]


KINDS: Dict[str, Callable[..., Any]] = {
    "conv": _conv,
    "max_pool": _max_pool,
    "global_average_pool": lambda ops, layer, params, x: x.flatten(3).mean(axis=2),
    "lrn": _lrn,
    "relu": lambda ops, layer, params, x: ops.tensor.switch(x > 0, x, 0),
    "tanh": lambda ops, layer, params, x: ops.tensor.tanh(x),
    "flatten": lambda ops, layer, params, x: x.flatten(2),
    "dense": _dense,
    "rnn": lambda ops, layer, params, x: _directions(ops, layer, params, x, _rnn_step, 1),
    "lstm": lambda ops, layer, params, x: _directions(ops, layer, params, x, _lstm_step, 2),
    "gru": lambda ops, layer, params, x, before=None: _directions(
        ops, layer, params, x, _gru_step, 1, before
    ),
    "concat": lambda ops, layer, params, *inputs: ops.tensor.concatenate(
        inputs, axis=layer["axis"]
    ),
    "add": lambda ops, layer, params, x, y: x + y,
    "attention": lambda ops, layer, params, x, memory: _attend(ops, x, memory, memory, False),
    "multihead_attention": _multihead_attention,
    "layer_norm": _layer_norm,
    "position": lambda ops, layer, params, x: x + params["table"],
    "slice": _slice,
    "mean": lambda ops, layer, params, x: x.mean(axis=1),
}
