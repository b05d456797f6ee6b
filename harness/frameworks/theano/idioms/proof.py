"""Proof of Theano's idioms."""

import theano

from harness import idioms
from harness.frameworks.theano.idioms import training


def logits(network, weights, x):
    """Answer x by the idiom with the neutral weights: float32, as the neutral network does."""
    inputs, answers, _ = _placed(network, weights)
    return _answer(inputs, answers, network, x)


def trained(network, weights, batches, rate):
    """Answer the first batch after the idiomatic training on all of them."""
    inputs, answers, params = _placed(network, weights)
    fed_batches = [(idioms.inputs(network, x, last=False), y) for x, y in batches]
    training.train(inputs, answers, params, fed_batches, rate)
    return _answer(inputs, answers, network, batches[0][0])


def _answer(inputs, answers, network, x):
    return theano.function(inputs, answers)(*idioms.inputs(network, x, last=False))


def _placed(network, weights):
    """Return the idiom's inputs, logits and parameters, filled in the order of making."""
    inputs, answers, params = idioms.idiom(network, "theano").network()
    values = list(_values(network, weights))
    assert len(params) == len(values), (len(params), len(values))
    for param, value in zip(params, values):
        shape = param.get_value().shape
        assert shape == value.shape, (shape, value.shape)
        param.set_value(value)
    return inputs, answers, params


def _values(network, weights):
    """Yield the weights in order, inputs before outputs where they are of two sides."""
    for kind, own in idioms.layers(network, weights):
        names = list(own)
        if kind == "multihead_attention":
            names = [part + end for part in idioms.PARTS for end in ("_kernel", "_bias")]
        for name in names:
            value = own[name]
            if kind == "conv" and value.ndim == 3:
                value = value[..., None]  # a convolution of one side is one of two, one wide
            elif kind != "position" and value.ndim == 2:
                value = value.T
            yield value
