"""Proof of Theano's idioms."""

import theano

from harness import idioms
from harness.frameworks.theano.idioms import training


def logits(network, weights, x):
    """Return the float32 logits of the idiom on x, with the neutral weights."""
    inputs, answers, _ = _with_weights(network, weights)
    return _answer(inputs, answers, network, x)


def trained_logits(network, weights, batches, rate):
    """Return the logits of the first batch after the idiomatic training on all batches."""
    inputs, answers, params = _with_weights(network, weights)
    fed_batches = [(idioms.inputs(network, x, last=False), y) for x, y in batches]
    training.train(inputs, answers, params, fed_batches, rate)
    return _answer(inputs, answers, network, batches[0][0])


def _answer(inputs, answers, network, x):
    return theano.function(inputs, answers)(*idioms.inputs(network, x, last=False))


def _with_weights(network, weights):
    """Return the idiom's inputs, logits and parameters, with the neutral weights."""
    inputs, answers, params = idioms.idiom(network, "theano").network()
    values = list(_values(network, weights))
    assert len(params) == len(values), (len(params), len(values))
    for param, value in zip(params, values):
        shape = param.get_value().shape
        assert shape == value.shape, (shape, value.shape)
        param.set_value(value)
    return inputs, answers, params


def _values(network, weights):
    """Yield the weights in order, inputs before outputs where they are of two dimensions."""
    for kind, layer_params in idioms.layers(network, weights):
        names = list(layer_params)
        if kind == "multihead_attention":
            names = [part + end for part in idioms.PARTS for end in ("_kernel", "_bias")]
        for name in names:
            value = layer_params[name]
            if kind == "conv" and value.ndim == 3:
                value = value[..., None]  # a convolution of one dimension is one of two, one wide
            elif kind != "position" and value.ndim == 2:
                value = value.T
            yield value
