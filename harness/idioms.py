"""Idioms: each network as a person writes it in a framework, at the size ``small``.

``frameworks/<framework>/idioms/<network>.py`` holds the definition and nothing else; its logical
lines are counted (``deepmatrix/workloads/idioms.py`` says how). ``training.py`` beside it is the
loop that trains any of them.
A definition is what the framework's users write: torch's ``Network``, Keras's and CNTK's
``network()``, jax's ``initial(key)`` with ``apply(params, x)``, Caffe's net as a specification,
Theano's and TensorFlow 1's expressions with their inputs; in the framework's own layouts and with
the layers that come with it.

``proof.py`` puts the neutral weights into a definition and asks for its answers, which
have to be those of the neutral network. It relies on layers being made in the network's order.

Here: neutral weights in the order and layouts in which idioms take them, shared by the proofs.
"""

import importlib

import numpy

from harness.adapters import Unsupported

PARTS = ("query", "key", "value", "output")


def idiom(network, framework):
    """Return the module that defines a network in a framework. Raises Unsupported without one."""
    name, _, size = network["name"].rpartition("-")
    module = "harness.frameworks.{}.idioms.{}".format(framework, name.replace("-", "_"))
    if size != "small" or importlib.util.find_spec(module) is None:
        raise Unsupported("no idiom of " + network["name"])
    return importlib.import_module(module)


def layers(network, weights):
    """Yield (kind, {short name: array}) of every layer that has weights, in order."""
    for layer in network["layers"]:
        start = layer["name"] + "."
        own = {name[len(start) :]: w for name, w in weights.items() if name.startswith(start)}
        if own:
            yield layer["kind"], own


def channels_last(network, weights):
    """Return the weights for data whose channels are last, still (out, in) and (O, I, ...).

    The one layer that this changes is the dense one after a flattening: what was flattened as
    (C, ...) is (..., C) then.
    """
    found = dict(weights)
    channels = None
    for layer, after in zip(network["layers"], network["layers"][1:]):
        if layer["kind"] == "conv":
            channels = layer["filters"]
        if layer["kind"] == "flatten":
            name = after["name"] + ".kernel"
            units = len(weights[name])
            apart = weights[name].reshape(units, channels, -1)
            found[name] = apart.swapaxes(1, 2).reshape(units, -1)
    return found


def inputs(network, x, last):
    """Return what an idiom is given: two sequences where there is a decoder, else one array.

    Args:
        network: the description.
        x: the neutral input, channels first.
        last: whether the idiom has channels last.
    """
    cuts = [layer for layer in network["layers"] if layer["kind"] == "slice"]
    if cuts:
        return [x[:, cut["start"] : cut["stop"]] for cut in cuts]
    if last and network["layers"][0]["kind"] == "conv":
        return [numpy.ascontiguousarray(numpy.moveaxis(x, 1, -1))]
    return [x]
