"""Proof of Caffe's idioms."""

import numpy

from harness import idioms
from harness.frameworks.caffe.idioms import training

#: The parameters of a layer in Caffe's order, where an idiom makes them: attention's values are
#: read first.
NAMES = (
    *("kernel", "bias", "recurrent", "recurrent_bias"),
    *("backward_kernel", "backward_bias", "backward_recurrent"),
    *(part + end for part in ("value", "query", "key", "output") for end in ("_kernel", "_bias")),
    *("scale", "offset", "table"),
)


def logits(network, weights, x):
    """Return the float32 logits of the idiom on x, with the neutral weights."""
    return _answer(_with_weights(network, weights, x, rate=1.0), network, x)


def trained_logits(network, weights, batches, rate):
    """Return the logits of the first batch after the idiomatic training on all batches."""
    first, _ = batches[0]
    solver = _with_weights(network, weights, first, rate)
    fed_batches = [dict(_inputs(network, x), label=_turned(network, y)) for x, y in batches]
    training.train(solver, fed_batches)
    return _answer(solver, network, first)


def _answer(solver, network, x):
    for name, value in _inputs(network, x).items():
        solver.net.blobs[name].data[...] = value
    solver.net.forward(end="score")
    logits = _turned(network, solver.net.blobs["score"].data)
    return logits.squeeze().copy()  # the last step alone still has an axis of time


def _has(network, *kinds):
    return any(layer["kind"] in kinds for layer in network["layers"])


def _time_first(network):
    return _has(network, "rnn", "lstm", "gru")


def _turned(network, array):
    """Put time first where the idiom has time first."""
    return array.swapaxes(0, 1) if _time_first(network) and array.ndim > 1 else array


def _inputs(network, x):
    """Return the inputs of the net by name; an LSTM also needs where a sequence continues."""
    arrays = [_turned(network, array) for array in idioms.inputs(network, x, last=False)]
    feed = dict(zip(("source", "fed") if len(arrays) > 1 else ("data",), arrays))
    if _has(network, "lstm"):
        feed["cont"] = numpy.ones(arrays[0].shape[:2])
        feed["cont"][0] = 0
    return feed


def _with_weights(network, weights, x, rate):
    """Return the solver of the idiom, with the neutral weights set in order."""
    steps = len(_inputs(network, x).get("fed", [x]))
    labels = [steps, len(x)] if _time_first(network) else [len(x)]
    labels += [x.shape[1]] if network.get("task") == "text" else []
    spec = idioms.idiom(network, "caffe").network()
    solver = training.make_solver(spec, labels, rate)
    values = _values(network, weights)
    for blob in _blobs(spec, solver.net):
        value = next(values)
        assert tuple(blob.shape) == value.shape, (tuple(blob.shape), value.shape)
        blob.data[...] = value
    unused = list(values)
    assert not unused, len(unused)
    return solver


def _blobs(spec, net):
    """Yield the parameters in the net's order; one that steps share comes once."""
    shared = set()
    for layer in spec.to_proto().layer:
        names = [param.name for param in layer.param]
        for index, blob in enumerate(net.params.get(layer.name, ())):
            name = names[index] if index < len(names) else ""
            if name not in shared:
                yield blob
            shared.update([name] if name else [])


def _values(network, weights):
    """Yield the weights in Caffe's order; its LSTM's gates are i, f, o, g."""
    for kind, params in idioms.layers(network, weights):
        for name in sorted(params, key=NAMES.index):
            value = params[name]
            if kind == "lstm":
                i, f, g, o = numpy.split(value, 4)
                value = numpy.concatenate([i, f, o, g])
            yield value
