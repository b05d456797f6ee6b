"""Proof of Keras's idioms."""

import re

import numpy

from harness import idioms
from harness.frameworks.tensorflow.idioms import training


def logits(network, weights, x):
    """Answer x by the idiom with the neutral weights: float32, as the neutral network does."""
    return _answer(_placed(network, weights), network, x)


def trained(network, weights, batches, rate):
    """Answer the first batch after the idiomatic training on all of them."""
    model = _placed(network, weights)
    fed_batches = [(_inputs(network, x), y) for x, y in batches]
    training.train(model, fed_batches, rate)
    return _answer(model, network, batches[0][0])


def _answer(model, network, x):
    return model(_inputs(network, x)).numpy()


def _inputs(network, x):
    arrays = idioms.inputs(network, x, last=True)
    return arrays if len(arrays) > 1 else arrays[0]


def _placed(network, weights):
    model = idioms.idiom(network, "tensorflow").network()
    waiting = {}
    for layer in sorted(model.layers, key=_number):
        waiting.setdefault(type(layer).__name__, []).append(layer)
    for kind, own in idioms.layers(network, idioms.channels_last(network, weights)):
        classes, arrays = KINDS[kind]
        class_name = next(name for name in classes if waiting.get(name))
        _set(waiting[class_name].pop(0), arrays(own))
    unused = [layer for group in waiting.values() for layer in group if layer.weights]
    assert not unused, unused
    return model


def _number(layer):
    """Return when a layer was made, among those of its class: Keras numbers their names."""
    return int((re.findall(r"_(\d+)$", layer.name) or ["0"])[0])


def _set(layer, arrays):
    for variable, value in zip(layer.weights, arrays):
        assert tuple(variable.shape) == value.shape, (layer.name, variable.shape, value.shape)
    layer.set_weights(arrays)


def _conv(own):
    kernel = own["kernel"]
    return [kernel.transpose(tuple(range(2, kernel.ndim)) + (1, 0)), own["bias"]]


def _dense(own):
    return [own["kernel"].T, own["bias"]]


def _recurrent(own):
    """Keras orders an LSTM's gates as the neutral network does."""
    ways = ("", "backward_") if "backward_kernel" in own else ("",)
    return [
        array
        for way in ways
        for array in (own[way + "kernel"].T, own[way + "recurrent"].T, own[way + "bias"])
    ]


def _gru(own):
    """Keras orders the gates z, r, h and has both biases in one array."""

    def ordered(array):
        r, z, n = numpy.split(array, 3)
        return numpy.concatenate([z, r, n])

    biases = [ordered(own["bias"]), ordered(own["recurrent_bias"])]
    return [ordered(own["kernel"]).T, ordered(own["recurrent"]).T, numpy.stack(biases)]


def _attention(own):
    """Keras's kernels are (in, heads, width of a head), and the last one the other way round."""
    arrays, width, heads = [], len(own["query_bias"]), 4
    for part in idioms.PARTS[:3]:
        arrays.append(own[part + "_kernel"].T.reshape(width, heads, -1))
        arrays.append(own[part + "_bias"].reshape(heads, -1))
    return [*arrays, own["output_kernel"].T.reshape(heads, -1, width), own["output_bias"]]


#: Of a kind: the classes that a person would take, and their arrays in Keras's layouts.
KINDS = {
    "conv": (("Conv1D", "Conv2D", "Conv3D"), _conv),
    "dense": (("Dense",), _dense),
    "rnn": (("SimpleRNN",), _recurrent),
    "lstm": (("LSTM", "Bidirectional"), _recurrent),
    "gru": (("GRU",), _gru),
    "multihead_attention": (("MultiHeadAttention",), _attention),
    "layer_norm": (("LayerNormalization",), lambda own: [own["scale"], own["offset"]]),
    "position": (("Position",), lambda own: [own["table"]]),
}
