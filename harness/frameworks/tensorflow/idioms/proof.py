"""Proof of Keras's idioms."""

import re

import numpy

from harness import idioms
from harness.frameworks.tensorflow.idioms import training


def logits(network, weights, x):
    """Return the float32 logits of the idiom on x, with the neutral weights."""
    return _answer(_with_weights(network, weights), network, x)


def trained_logits(network, weights, batches, rate):
    """Return the logits of the first batch after the idiomatic training on all batches."""
    model = _with_weights(network, weights)
    fed_batches = [(_inputs(network, x), y) for x, y in batches]
    training.train(model, fed_batches, rate)
    return _answer(model, network, batches[0][0])


def _answer(model, network, x):
    return model(_inputs(network, x)).numpy()


def _inputs(network, x):
    arrays = idioms.inputs(network, x, last=True)
    return arrays if len(arrays) > 1 else arrays[0]


def _with_weights(network, weights):
    model = idioms.idiom(network, "tensorflow").network()
    waiting = {}
    for layer in sorted(model.layers, key=_number):
        waiting.setdefault(type(layer).__name__, []).append(layer)
    for kind, params in idioms.layers(network, idioms.channels_last(network, weights)):
        classes, arrays = KINDS[kind]
        class_name = next(name for name in classes if waiting.get(name))
        _set(waiting[class_name].pop(0), arrays(params))
    unused = [layer for group in waiting.values() for layer in group if layer.weights]
    assert not unused, unused
    return model


def _number(layer):
    """Return the creation number of a layer within its class, which Keras puts into its name."""
    return int((re.findall(r"_(\d+)$", layer.name) or ["0"])[0])


def _set(layer, arrays):
    for variable, value in zip(layer.weights, arrays):
        assert tuple(variable.shape) == value.shape, (layer.name, variable.shape, value.shape)
    layer.set_weights(arrays)


def _conv(params):
    kernel = params["kernel"]
    return [kernel.transpose(tuple(range(2, kernel.ndim)) + (1, 0)), params["bias"]]


def _dense(params):
    return [params["kernel"].T, params["bias"]]


def _recurrent(params):
    """Return kernel, recurrent kernel and bias; Keras has the neutral order of the gates."""
    ways = ("", "backward_") if "backward_kernel" in params else ("",)
    return [
        array
        for way in ways
        for array in (params[way + "kernel"].T, params[way + "recurrent"].T, params[way + "bias"])
    ]


def _gru(params):
    """Return the arrays; Keras orders the gates z, r, h and has both biases in one array."""

    def ordered(array):
        r, z, n = numpy.split(array, 3)
        return numpy.concatenate([z, r, n])

    biases = [ordered(params["bias"]), ordered(params["recurrent_bias"])]
    return [ordered(params["kernel"]).T, ordered(params["recurrent"]).T, numpy.stack(biases)]


def _attention(params):
    """Return Keras's kernels, (in, heads, width of a head); the last is (heads, width, out)."""
    arrays, width, heads = [], len(params["query_bias"]), 4
    for part in idioms.PARTS[:3]:
        arrays.append(params[part + "_kernel"].T.reshape(width, heads, -1))
        arrays.append(params[part + "_bias"].reshape(heads, -1))
    return [*arrays, params["output_kernel"].T.reshape(heads, -1, width), params["output_bias"]]


#: By kind of layer: the classes that a user would choose, and their arrays in Keras's layouts.
KINDS = {
    "conv": (("Conv1D", "Conv2D", "Conv3D"), _conv),
    "dense": (("Dense",), _dense),
    "rnn": (("SimpleRNN",), _recurrent),
    "lstm": (("LSTM", "Bidirectional"), _recurrent),
    "gru": (("GRU",), _gru),
    "multihead_attention": (("MultiHeadAttention",), _attention),
    "layer_norm": (("LayerNormalization",), lambda params: [params["scale"], params["offset"]]),
    "position": (("Position",), lambda params: [params["table"]]),
}
