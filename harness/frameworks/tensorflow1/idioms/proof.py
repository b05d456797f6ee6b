"""Proof of TensorFlow 1's idioms."""

import numpy
import tensorflow as tf

from harness import idioms
from harness.frameworks.tensorflow1.idioms import training


def logits(network, weights, x):
    """Return the float32 logits of the idiom on x, with the neutral weights."""
    with tf.Graph().as_default(), tf.Session() as session:
        inputs, answer = _with_weights(session, network, weights)
        return session.run(answer, {inputs: _inputs(network, x)})


def trained_logits(network, weights, batches, rate):
    """Return the logits of the first batch after the idiomatic training on all batches."""
    fed_batches = [(_inputs(network, x), y) for x, y in batches]
    with tf.Graph().as_default(), tf.Session() as session:
        inputs, answer = _with_weights(session, network, weights)
        training.train(session, inputs, answer, fed_batches, rate)
        return session.run(answer, {inputs: fed_batches[0][0]})


def _inputs(network, x):
    """Return the arrays for the placeholders: one array or a tuple."""
    arrays = idioms.inputs(network, x, last=True)
    return tuple(arrays) if len(arrays) > 1 else arrays[0]


def _with_weights(session, network, weights):
    """Return the idiom's inputs and logits, with the neutral weights set in creation order."""
    definition = idioms.idiom(network, "tensorflow1").network()
    variables = iter(tf.trainable_variables())
    for kind, params in idioms.layers(network, idioms.channels_last(network, weights)):
        for value in ARRAYS[kind](params):
            variable = next(variables)
            assert variable.shape == value.shape, (variable, value.shape)
            variable.load(value, session)
    unused = list(variables)
    assert not unused, unused
    return definition


def _conv(params):
    kernel = params["kernel"]
    return [kernel.transpose(tuple(range(2, kernel.ndim)) + (1, 0)), params["bias"]]


def _dense(params):
    return [params["kernel"].T, params["bias"]]


def _rnn(params):
    """A cell has one kernel, for inputs and states."""
    return [numpy.concatenate([params["kernel"].T, params["recurrent"].T]), params["bias"]]


def _lstm(params):
    """A cell orders the gates i, g, f, o, and adds one to f."""
    arrays = []
    for way in ("", "backward_") if "backward_kernel" in params else ("",):
        parts = {name: params[way + name] for name in ("kernel", "recurrent", "bias")}
        for name, part in parts.items():
            i, f, g, o = numpy.split(part, 4)
            parts[name] = numpy.concatenate([i, g, f - 1 if name == "bias" else f, o])
        arrays += _rnn(parts)
    return arrays


def _gru(params):
    """The gates are the idiom's own, and two biases."""
    return [params["kernel"].T, params["bias"], params["recurrent"].T, params["recurrent_bias"]]


def _attention(params):
    return [
        array
        for part in idioms.PARTS
        for array in (params[part + "_kernel"].T, params[part + "_bias"])
    ]


#: By kind of layer: its arrays as TensorFlow's layers and cells have them.
ARRAYS = {
    "conv": _conv,
    "dense": _dense,
    "rnn": _rnn,
    "lstm": _lstm,
    "gru": _gru,
    "multihead_attention": _attention,
    "layer_norm": lambda params: [params["scale"], params["offset"]],
    "position": lambda params: [params["table"]],
}
