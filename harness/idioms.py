"""Idioms: each network as a user writes it in a framework, at the size ``small``.

``frameworks/<framework>/idioms/<network>.py`` holds the definition and nothing else; its logical
lines are counted (``deepmatrix/workloads/idioms.py`` says how). ``training.py`` beside it is the
loop that trains any of them.
A definition is what the framework's users write: torch's ``Network``, Keras's and CNTK's
``network()``, jax's ``initial(key)`` with ``apply(params, x)``, Caffe's net as a specification,
Theano's and TensorFlow 1's expressions with their inputs; in the framework's own layouts and with
the layers that come with it.

``proof.py`` puts the neutral weights into a definition and returns its answers, which must be those
of the neutral network. It relies on the order in which the definition makes its layers.

This module has what the proofs share: neutral weights in the order and layouts of the idioms.
"""

import importlib
import importlib.util
from types import ModuleType
from typing import Any, Dict, Iterator, List, Tuple

import numpy

from harness.adapters import Arrays, Unsupported

Network = Dict[str, Any]

PARTS = ("query", "key", "value", "output")


def idiom(network: Network, framework: str) -> ModuleType:
    """Return the module that defines a network in a framework. Raises Unsupported without one."""
    name, _, size = network["name"].rpartition("-")
    module = "harness.frameworks.{}.idioms.{}".format(framework, name.replace("-", "_"))
    if size != "small" or importlib.util.find_spec(module) is None:
        raise Unsupported("no idiom of " + network["name"])
    return importlib.import_module(module)


def layers(network: Network, weights: Arrays) -> Iterator[Tuple[str, Arrays]]:
    """Yield (kind, {short name: array}) of every layer with weights, in order."""
    for layer in network["layers"]:
        start = layer["name"] + "."
        params = {
            name[len(start) :]: value for name, value in weights.items() if name.startswith(start)
        }
        if params:
            yield layer["kind"], params


def channels_last(network: Network, weights: Arrays) -> Arrays:
    """Return the weights for data with channels last, still (out, in) and (O, I, ...).

    Only a dense layer after a flatten changes: its inputs are flattened (..., C), not (C, ...).
    """
    turned = dict(weights)
    channels = 0
    for layer, after in zip(network["layers"], network["layers"][1:]):
        if layer["kind"] == "conv":
            channels = layer["filters"]
        if layer["kind"] == "flatten":
            name = after["name"] + ".kernel"
            units = len(weights[name])
            by_channel = weights[name].reshape(units, channels, -1)
            turned[name] = by_channel.swapaxes(1, 2).reshape(units, -1)
    return turned


def inputs(network: Network, x: "numpy.ndarray", last: bool) -> "List[numpy.ndarray]":
    """Return the inputs of an idiom: two sequences where there is a decoder, else one array.

    Args:
        network: the description.
        x: the neutral input, (N, C, ...) or (N, T, D) float32.
        last: whether the idiom has channels last.
    """
    cuts = [layer for layer in network["layers"] if layer["kind"] == "slice"]
    if cuts:
        return [x[:, cut["start"] : cut["stop"]] for cut in cuts]
    if last and network["layers"][0]["kind"] == "conv":
        return [numpy.ascontiguousarray(numpy.moveaxis(x, 1, -1))]
    return [x]
