"""Proof of CNTK's idioms."""

import re

import numpy

from harness import idioms
from harness.frameworks.cntk.idioms import training

HEADS = 4


def logits(network, weights, x):
    """Return the float32 logits of the idiom on x, with the neutral weights."""
    return _answer(_with_weights(network, weights), network, x)


def trained_logits(network, weights, batches, rate):
    """Return the logits of the first batch after the idiomatic training on all batches."""
    model = _with_weights(network, weights)
    fed_batches = [(idioms.inputs(network, x, last=False), y) for x, y in batches]
    training.train(model, fed_batches, rate)
    return _answer(model, network, batches[0][0])


def _answer(model, network, x):
    arrays = idioms.inputs(network, x, last=False)
    return numpy.stack(model.eval(dict(zip(model.arguments, arrays))))


def _with_weights(network, weights):
    """Return the idiom with the neutral weights, set in the order of the parameters' creation."""
    model = idioms.idiom(network, "cntk").network()
    parameters = sorted(model.parameters, key=_number)
    values = [
        value for kind, params in idioms.layers(network, weights) for value in VALUES[kind](params)
    ]
    assert len(parameters) == len(values), (len(parameters), len(values))
    for parameter, value in zip(parameters, values):
        assert parameter.shape[-1] in (value.shape[-1], 1), (parameter.shape, value.shape)
        parameter.value = numpy.ascontiguousarray(value.reshape(parameter.shape))
    return model


def _number(parameter):
    """Return the creation number of a parameter: CNTK numbers all objects."""
    return int(re.findall(r"\d+$", parameter.uid)[0])


def _dense(params):
    return [params["kernel"].T, params["bias"]]


def _recurrent(params):
    ways = ("", "backward_") if "backward_kernel" in params else ("",)
    return [
        array
        for way in ways
        for array in (params[way + "bias"], params[way + "kernel"].T, params[way + "recurrent"].T)
    ]


def _lstm(params):
    """CNTK orders the gates i, g, f, o."""
    ordered = {}
    for name, array in params.items():
        i, f, g, o = numpy.split(array, 4)
        ordered[name] = numpy.concatenate([i, g, f, o])
    return _recurrent(ordered)


def _gru(params):
    return [params["kernel"].T, params["bias"], params["recurrent"].T, params["recurrent_bias"]]


def _attention(params):
    """Yield the weights head by head, each with query, key and value."""
    arrays = []
    for head in range(HEADS):
        for part in idioms.PARTS[:3]:
            arrays.append(numpy.split(params[part + "_kernel"], HEADS)[head].T)
            arrays.append(numpy.split(params[part + "_bias"], HEADS)[head])
    return [*arrays, params["output_kernel"].T, params["output_bias"]]


#: By kind of layer: its arrays in CNTK's layouts, in creation order.
VALUES = {
    "conv": lambda params: [params["kernel"], params["bias"]],
    "dense": _dense,
    "rnn": _recurrent,
    "lstm": _lstm,
    "gru": _gru,
    "multihead_attention": _attention,
    "layer_norm": lambda params: [params["scale"], params["offset"]],
    "position": lambda params: [params["table"]],
}
